"""What the core needs of the world: one file per port. Standard library only.

Import names from the port's own module (``codequay.ports.chunks``); ``PORTS`` maps a port's name to that module.

Rules that hold on every page:

- Arguments are valid: the guard has checked them before an adapter sees them, has refused what the adapter does not
  declare (``Unsupported``) and what comes after close (``Closed``). Only what needs the store's content is left to
  check.
- Operations and their arguments are called as on the page; callers name the arguments.
- Text is compared by code point: no folding of case, no Unicode normalisation, no trimming, no wildcards. Order is
  that of Python's ``sorted``, which is that of the bytes in UTF-8. Every string comes back as it was given.
- Answers have the types of the page: a list where it says list, a tuple where it says tuple; aligned with what was
  asked, also when it was asked twice. An empty batch gives an empty answer.
- Pages: ``after`` of an answer is the key of its last item when more follow, else None, also after a full page.
  ``after`` of a call is exclusive, and need not name an item that is there.
- Many tasks of one event loop call at once; a call that blocks the loop blocks all of them. Each write is one step
  for the others where its page says so, and always for one key, one generation or one repository.
- Every ``await`` may be cancelled. A cancelled write has happened or it has not, holds nothing, and the next call
  works.
- When a write has returned, the next read sees it (unless ``visibility`` is declared eventual), and with ``durable``
  it is there after the process was killed.
- What is marked idempotent may be sent again after a reply was lost: the second time gives the same state and no
  error.
- A call raises what its page names; any other exception of a client library goes through the adapter's ``classify``.
  No error, log or ``repr`` holds a secret.
- An adapter of a server has a **timeout** among its options: seconds of the machine's own time that it waits for a
  connection, and again for the answer to one exchange. A caller's shorter deadline reaches it as a cancellation. It
  repeats no write by itself: layers do, which know what is idempotent. Of a write whose answer was lost it says
  ``ambiguous``, and only of such a one.
- Time is otherwise ``ctx.clock`` and never the machine's own; blocking work is ``ctx.run_sync``.
- Opened with ``ctx.readonly`` an adapter makes no file and changes nothing that outlives it. Callers do not write
  then; a write raises some ``PortError`` or is forgotten at close. ``identity`` and ``invalidations`` are no writes.
- Who waits (in ``acquire``, ``wait_lost`` or ``invalidations``) stops before the adapter is closed. A wait that goes
  on may end, raise ``Closed``, or never end.
- After close nothing of the adapter's is left: no task, thread, connection or open file. It never prints, and changes
  nothing of the process.
"""

__all__ = ["PORTS"]

PORTS: dict[str, str] = {
    name: f"codequay.ports.{name}" for name in ("chunks", "lexical", "metadata", "source", "lock", "cache")
}
"""Port name -> module with ``PORT``; plugins may add to the registry's copy, never to this one."""
