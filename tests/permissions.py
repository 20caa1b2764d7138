"""Permissions for tests that run as root, whom they do not bind, and for those that run commands as somebody else."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SHORT = 40
"""Characters of a path below which a socket may lie: 107 are all that its name may have."""


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter, and a socket may lie in; gone at the end.

    pytest's own folders are their user's alone, and TMPDIR may be as well, or have a name that servers cannot do with:
    then it is in ``/tmp``.
    """
    place = Path(tempfile.gettempdir()).resolve()
    plain = len(str(place)) <= SHORT and " " not in str(place)
    if not plain or not all(one.stat().st_mode & 0o001 for one in (place, *place.parents)):
        place = Path("/tmp").resolve()
    path = Path(tempfile.mkdtemp(prefix="codequay-", dir=place))
    path.chmod(0o755)
    try:
        yield path
    finally:
        path.chmod(0o755)
        shutil.rmtree(path)


def bare_environment(home: Path) -> dict[str, str]:
    """The environment of a server, or of a command that somebody else runs: of ours only where programs are.

    Our TMPDIR and HOME may be closed to him, and variables such as PGOPTIONS would change what he does.
    """
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return kept | {"LANG": "C.UTF-8", "HOME": str(home), "TMPDIR": str(home)}


def without_override() -> None:
    """For ``preexec_fn``: root without the capabilities that ignore permissions.

    Another user would do, but where the interpreter lies in root's own folder it could not be started.
    """
    if sys.platform == "linux" and os.geteuid() == 0:
        import ctypes

        drop_from_bounding_set = 24
        libc = ctypes.CDLL(None)
        for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
            libc.prctl(drop_from_bounding_set, capability, 0, 0, 0)


def bound_reader(script: str, folder: os.PathLike[str]) -> "subprocess.Popen[str]":
    """A child that runs ``script`` with the folder as its argument, and that permissions bind; it talks by lines."""
    return subprocess.Popen(
        [sys.executable, "-c", script, os.fspath(folder)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=without_override,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
