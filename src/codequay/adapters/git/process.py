"""Running git so that it executes nothing of the repository's.

Hooks, the file-system monitor, filters, textconv, external diffs, the pager, remote helpers and lazy fetches are off,
whatever the repository's configuration says; the caller's GIT_DIR and its kin do not reach the child.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from .errors import GitError, GitMissing

_OPTIONS = (
    "--no-pager",
    "--literal-pathspecs",
    "-c", "core.fsmonitor=false",
    "-c", "core.hooksPath=/dev/null",
    "-c", "core.quotePath=false",
    "-c", "protocol.allow=never",
    "-c", "safe.bareRepository=explicit",
    "-c", "submodule.recurse=false",
    "-c", "blame.ignoreRevsFile=",
)  # fmt: skip

_KEEP = ("GIT_CONFIG", "GIT_CEILING_DIRECTORIES", "GIT_DISCOVERY_ACROSS_FILESYSTEM", "GIT_EXEC_PATH")
"""The user's own configuration stays: it holds ``safe.directory``."""
_DROP = ("GIT_CONFIG", "GIT_CONFIG_PARAMETERS")
"""What a running git hands to its hooks; it may name another repository's configuration."""

_SET = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    # Overrides protocol.<name>.allow of the repository, which protocol.allow does not.
    "GIT_ALLOW_PROTOCOL": "",
    "LC_ALL": "C",
}


def child_environment(env: Mapping[str, str]) -> dict[str, str]:
    """The child's environment: the caller's, without what would point git elsewhere."""
    kept = {
        name: value
        for name, value in env.items()
        if not name.startswith("GIT_") or (name.startswith(_KEEP) and name not in _DROP)
    }
    return kept | _SET


class Git:
    """The git program."""

    def __init__(self, binary: str) -> None:
        self._binary = binary

    @asynccontextmanager
    async def start(self, root: str, args: Sequence[str | bytes]) -> AsyncIterator[asyncio.subprocess.Process]:
        """A running git with pipes; killed and reaped when the block ends early.

        :raises GitMissing: there is no such program
        """
        try:
            process = await asyncio.create_subprocess_exec(
                self._binary,
                *_OPTIONS,
                *args,
                cwd=root,
                env=child_environment(os.environ),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except FileNotFoundError as exc:
            if exc.filename == root:
                raise
            raise GitMissing(f"cannot start {self._binary!r}") from exc
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await asyncio.shield(process.wait())

    async def run(self, root: str, *args: str | bytes) -> bytes:
        """What git prints.

        :raises GitError: it ended with another status than 0
        """
        async with self.start(root, args) as process:
            out, err = await process.communicate()
            if process.returncode:
                raise GitError(os.fsdecode(args[0]), process.returncode, err.decode(errors="replace"))
            return out

    async def ask(self, root: str, *args: str | bytes) -> str:
        """What git prints, less the last newline; "" when it ended with status 1 ("there is none")."""
        async with self.start(root, args) as process:
            out, err = await process.communicate()
            if process.returncode not in (0, 1):
                raise GitError(os.fsdecode(args[0]), process.returncode or 0, err.decode(errors="replace"))
            return os.fsdecode(out.removesuffix(b"\n").removesuffix(b"\r"))
