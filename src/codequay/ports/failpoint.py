"""Named points at which a test ends or pauses the process, to prove that nothing is lost there.

``CODEQUAY_TEST_FAILPOINT=index.flip`` kills the process when it reaches that point, ``index.flip:3`` at the third
time, ``index.flip:3:stop`` pauses it there (SIGSTOP). Without the variable ``reach`` does nothing.
"""

from __future__ import annotations

import os
import signal

VARIABLE = "CODEQUAY_TEST_FAILPOINT"

_armed, _, _rest = os.environ.get(VARIABLE, "").partition(":")
_times, _, _how = _rest.partition(":")
_left = int(_times or 1)


def reach(name: str) -> None:
    """The point of that name is reached."""
    global _left
    if name != _armed:
        return
    _left -= 1
    if not _left:
        os.kill(os.getpid(), signal.SIGSTOP if _how == "stop" else signal.SIGKILL)
