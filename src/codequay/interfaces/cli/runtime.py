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

    :raises Signalled: SIGINT or SIGTERM came; everything was closed first
    """
    import asyncio

    library = app(call, settings)
    received: list[int] = []

    async def main() -> T:
        task = asyncio.current_task()
        loop = asyncio.get_running_loop()

        def stop(number: int) -> None:
            if received:  # asked twice: leave at once; the published generation is whole at any moment
                os._exit(128 + number)
            received.append(number)
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
