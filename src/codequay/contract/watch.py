"""What an adapter must not do to the process that it runs in, seen from outside of one trial.

It must not print, leave threads, open files or sockets behind, fail unseen in a thread, change the event loop policy
or the working directory. Whatever it changed is put back, so that the next trial begins clean.
"""

from __future__ import annotations

import asyncio
import atexit
import gc
import io
import logging
import os
import stat
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from typing import Any

from .expect import shown

OWN = "contract-"
"""Names of the kit's threads begin with it."""
STREAMS = {1: "output", 2: "error"}
SAID = 200
"""Characters of what was printed that a report shows."""


@contextmanager
def watched(problems: list[str], ending: float) -> Iterator[None]:
    """Note in ``problems`` what the block did to the process. Threads get ``ending`` seconds to end."""
    for fd in STREAMS:
        _file(fd)
    with ExitStack() as stack:
        stack.callback(_policy_and_folder(problems))
        stack.callback(_left(problems, ending))
        for watch in (_quiet, _unseen, _unclosed):
            stack.enter_context(watch(problems))
        yield


def _policy_and_folder(problems: list[str]) -> Callable[[], None]:
    policy, folder = _policy(), os.getcwd()

    def look() -> None:
        if _policy() is not policy:
            problems.append("it changed the event loop policy of the process")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                asyncio.set_event_loop_policy(policy)
        try:
            moved = os.getcwd() != folder
        except OSError:
            moved = True
        if moved:
            problems.append("it changed the working directory of the process")
            os.chdir(folder)

    return look


def _policy() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return asyncio.get_event_loop_policy()


def _left(problems: list[str], ending: float) -> Callable[[], None]:
    """Threads, files and sockets that were not there before."""
    threads, handles = set(threading.enumerate()), _handles()

    def look() -> None:
        deadline = time.monotonic() + ending
        while left := [t for t in threading.enumerate() if t not in threads and not t.name.startswith(OWN)]:
            if time.monotonic() > deadline:
                problems.append(f"threads still run after close: {', '.join(t.name for t in left)}")
                return
            time.sleep(0.001)
        if _handles().keys() - handles.keys():
            gc.collect()
            found = _handles()
            problems.extend(f"left open after close: {found[one]}" for one in found.keys() - handles.keys())

    return look


def _handles() -> dict[tuple[int, int, int], str]:
    """Open files and sockets -> what they are; nothing on a system that does not list them."""
    folder = "/proc/self/fd" if sys.platform == "linux" else "/dev/fd"
    found: dict[tuple[int, int, int], str] = {}
    try:
        names = os.listdir(folder)
    except OSError:
        return found
    for name in names:
        try:
            about = os.fstat(int(name))
        except (OSError, ValueError):
            continue
        if stat.S_ISREG(about.st_mode):
            what = f"the file {_target(folder, name)}"
        elif stat.S_ISSOCK(about.st_mode):
            what = "a socket"
        else:
            continue
        found[int(name), about.st_dev, about.st_ino] = what
    return found


def _target(folder: str, name: str) -> str:
    try:
        return os.readlink(f"{folder}/{name}")
    except OSError:
        return name


@contextmanager
def _quiet(problems: list[str]) -> Iterator[None]:
    """Both standard streams, also below Python; log records that nobody handles are no output."""
    with ExitStack() as stack:
        streams = [(name, stack.enter_context(_diverted(fd))) for fd, name in STREAMS.items()]
        out, err = io.StringIO(), io.StringIO()
        stack.enter_context(redirect_stdout(out))
        stack.enter_context(redirect_stderr(err))
        stack.callback(setattr, logging, "lastResort", logging.lastResort)
        logging.lastResort = logging.NullHandler()
        yield
        for (name, below), above in zip(streams, (out, err), strict=True):
            said = above.getvalue() + below()
            if said:
                problems.append(f"it printed to standard {name}: {shown(said, SAID)}")


@contextmanager
def _diverted(fd: int) -> Iterator[Callable[[], str]]:
    """The descriptor goes to a file; what was written to it."""
    try:
        kept = os.dup(fd)
    except OSError:  # It is closed: nobody sees what is written.
        yield lambda: ""
        return
    try:
        file = _file(fd)
        file.seek(0)
        file.truncate()
        os.dup2(file.fileno(), fd)
        yield lambda: _read(file)
    finally:
        os.dup2(kept, fd)
        os.close(kept)


_files: dict[int, Any] = {}


def _file(fd: int) -> Any:
    """One file per stream and process, without a name; opened before anybody counts open files."""
    if fd not in _files:
        _files[fd] = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - as long as the process
        atexit.register(_files[fd].close)
    return _files[fd]


def _read(file: Any) -> str:
    file.seek(0)
    return bytes(file.read(4 * SAID)).decode("utf-8", "replace")


@contextmanager
def _unseen(problems: list[str]) -> Iterator[None]:
    """Exceptions that Python would only print: of threads, finalizers and callbacks."""
    hooks = threading.excepthook, sys.unraisablehook

    def in_thread(args: Any) -> None:
        name = args.thread.name if args.thread else "?"
        problems.append(f"thread {name} ended with {args.exc_type.__name__}: {shown(args.exc_value)}")

    def unraisable(args: Any) -> None:
        problems.append(f"{args.err_msg or 'ignored'}: {args.exc_type.__name__}: {shown(args.exc_value)}")

    threading.excepthook, sys.unraisablehook = in_thread, unraisable
    try:
        yield
    finally:
        threading.excepthook, sys.unraisablehook = hooks


@contextmanager
def _unclosed(problems: list[str]) -> Iterator[None]:
    """What only the garbage collector closed; other warnings are the adapter's own affair."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", ResourceWarning)
        yield
    problems.extend(f"not closed: {shown(str(one.message))}" for one in found if one.category is ResourceWarning)
