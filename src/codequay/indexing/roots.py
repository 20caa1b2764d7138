"""Where an index lies, and what its repository is called.

The folder of the index is ``--data``, else the nearest ``.codequay`` at or above the path, else it belongs at the top
of the main working tree, else at the path. A ``.codequay`` that somebody else could have put there is refused: an
index is read without question, so it must be our own.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Container
from pathlib import Path

from ..ports.errors import NotFound, PermissionDenied
from ..ports.source import SourceRepo

FOLDER = ".codequay"
"""Name of an index folder."""
_ID_FILE = "id"
_GITDIR = re.compile(r"gitdir: (.+)")
_PREFIX_COMPRESSED = 4
"""Version of git's index file that writes paths as differences, so that a search for a name proves nothing."""


def real_path(path: str) -> str:
    """The resolved absolute path.

    :raises NotFound: nothing is there
    """
    real = os.path.realpath(path)
    if not os.path.exists(real):
        raise NotFound(f"no such file or folder: {path}", remedy="give a path that exists")
    return real


def nearest_data(path: str, *, trusted: Container[str] = ()) -> Path | None:
    """The index folder at or above a resolved path, checked unless ``trusted`` names it; None when there is none.

    :raises PermissionDenied: it is a symlink, another user's, or part of the repository
    """
    at = path if os.path.isdir(path) else os.path.dirname(path)
    while True:
        folder = os.path.join(at, FOLDER)
        if os.path.lexists(folder):
            if folder not in trusted:
                check_data(folder)
            return Path(folder)
        above = os.path.dirname(at)
        if above == at:
            return None
        at = above


def check_data(folder: str) -> None:
    """Refuse an index folder that is not ours.

    :raises PermissionDenied: with the remedy
    """
    if os.path.islink(folder):
        raise PermissionDenied(f"{folder} is a symbolic link", remedy=f"rm {folder}, then codequay index")
    if not os.path.isdir(folder):
        raise PermissionDenied(f"{folder} is not a folder", remedy=f"rm {folder}, then codequay index")
    if hasattr(os, "geteuid") and os.stat(folder).st_uid != os.geteuid():
        raise PermissionDenied(f"{folder} belongs to another user", remedy="give --data DIR, a folder of your own")
    if _tracked(folder):
        raise PermissionDenied(
            f"{folder} is tracked by git: it came with the repository",
            remedy=f"git rm -r --cached {FOLDER}, remove it, then codequay index",
        )


def _tracked(folder: str) -> bool:
    """Whether git tracks anything in the folder. Git is started only when its index file cannot rule that out."""
    index = _git_index(os.path.dirname(folder))
    try:
        content = Path(index).read_bytes() if index else b""
    except OSError:
        return False
    if int.from_bytes(content[4:8], "big") < _PREFIX_COMPRESSED and f"{FOLDER}/".encode() not in content:
        return False
    found = subprocess.run(
        ["git", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "ls-files", "-z", "--", FOLDER],
        cwd=os.path.dirname(folder),
        capture_output=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return bool(found.stdout)


def _git_index(folder: str) -> str:
    """The index file of the working tree that the folder lies in, "" outside."""
    while True:
        git = os.path.join(folder, ".git")
        if os.path.isdir(git):
            return os.path.join(git, "index")
        if os.path.isfile(git):
            named = _GITDIR.match(Path(git).read_text(errors="replace"))
            return os.path.join(folder, named[1].strip(), "index") if named else ""
        above = os.path.dirname(folder)
        if above == folder:
            return ""
        folder = above


def new_data(path: str, found: SourceRepo) -> Path:
    """Where the index of a repository belongs that has none yet: the top of its main working tree, else the path."""
    if found.kind == "git":
        return Path(found.main_root) / FOLDER
    return Path(path if os.path.isdir(path) else os.path.dirname(path)) / FOLDER


def repo_id(found: SourceRepo, data: Path, *, name: str = "", create: bool) -> str:
    """The repository's id: configured, else its origin, else the folder's name with a random part kept in the index.

    "" when there is none yet and ``create`` is False. The file has a line per repository: id, tab, folder relative to
    the index's parent, so that a checkout may be moved.
    """
    if name or found.origin:
        return name or found.origin
    place = os.path.relpath(found.main_root, data.parent)
    file = data / _ID_FILE
    known = dict(_ids(file))
    if place in known or not create:
        return known.get(place, "")
    base = re.sub(r"[^\w.-]+", "-", os.path.basename(found.main_root)) or "root"
    made = f"{base}-{os.urandom(4).hex()}"
    data.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8", errors="surrogateescape") as out:
        out.write(f"{made}\t{place}\n")
    return made


def _ids(file: Path) -> list[tuple[str, str]]:
    try:
        lines = file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except FileNotFoundError:
        return []
    return [(place, found) for found, _, place in (line.partition("\t") for line in lines) if found and place]
