"""Spans and metrics of every call, through the OpenTelemetry API (no-ops until an SDK is installed).

Span ``codequay.PORT.OPERATION``; counter ``codequay.PORT.calls`` and histogram ``codequay.PORT.latency`` (seconds),
with ``op``, ``adapter`` and ``code`` ("ok", an error's code, or "cancelled"). No argument and no message is recorded.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from codequay.ports.errors import Code, PortError
from codequay.ports.op import Op

from .base import Call, Target, table

SCOPE = "codequay"


@dataclass(frozen=True, slots=True)
class Config:
    """No options; the SDK is configured by its own OTEL_ variables."""

    @classmethod
    def parse(cls, value: object) -> Config:
        """From ``true`` or ``{}``.

        :raises ValueError: an option is given
        """
        table(value if isinstance(value, dict) else True, "", ())
        return cls()


class Telemetry:
    """One tracer and two instruments per port."""

    __slots__ = ("_calls", "_latency", "_target", "_tracer")

    def __init__(self, target: Target) -> None:
        meter = metrics.get_meter(SCOPE)
        self._target = target
        self._tracer = trace.get_tracer(SCOPE)
        self._calls = meter.create_counter(f"codequay.{target.port}.calls", unit="{call}")
        self._latency = meter.create_histogram(f"codequay.{target.port}.latency", unit="s")

    def wrap(self, op: Op, call: Call) -> Call:
        name = f"codequay.{self._target.port}.{op.name}"
        labels = {"op": op.name, "adapter": self._target.adapter}
        monotonic = self._target.clock.monotonic

        async def telemetry(*args: Any, **kwargs: Any) -> Any:
            started = monotonic()
            code = "ok"
            with self._tracer.start_as_current_span(
                name, kind=SpanKind.CLIENT, attributes=labels, record_exception=False, set_status_on_exception=False
            ) as span:
                try:
                    return await call(*args, **kwargs)
                except asyncio.CancelledError:
                    code = "cancelled"
                    raise
                except Exception as exc:
                    code = str(exc.code if isinstance(exc, PortError) else Code.INTERNAL)
                    span.set_status(Status(StatusCode.ERROR, code))
                    raise
                finally:
                    measured = {**labels, "code": code}
                    self._calls.add(1, measured)
                    self._latency.record(monotonic() - started, measured)

        return telemetry


def build(config: Config, target: Target) -> Telemetry:
    return Telemetry(target)
