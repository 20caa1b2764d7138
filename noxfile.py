"""Sessions: `nox` alone runs lint, types, durability, selftest, tests on every supported interpreter, and docs."""

from __future__ import annotations

import os
import random
import shlex
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nox
import nox.command

nox.needs_version = ">=2024.10"
nox.options.sessions = ["lint", "types", "durability", "selftest", "tests", "docs"]
nox.options.error_on_missing_interpreters = True
nox.options.reuse_existing_virtualenvs = True

SUPPORTED = ("3.11", "3.12", "3.13")
PIP = ("-c", "constraints.txt")
MEMORY = Path("/dev/shm")
ROOM_BYTES = 2 << 30
"""Much more than a session's tests have lying there at a time."""
ON_SERVERS = ("postgres", "redis", "zoekt")
"""Adapters that are tried in the session servers alone."""
CHECK = ("codequay", "contract", "check", "--strict", "--timeout", "60")
"""For our own adapters, which break no clause because it is new, on a machine that other work keeps busy."""


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


@contextmanager
def _light(session: nox.Session) -> Iterator[None]:
    """Wait for no disk: temporary files, programs among them, lie in memory where the system has room there.

    Nor does each of the many interpreters compile the same modules, whatever the caller's environment says.
    """
    here = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and not os.statvfs(MEMORY).f_flag & os.ST_NOEXEC
    roomy = here and shutil.disk_usage(MEMORY).free > ROOM_BYTES
    with tempfile.TemporaryDirectory(prefix="codequay-", dir=MEMORY if roomy else None) as folder:
        session.env.update(TMPDIR=folder, PYTHONDONTWRITEBYTECODE="")
        yield


@nox.session(python=_interpreters())
def tests(session: nox.Session) -> None:
    """The tests but for those of the sessions beside this one; coverage is of the interpreter that runs nox."""
    session.install(*PIP, "-e", ".[dev]")
    # Worksteal: what belongs together stays with one worker, whose fixtures and processes then serve it all.
    fast = ("-m", "not durability and not kit and not servers")
    pytest = ("pytest", "-n", "auto", "--dist", "worksteal", *fast, *session.posargs)
    with _light(session):
        if session.python != sys.executable:
            session.run(*pytest)
            return
        session.run("coverage", "erase")
        session.run("coverage", "run", "-m", *pytest)
        session.run("coverage", "combine", "-q")
        session.run("coverage", "report", "--format=total", silent=False)


@nox.session
def durability(session: nox.Session) -> None:
    """Nothing is lost: processes killed at named points, readers beside a writer, random edits, damage, upkeep."""
    session.install(*PIP, "-e", ".[dev]")
    session.run("pytest", "-n", "auto", "-m", "durability and not servers", *session.posargs)


@nox.session
def selftest(session: nox.Session) -> None:
    """How strong the contract kit is: every saboteur must die, and at least 95 of 100 mutants of each reference.

    First the kit itself: adapters that misbehave, and right ones of odd kinds that it must not accuse.
    """
    session.install(*PIP, "-e", ".[dev]")
    with _light(session):
        session.run("pytest", "-n", "auto", "-m", "kit and not servers")
        session.run("codequay", "contract", "selftest", *session.posargs)


@nox.session
def matrix(session: nox.Session) -> None:
    """What each clause is there for: every one, run alone, must catch some broken adapter. Takes many minutes."""
    session.install(*PIP, "-e", ".[contract]")
    session.run("codequay", "contract", "selftest", "--matrix", *session.posargs)


@nox.session
def explore(session: nox.Session) -> None:
    """With seeds that nobody has tried: the fuzz tests, the state machines of every adapter, and pairs of adapters.

    Each seed is printed: ``codequay contract check NAME --seed N`` and hypothesis's own line repeat a failure.
    """
    session.install(*PIP, "-e", ".[dev]")
    session.run("pytest", "-n", "auto", "--hypothesis-profile=explore", "tests/fuzz", *session.posargs)
    order = random.SystemRandom()
    shipped = [component for component in _shipped() if not _on_server(component)]
    for component in shipped:
        session.run(*CHECK, component, "--seed", str(order.randrange(2**32)))
    for component in shipped:
        port, name = component.split(".")
        # Sources differ by what they are: a folder has no revisions, and each finds its files in its own way.
        if port != "source" and name not in ("memory", "noop"):
            pair = ("--from", f"{port}.memory", "--to", component)
            session.run("codequay", "contract", "diff", *pair, "--seed", str(order.randrange(2**32)))


@nox.session
def certify(session: nox.Session) -> None:
    """Check every adapter that codequay brings and that needs no server, and write its certificate into its folder.

    Those of servers: ``nox -s servers -- certify``.
    """
    session.install(*PIP, "-e", ".[contract]")
    asked = session.posargs
    wrong = []
    for component, module in _shipped().items():
        if _on_server(component) or (asked and component not in asked):
            continue
        report = _folder(module) / "certificates" / f"{component}.json"
        try:
            session.run(*CHECK, component, "--report", str(report))
        except nox.command.CommandFailed:
            wrong.append(component)
    if wrong:
        session.error(f"not certified: {', '.join(wrong)}")


def _shipped() -> dict[str, str]:
    """Adapter -> the package that holds its spec, as announced."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    announced: dict[str, str] = project["entry-points"]["codequay.adapters"]
    return {component: value.partition(":")[0] for component, value in announced.items()}


def _folder(module: str) -> Path:
    return Path("src", *module.split("."))


def _on_server(component: str) -> bool:
    return component.partition(".")[2] in ON_SERVERS


@nox.session
def servers(session: nox.Session) -> None:
    """Adapters of real servers, built and installed as wheels: their tests, the contract, and ``contract diff``.

    The servers come from ``.ci/services``. Without one its tests are skipped as unverified; under ``CI=true`` they
    fail. ``-- certify`` checks the adapters of servers and keeps their certificates.
    """
    ours = Path("contrib", "codequay-mariadb")
    wheels = Path(session.virtualenv.location, "wheels").resolve()
    shutil.rmtree(wheels, ignore_errors=True)
    session.run("python", "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(wheels), ".", str(ours), silent=True)
    kit, adapter = (str(next(wheels.glob(f"{name}-*.whl"))) for name in ("codequay", "codequay_mariadb"))
    session.install(*PIP, f"{kit}[dev]", f"{adapter}[test]")
    session.install("--force-reinstall", "--no-deps", kit, adapter)
    with session.chdir(ours):
        session.run("mypy")
    certify = [one for one in session.posargs if one == "certify"]
    chosen = [one for one in session.posargs if one != "certify"]
    if certify:
        _certify_servers(session, {one: _folder(module) for one, module in _shipped().items() if _on_server(one)})
        _certify_servers(session, {"chunks.mariadb": ours / "src" / "codequay_mariadb"})
        return
    # Much of it waits for servers and clocks, and some of it by real seconds; a worker's servers are its own.
    pytest = ("pytest", "-n", "3", "--dist", "worksteal")
    # The adapter's own tests know nothing of ours, but for the plugin that gives each worker a server.
    plugin = {"PYTHONPATH": str(Path.cwd()), "PYTEST_PLUGINS": "tests.servers"}
    session.run(*pytest, "-c", str(ours / "pyproject.toml"), str(ours / "tests"), env=plugin)
    session.run(*pytest, "-m", "servers", *(chosen or ["tests"]))


def _certify_servers(session: nox.Session, folders: dict[str, Path]) -> None:
    """Check adapters on their real servers, and write their certificates into their folders. A double earns none."""
    wrong = []
    for component, folder in folders.items():
        with _running(session, component.partition(".")[2]) as env:
            if any(key.endswith("_DOUBLE") for key in env):
                session.warn(f"{component} keeps its certificate: its server's programs are not on PATH")
                continue
            report = folder / "certificates" / f"{component}.json"
            try:
                session.run(*CHECK, component, "--report", str(report), env={**env})
            except nox.command.CommandFailed:
                wrong.append(component)
    if wrong:
        session.error(f"not certified: {', '.join(wrong)}")


@contextmanager
def _running(session: nox.Session, name: str) -> Iterator[dict[str, str]]:
    """A server of our own; what tests read of it."""
    services = (sys.executable, str(Path(".ci", "services").resolve()))
    apart = f"--apart=nox-{os.getpid()}"
    up = subprocess.run([*services, "up", name, apart], stdout=subprocess.PIPE, text=True)
    if up.returncode:
        session.error(f"unverified: there is no {name} server")
    lines = (line.removeprefix("export ").partition("=") for line in up.stdout.splitlines())
    try:
        yield {key: shlex.split(value)[0] for key, _, value in lines}
    finally:
        subprocess.run([*services, "down", name, apart], check=True)


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
