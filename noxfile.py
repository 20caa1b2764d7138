"""Sessions: `nox` alone runs lint, types, durability, tests on every supported interpreter that is found, and docs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2024.10"
nox.options.sessions = ["lint", "types", "durability", "tests", "docs"]
nox.options.error_on_missing_interpreters = True
nox.options.reuse_existing_virtualenvs = True

SUPPORTED = ("3.11", "3.12", "3.13")
PIP = ("-c", "constraints.txt")


def _interpreters() -> list[str]:
    """Supported interpreters that start: the running one, those on PATH, and those beside the running one."""
    found: dict[str, str] = {}
    beside = Path(sys.base_prefix).parent
    for version in SUPPORTED:
        on_path = shutil.which(f"python{version}")
        candidates = [on_path] if on_path else []
        candidates += [str(p) for p in sorted(beside.glob(f"{version}*/bin/python{version}"), reverse=True)]
        if sys.version_info[:2] == tuple(map(int, version.split("."))):
            candidates.insert(0, sys.executable)
        for python in candidates:
            run = subprocess.run([python, "-c", ""], capture_output=True, check=False)
            if run.returncode == 0:
                found[version] = python
                break
    return list(found.values())


@nox.session
def lint(session: nox.Session) -> None:
    """ruff and import-linter."""
    session.install(*PIP, "-e", ".[dev]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports")


@nox.session
def types(session: nox.Session) -> None:
    """mypy, strict."""
    session.install(*PIP, "-e", ".[dev]")
    session.run("mypy")


@nox.session(python=_interpreters())
def tests(session: nox.Session) -> None:
    """The tests but for those of durability; coverage is reported for the interpreter that runs nox."""
    session.install(*PIP, "-e", ".[dev]")
    pytest = ("pytest", "-n", "auto", "-m", "not durability", *session.posargs)
    if session.python != sys.executable:
        session.run(*pytest)
        return
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", *pytest)
    session.run("coverage", "combine", "-q")
    session.run("coverage", "report", "--format=total", silent=False)


@nox.session
def durability(session: nox.Session) -> None:
    """Nothing is lost: processes killed at named points, readers beside a writer, random edits, damaged files."""
    session.install(*PIP, "-e", ".[dev]")
    session.run("pytest", "-n", "auto", "-m", "durability", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """The generated reference is what the code says."""
    session.install(*PIP, "-e", ".[dev]")
    session.run("python", "docs/generate.py", *(session.posargs or ["--check"]))


@nox.session
def bench(session: nox.Session) -> None:
    """Every benchmark that needs no data from elsewhere; prints tables, judges nothing."""
    session.install(*PIP, ".[dev]")
    for name in ("guard", "sqlite_store", "query_speed", "index_speed", "incremental"):
        session.run("python", "-m", f"bench.{name}")
