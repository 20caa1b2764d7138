"""Permissions for tests that run as root, whom they do not bind."""

import os
import subprocess
import sys


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
