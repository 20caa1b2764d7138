"""Real, small distributions on ``sys.path``: a ``.dist-info`` folder with entry points, and modules."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CACHE_SPEC = """
from codequay.ports.cache import CacheCapabilities
from codequay.ports.spec import AdapterSpec, Requirement

SPEC = AdapterSpec(
    port="cache",
    name="{name}",
    factory="{module}_impl:open_cache",
    capabilities=CacheCapabilities({capabilities}),
    summary="a test double",
    {more}
)
"""


def distribution(
    folder: Path, name: str, entry_points: dict[str, dict[str, str]], modules: dict[str, str], version: str = "1.0"
) -> None:
    """Install a distribution into a folder. ``entry_points`` maps a group to name -> value."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = []
    for group, entries in entry_points.items():
        lines.append(f"[{group}]")
        lines += [f"{entry} = {value}" for entry, value in entries.items()]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    for module, source in modules.items():
        (folder / f"{module}.py").write_text(source)


def cache_adapter(
    folder: Path, name: str, *, dist: str, impl: str = "", capabilities: str = "", more: str = ""
) -> None:
    """A distribution that announces one cache adapter; ``impl`` is the source of its implementation module."""
    module = dist.replace("-", "_")
    distribution(
        folder,
        dist,
        {"codequay.adapters": {f"cache.{name}": f"{module}_spec:SPEC"}},
        {
            f"{module}_spec": CACHE_SPEC.format(name=name, module=module, capabilities=capabilities, more=more),
            f"{module}_impl": impl,
        },
    )


@contextmanager
def on_path(*folders: Path) -> Iterator[None]:
    """Put folders first on ``sys.path``; forget afterwards what was imported from them."""
    before, loaded = list(sys.path), set(sys.modules)
    sys.path[:0] = [str(folder) for folder in folders]
    try:
        yield
    finally:
        sys.path[:] = before
        for module in set(sys.modules) - loaded:
            file = getattr(sys.modules[module], "__file__", None) or ""
            if any(file.startswith(str(folder)) for folder in folders):
                del sys.modules[module]
