"""A distribution's source tree, made importable as an editable install would, without pip."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path


def install(tree: Path, site: Path) -> str:
    """Announce what ``tree/pyproject.toml`` announces, in the folder ``site``; the ``PYTHONPATH`` that shows both."""
    project = tomllib.loads((tree / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = []
    for group, entries in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in entries.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return os.pathsep.join([str(tree / "src"), str(site)])
