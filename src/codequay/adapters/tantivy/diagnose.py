"""Looking for damage: the placements' tables, the checksum of every file, and whether all documents are there."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from codequay.adapters._placements import rebuild
from codequay.ports.diagnose import Finding, Level
from codequay.ports.errors import Corrupt, PortError
from codequay.ports.lexical import Unit

from .errors import classify
from .index import View
from .placements import Reader
from .segments import check, read_meta, segments

COMPONENT = "lexical.tantivy"


def diagnose(root: Path, reader: Reader, views: Mapping[Unit, View]) -> list[Finding]:
    """What is wrong with the index in ``root``; one finding of level ``ok`` when nothing is."""
    wrong = [f"{root / 'placements.db'}: {line}" for line in reader.damage()]
    for view in views.values():
        wrong += _files(view)
    if not wrong:
        wrong += _missing(reader, views)
    if wrong:
        return [Finding(Level.ERROR, COMPONENT, what, rebuild(root)) for what in wrong]
    return [Finding(Level.OK, COMPONENT, "the placements and every file of the indexes are whole")]


def _files(view: View) -> list[str]:
    """Damaged and missing files of the last commit; a commit meanwhile is looked at instead."""
    while True:
        meta = read_meta(view.path)
        try:
            check(view.path, segments(view.path, meta), set(), sys.maxsize, named=view.path)
        except Corrupt as exc:
            if read_meta(view.path) == meta:
                return [exc.message]
        else:
            return []


def _missing(reader: Reader, views: Mapping[Unit, View]) -> list[str]:
    """Documents that the placements name and an index lacks: its folder is older than they are, or another's."""
    try:
        version = reader.version()
        files, chunks = reader.lying()
        for view in views.values():
            view.reload()
        if reader.staging() or reader.version() != version:
            return []
    except PortError as exc:
        return [exc.message]
    except Exception as exc:
        verdict = classify(exc)
        if verdict is None:
            raise
        return [verdict.message]
    wanted: dict[Unit, int] = {"file": files, "chunk": chunks}
    lacking = {unit: wanted[unit] - view.searcher.num_docs for unit, view in views.items()}
    return [
        f"{view.path} lacks {lacking[unit]} of {wanted[unit]} documents"
        for unit, view in views.items()
        if lacking[unit] > 0
    ]
