"""What the contract kit has certified: read when a plan is made, without the kit.

A certificate lies in the adapter's own folder as ``certificates/PORT.NAME.json``. It speaks of the adapter as long as
the folder's other files, the private modules beside it and the port's page are what they were. ``unverified``: not
every clause of the page was tried; ``double``: it was earned on a stand-in for the adapter's server. A certificate
under waivers holds as long as they do, and one that breaks advisory clauses until the page has another version.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from codequay.ports.spec import PortSpec

FOLDER = "certificates"
State = Literal["certified", "stale", "other contract", "double", "unverified", "failed", "none"]


def state(component: str, module: str, port: PortSpec) -> State:
    """What the certificate of ``PORT.NAME`` says of the installed adapter, whose spec is in ``module``."""
    folder = adapter_folder(module)
    file = folder / FOLDER / f"{component}.json" if folder else None
    try:
        found = json.loads(file.read_text(encoding="utf-8")) if file else None
    except (OSError, ValueError):
        return "none"
    if not isinstance(found, dict) or found.get("component") != component:
        return "none"
    if found.get("digest") != port.digest():
        return "other contract"
    try:
        if found.get("adapter_hash") != adapter_hash(module):
            return "stale"
    except OSError:
        return "stale"
    if found.get("verdict") == "FAIL":
        return "failed"
    until = found.get("until")
    if until and str(until) < datetime.datetime.now(datetime.UTC).date().isoformat():
        return "failed"  # a waiver has expired
    tried = found.get("clauses")
    if found.get("verdict") != "pass" or not isinstance(tried, dict) or any(c.id not in tried for c in port.clauses):
        return "unverified"
    return "double" if found.get("double") else "certified"


def adapter_folder(module: str) -> Path | None:
    """The folder of the adapter's package; of a single module, None: it has no place for a certificate."""
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        return None
    if spec is None or not spec.submodule_search_locations:
        parent = module.rpartition(".")[0]
        return adapter_folder(parent) if parent else None
    return Path(next(iter(spec.submodule_search_locations)))


@lru_cache(maxsize=64)
def adapter_hash(module: str) -> str:
    """A digest of the files of the adapter's folder, without its certificates and compiled files, and of the private
    modules beside it in the same package, on which it may stand."""
    folder = adapter_folder(module)
    if folder is None:
        return ""
    digest = hashlib.blake2b(digest_size=16)
    beside = [file for file in folder.parent.glob("_*.py") if (folder.parent / "__init__.py").exists()]
    for file in sorted([*folder.rglob("*"), *beside]):
        inside = file.relative_to(folder.parent if file in beside else folder)
        if not file.is_file() or inside.parts[0] == FOLDER or "__pycache__" in inside.parts:
            continue
        digest.update(inside.as_posix().encode() + b"\0")
        # A checkout may write other line ends.
        digest.update(file.read_bytes().replace(b"\r\n", b"\n") + b"\0")
    return digest.hexdigest()
