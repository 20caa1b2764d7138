"""The command ``.ci/services``."""

# ruff: noqa: T201, S108

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import shlex
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .mariadb import MariaDB
from .postgres import PgBouncer, Postgres
from .process import Failed
from .redis import Redis
from .service import Service, owner_only
from .zoekt import Zoekt

SERVICES: dict[str, type[Service]] = {one.name: one for one in (MariaDB, Postgres, PgBouncer, Redis, Zoekt)}
PROFILE = ("postgres", "redis", "zoekt")
"""What ``--settings`` means without a name: the servers of the profile ``server``."""
SHARED_MEMORY = Path("/dev/shm")
ROOM_BYTES = 2**30
"""Free room from which on data lies in shared memory: a server's files begin at 150 MB."""


def main(description: str) -> int:
    asked = _arguments(description)
    try:
        with _place(asked.apart) as folder:
            return max([_try(SERVICES[name](folder), asked) for name in _in_order(asked)])
    except Failed as exc:
        print(exc, file=sys.stderr)
        return 1


def _try(service: Service, asked: argparse.Namespace) -> int:
    """Do it for one server, whatever becomes of the others; the exit status."""
    try:
        _act(service, asked)
    except Failed as exc:
        print(f"{service.name}: {exc}", file=sys.stderr)
        return 1
    return 0


def _arguments(description: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("action", choices=("up", "down", "status", "restart"))
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all when none is given: {', '.join(SERVICES)}")
    parser.add_argument(
        "--settings",
        action="store_true",
        help=f"print what a user of codequay sets, not what tests read; without a NAME of {', '.join(PROFILE)}",
    )
    parser.add_argument("--apart", metavar="NAME", default="", help="servers of their own, apart from those without it")
    parser.add_argument("--durable", action="store_true", help="up: what is acknowledged is on disk; slower")
    asked = parser.parse_intermixed_args()
    unknown = [name for name in asked.names if name not in SERVICES]
    if unknown:
        parser.error(f"no server is named {', '.join(unknown)}; there are {', '.join(SERVICES)}")
    if asked.action == "restart" and not asked.names:
        parser.error("restart: name the servers to kill")
    if not asked.names:
        asked.names = _profile() if asked.settings and asked.action != "down" else list(SERVICES)
    return asked


def _profile() -> list[str]:
    """The servers that a user gets. A double answers tests, not users: without Zoekt, Tantivy is the index."""
    absent = [name for name in PROFILE if not SERVICES[name].is_real()]
    for name in absent:
        print(f"{name}: left out, its programs are not on PATH", file=sys.stderr)
    return [name for name in PROFILE if name not in absent]


def _in_order(asked: argparse.Namespace) -> list[str]:
    """The servers asked for. ``up``: before one, what it needs; ``down``: before one, what needs it."""
    chosen = set(asked.names)
    for name, service in SERVICES.items():
        if asked.action == "down" and chosen & set(service.needs):
            chosen.add(name)
        elif asked.action in ("up", "status") and name in chosen:
            chosen.update(service.needs)
    every = [name for name in SERVICES if name in chosen]
    return every[::-1] if asked.action == "down" else every


def _act(service: Service, asked: argparse.Namespace) -> None:
    if asked.action == "down":
        service.down()
        return
    if asked.action == "restart":
        service.restart()
        return
    state = service.up(durable=asked.durable) if asked.action == "up" else service.state()
    if state is None:
        raise Failed("not running")
    if service.note(state):
        print(f"{service.name}: {service.note(state)}", file=sys.stderr)
    if asked.settings:
        shown = service.settings(state)
    else:
        restart = {f"CODEQUAY_TEST_{service.name.upper()}_RESTART": service.restart_line()}
        shown = service.test_settings(state) | restart
    for key, value in shown.items():
        print(f"export {key}={shlex.quote(value)}")


@contextlib.contextmanager
def _place(apart: str) -> Iterator[Path]:
    """Our folder, held against other runs of this command until the end: every parent is open to a server's user.

    It has the name of its owner in it, and somebody else's is refused: the place is known to all. In memory when there
    is room: a sync then costs nothing (a table takes 5 ms instead of 300), and what a killed server had written is
    there all the same.
    """
    chosen = os.environ.get("CODEQUAY_TEST_SERVICES_DIR", "")
    disk = _temporary()
    root = SHARED_MEMORY if _free(SHARED_MEMORY) >= ROOM_BYTES else disk
    name = "-".join(filter(None, ["codequay-services", str(os.getuid()), apart]))
    folder = disk / name if (disk / name).exists() else root / name
    if chosen:
        folder = Path(f"{chosen}-{apart}" if apart else chosen).absolute()
        if os.geteuid() == 0 and owner_only(folder):
            raise Failed(
                f"servers of root run as other users, who cannot enter {folder.parent}: open it, or choose another"
            )
    held = None
    while held is None:
        held = _hold(folder)
    try:
        yield folder
    finally:
        with contextlib.suppress(OSError):
            folder.rmdir()
        os.close(held)


def _hold(folder: Path) -> int | None:
    """The folder, locked; None when whoever held it has removed it."""
    try:
        folder.mkdir(mode=0o755)
    except FileExistsError:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise Failed(f"{folder} is not our own folder: remove it, or set CODEQUAY_TEST_SERVICES_DIR") from None
    try:
        held = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return None
    fcntl.flock(held, fcntl.LOCK_EX)
    if not folder.exists() or not os.path.samestat(os.fstat(held), folder.stat()):
        os.close(held)
        return None
    folder.chmod(0o755)
    return held


def _temporary() -> Path:
    """The folder for temporary files. As root, one that a server's user can enter: TMPDIR may be root's alone."""
    chosen = Path(tempfile.gettempdir())
    return Path("/tmp") if os.geteuid() == 0 and owner_only(chosen / "any") else chosen


def _free(folder: Path) -> int:
    try:
        return shutil.disk_usage(folder).free if os.access(folder, os.W_OK) else 0
    except OSError:
        return 0
