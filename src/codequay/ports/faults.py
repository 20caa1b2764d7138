"""What every port with a server says about one that cannot be reached, or whose answers are lost: level ``faults``.

What an adapter's timeout is stands among the rules of ``codequay.ports``.
"""

from __future__ import annotations

from typing import NamedTuple

from .spec import Clause, Level


class FaultClauses(NamedTuple):
    """The ids under which a port has them."""

    truth: str
    whole: str
    deadline: str
    recovery: str
    restart: str

    def clauses(self, since: str) -> tuple[Clause, ...]:
        """The clauses, for the port's page. ``since``: version of its contract that brought them."""
        return tuple(
            Clause(one, text, Level.FAULTS, since)
            for one, text in zip(self, (TRUTH, WHOLE, DEADLINE, RECOVERY, RESTART), strict=True)
        )


TRUTH = (
    "A connection that fails raises Unavailable or DeadlineExceeded. ambiguous is True where the write may have been"
    " applied, as when its answer was lost, and False where nothing of it was sent; without it nothing was done."
)
WHOLE = (
    "Whatever becomes of the connection (reset, cut after any byte), what was acknowledged is there, and a call that"
    " failed is there whole or not at all (a batch: with atomic_batch)."
)
DEADLINE = (
    "When the server says nothing more, a call ends by itself within the configured timeout (for a connection, and for"
    " an answer), and a cancelled one within three seconds."
)
RECOVERY = (
    "Once the server can be reached again the next calls work without a reopen, each with its own answer; a call that"
    " waits goes on, or raises. After close no connection is left."
)
RESTART = (
    "After the server was killed and started again the next calls work without a reopen; with durable, what was"
    " acknowledged is there."
)
