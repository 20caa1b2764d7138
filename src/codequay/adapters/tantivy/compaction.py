"""Compaction: every document written anew, from the text that the chunk store holds.

Tantivy merges segments when it likes and tantivy-py cannot ask it to; a merge of segments with deletions also only
estimates their number of words, so scores would not come back to those of a clean rebuild.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from codequay.ports.lexical import ReadFiles

from .writing import Staging


async def compact(staging: Staging, run: Callable[..., Awaitable[Any]], read: ReadFiles) -> int:
    """See ``SupportsCompaction``. ``run`` runs blocking work in a thread; memory is a page and the writers' heaps."""
    await run(staging.start_over)
    try:
        written = 0
        page = await run(staging.lying, 0)
        while page:
            files = await read([one.ref for one in page])
            await run(staging.write_again, page, files)
            written += len(page)
            page = await run(staging.lying, page[-1].slot)
        await run(staging.finish)
    except BaseException:
        await run(staging.give_up)
        raise
    return written
