"""Started by the interpreter when this folder is on ``PYTHONPATH``: a wall clock that is wrong.

``CODEQUAY_TEST_CLOCK=86400`` sets it a day ahead, ``CODEQUAY_TEST_CLOCK=-86400:2`` a day back once two seconds of the
process have passed. The monotonic clock is left alone, as by a person who sets the time.
"""

import os
import time

_shift, _, _after = os.environ.get("CODEQUAY_TEST_CLOCK", "0").partition(":")
_began = time.monotonic()
_time, _time_ns = time.time, time.time_ns


def _offset() -> float:
    return float(_shift) if time.monotonic() - _began >= float(_after or 0) else 0.0


def wrong_time() -> float:
    return _time() + _offset()


def wrong_time_ns() -> int:
    return _time_ns() + int(_offset()) * 1_000_000_000


time.time, time.time_ns = wrong_time, wrong_time_ns
