"""How the contract kit fills a git repository."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

from codequay.contract.tree import DiskTree, SourceHarness, Tree

_PROGRAMS = (
    "core.askPass",
    "core.editor",
    "core.fsmonitor",
    "core.gitProxy",
    "core.pager",
    "core.sshCommand",
    "credential.helper",
    "diff.external",
    "diff.evil.command",
    "diff.evil.textconv",
    "filter.evil.clean",
    "filter.evil.process",
    "filter.evil.smudge",
    "gpg.program",
    "pager.blame",
    "uploadpack.packObjectsHook",
)
"""Settings that name a program to run."""
_OF_THE_USER = ("core.excludesFile", "core.attributesFile")
"""Files of the user's own that the adapter obeys; what the kit expects does not depend on them."""
_HOOKS = ("fsmonitor-watchman", "post-checkout", "post-index-change", "pre-commit", "reference-transaction")


class GitHarness(SourceHarness):
    """The kit writes files and commits them with the git program."""

    async def plant(self, adapter: Any) -> Tree:
        return GitTree(self.folder)


class GitTree(DiskTree):
    """A repository of the git program. Commits of the same content in the same order have the same ids."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._commits = 0
        self._git("init", "-q", "-b", self.branch)
        for setting in _OF_THE_USER:
            self._git("config", setting, os.devnull)

    async def commit(self) -> str:
        self._commits += 1
        self._git("add", "-A")
        self._git("commit", "-q", "--allow-empty", "-m", "change")
        return self._git("rev-parse", "HEAD")

    async def ignore(self, path: str) -> None:
        _append(Path(self.root, ".git/info/exclude"), f"/{path}\n")

    async def submodule(self, path: str) -> None:
        os.makedirs(os.path.join(self.root, path))
        self._git("update-index", "--add", "--cacheinfo", f"160000,{'0123456789' * 4},{path}")

    async def nest(self, path: str) -> None:
        await self.write(f"{path}/inside", b"")
        self._git("init", "-q", "-b", self.branch, path)

    async def trap(self) -> None:
        program = _trap(Path(self.root, ".git"), self.mark)
        for setting in _PROGRAMS:
            self._git("config", setting, program)

    def _git(self, *arguments: str) -> str:
        date = f"{1_700_000_000 + self._commits} +0000"
        outside = {
            **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": self.author,
            "GIT_AUTHOR_EMAIL": "author@example.org",
            "GIT_AUTHOR_DATE": date,
            "GIT_COMMITTER_NAME": self.author,
            "GIT_COMMITTER_EMAIL": "author@example.org",
            "GIT_COMMITTER_DATE": date,
        }
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.root,
            env=outside,
            check=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
        )
        return done.stdout.strip()


def _append(file: Path, text: str) -> None:
    file.parent.mkdir(exist_ok=True)
    with file.open("a", encoding="utf-8") as lines:
        lines.write(text)


def _trap(folder: Path, mark: str) -> str:
    """Hooks and attributes that lead to a program which writes ``mark``; the program."""
    program = folder / "evil.sh"
    for script in (program, *(folder / "hooks" / hook for hook in _HOOKS)):
        script.parent.mkdir(exist_ok=True)
        script.write_text(f"#!/bin/sh\necho ran >> '{mark!s}'\ncat\n", encoding="utf-8")
        script.chmod(0o755)
    _append(folder / "info/attributes", "* filter=evil diff=evil\n")
    return str(program)
