"""From global options to an open library: settings, logging, signals, and one call."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from .exit_codes import Signalled

if TYPE_CHECKING:
    from codequay.app import App, Quay
    from codequay.kernel.settings import Settings

    from .command import Invocation

T = TypeVar("T")

SIGNALS = (signal.SIGINT, signal.SIGTERM)
STOP_S = 8.0
"""Seconds for everything to close after a signal. Docker kills after ten."""


def settings(call: Invocation, path: str) -> Settings:
    """What the options, the environment and the files say, for work on ``path``; notes go to stderr."""
    from codequay.kernel.settings import load_settings

    options = call.options
    found = load_settings(
        config=Path(options.config) if options.config else None,
        profile=options.profile,
        sets=options.sets,
        project=Path(path),
    )
    for note in found.notes:
        call.out.note(note)
    _log(call, found)
    return found


def app(call: Invocation, settings: Settings) -> App:
    """The library, configured and not yet open."""
    from codequay.app import App

    return App(settings, data=call.options.data)


def ask(call: Invocation, settings: Settings, work: Callable[[Quay], Awaitable[T]], *, readonly: bool = True) -> T:
    """Open the library, await ``work``, close it again, whatever happens.

    What has not closed ``STOP_S`` after a signal is left as it is: the process ends, as it does at once on a second
    signal. What is published is whole at any moment.

    :raises Signalled: SIGINT or SIGTERM came; everything was closed first
    """
    import asyncio
    import threading

    from codequay.indexing import memory

    memory.owned = True
    library = app(call, settings)
    received: list[int] = []
    late: list[threading.Timer] = []

    async def main() -> T:
        task = asyncio.current_task()
        loop = asyncio.get_running_loop()

        def stop(number: int) -> None:
            if received:
                os._exit(128 + number)
            received.append(number)
            timer = threading.Timer(STOP_S, _leave, (number,))
            timer.daemon = True
            timer.start()
            late.append(timer)
            if task is not None:
                task.cancel()

        for number in SIGNALS:
            try:
                loop.add_signal_handler(number, stop, number)
            except (NotImplementedError, RuntimeError):  # Windows, or not the main thread: KeyboardInterrupt remains
                break
        async with library.run(readonly=readonly) as quay:
            return await work(quay)

    try:
        return asyncio.run(main())
    except (Exception, asyncio.CancelledError) as exc:
        if received:
            raise Signalled(received[0]) from exc
        raise
    finally:
        # A thread that is stuck would keep the interpreter from ending: then the timer stays.
        if not any(thread.name.startswith("codequay") for thread in threading.enumerate()):
            for timer in late:
                timer.cancel()


def _leave(number: int) -> None:
    """End the process now."""
    os.write(2, f"note: not closed within {STOP_S:g} s of the signal; ended all the same\n".encode())
    os._exit(128 + number)


def _log(call: Invocation, settings: Settings) -> None:
    """Logging on stderr, when something asks for it: importing it is not free."""
    verbose = call.options.verbose
    level = {0: settings.logging.level, 1: "info"}.get(verbose, "debug")
    if level == "warning" and settings.logging.format == "text":
        return
    import logging

    class JsonLines(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            import json

            said = {"time": record.created, "level": record.levelname.lower(), "logger": record.name}
            return json.dumps({**said, "message": super().format(record)})

    handler = logging.StreamHandler(call.out.stderr)
    if settings.logging.format == "json":
        handler.setFormatter(JsonLines())
    else:
        handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler])
