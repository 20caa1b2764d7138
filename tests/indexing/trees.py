"""Trees on disk for the tests of an index run."""

from __future__ import annotations

from pathlib import Path


def tree(root: Path, **files: str | bytes) -> Path:
    """Files by name; "__" stands for "/"."""
    for name, content in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root
