"""Keeping an index current: it follows what the system says of changed files, and looks itself now and then."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ..ports.errors import LockBusy, MissingExtra, NotFound, PortError, ResourceExhausted, Unavailable
from .messages import IndexRequest
from .reports import WatchEvent, WatchRequest

if TYPE_CHECKING:
    from .messages import IndexAnswer
    from .openings import Openings
    from .quay import Quay

SWEEP_S = 300.0
"""A system may lose changes without saying so; comparing the whole tree this often costs next to nothing."""
FIRST_RETRY_S = 1.0
LONGEST_RETRY_S = 60.0
"""After a failure it is tried again, after twice as long each time, or at the next change."""
QUIET = frozenset({".git", ".hg", ".svn"})
"""Folders whose changes are no change of the files; a commit or a checkout shows in the files themselves."""


async def watch(quay: Quay, openings: Openings, request: WatchRequest) -> AsyncGenerator[WatchEvent, None]:
    """Index now, and again whenever the tree has changed; an event for each run that changed something or failed.

    :raises MissingExtra: watchfiles is not installed
    :raises NotFound: the tree is not there, or not any more
    :raises ResourceExhausted: the system watches no more folders
    """
    real, _ = openings.locate(request.path)
    found, _ = await openings.describe(real)
    data = await openings.folder(request.path)
    changed = asyncio.Event()
    notify = asyncio.create_task(_notify(found.root, data, request, changed))
    await asyncio.sleep(0)  # the watch stands before the first comparison, so that nothing falls between the two
    _check(notify)
    try:
        first, retry = True, FIRST_RETRY_S
        while True:
            changed.clear()
            try:
                answer = await quay.index(IndexRequest(request.path))
            except PortError as exc:
                if _is_gone(found.root):
                    raise NotFound(f"{found.root} is gone", remedy="watch where it is now") from exc
                if not isinstance(exc, LockBusy):
                    yield WatchEvent("", 0, 0, 0, 0.0, error=f"{exc.code}: {exc.message}", remedy=exc.remedy)
                pause, retry = retry, min(retry * 2, LONGEST_RETRY_S)
            else:
                if first or answer.changed_files or answer.removed_files:
                    yield _event(answer)
                first, pause, retry = False, SWEEP_S, FIRST_RETRY_S
            await _until(changed, notify, pause)
    finally:
        notify.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await notify


def _is_gone(root: str) -> bool:
    return not os.path.isdir(root)


def _event(answer: IndexAnswer) -> WatchEvent:
    return WatchEvent(answer.repo, answer.generation, answer.changed_files, answer.removed_files, answer.seconds)


async def _until(changed: asyncio.Event, notify: asyncio.Task[None], seconds: float) -> None:
    """Wait for a change or so many seconds; the end of the watch itself is an error and is raised."""
    waiting = asyncio.create_task(changed.wait())
    try:
        await asyncio.wait({waiting, notify}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    _check(notify)


def _check(notify: asyncio.Task[None]) -> None:
    """Raise why nobody watches any more."""
    if notify.done():
        notify.result()
        raise Unavailable("the system has ceased to tell of changes", remedy="start codequay watch again")


async def _notify(root: str, data: Path, request: WatchRequest, changed: asyncio.Event) -> None:
    """Set ``changed`` for each settled batch of changes below ``root``.

    :raises ResourceExhausted: the system watches no more folders
    """
    try:
        import watchfiles
    except ImportError as exc:
        raise MissingExtra("watching needs watchfiles", remedy="pip install 'codequay[watch]'") from exc
    own = str(data)

    def counts(_change: object, path: str) -> bool:
        if path == own or path.startswith(own + os.sep):
            return False
        return QUIET.isdisjoint(path.removeprefix(root).split(os.sep))

    try:
        async for _ in watchfiles.awatch(
            root,
            watch_filter=counts,
            step=request.settle_ms,
            debounce=max(1600, request.settle_ms),
            force_polling=request.poll,
            ignore_permission_denied=True,
        ):
            changed.set()
    except OSError as exc:
        raise ResourceExhausted(
            f"the system does not watch {root}: {exc}",
            remedy="raise fs.inotify.max_user_watches, or codequay watch --poll",
        ) from exc
