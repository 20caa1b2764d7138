"""Real git repositories for tests."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from codequay.adapters.folder.config import FolderConfig
from codequay.adapters.folder.source import FolderSource
from codequay.adapters.folder.source import open_source as open_folder
from codequay.adapters.git.config import GitConfig
from codequay.adapters.git.source import GitSource
from codequay.adapters.git.source import open_source as open_git
from codequay.ports.source import SourceBlob
from tests.contexts import build_context

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
    "GIT_CONFIG_GLOBAL": os.devnull,
}


def git(root: Path, *args: str) -> str:
    """Run git, and give what it prints."""
    done = subprocess.run(["git", *args], cwd=root, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def init(root: Path) -> Path:
    """An empty repository."""
    root.mkdir(parents=True, exist_ok=True)
    git(root, "init", "-q", "-b", "main")
    return root


def commit(root: Path, message: str = "change") -> str:
    """Commit everything; the commit's id."""
    git(root, "add", "-A")
    git(root, "commit", "-q", "--allow-empty", "-m", message)
    return git(root, "rev-parse", "HEAD")


@asynccontextmanager
async def git_source(data: Path) -> AsyncIterator[GitSource]:
    async with build_context(data) as ctx, open_git(GitConfig(), ctx) as source:
        yield source


@asynccontextmanager
async def folder_source(data: Path) -> AsyncIterator[FolderSource]:
    async with build_context(data) as ctx, open_folder(FolderConfig(), ctx) as source:
        yield source


async def blobs(source: GitSource | FolderSource, root: Path, *paths: str, **options: object) -> list[SourceBlob]:
    """What ``read`` gives."""
    return [blob async for blob in source.read(str(root), paths, **options)]  # type: ignore[arg-type]
