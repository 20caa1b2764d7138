"""Whatever an adapter does, the kit answers with a verdict, a reason and a hint; it neither hangs nor falls."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from codequay.contract import Verdict, check
from codequay.contract.report import Report

from .hostile import COMPONENT, HARNESS, announced, implementation

pytestmark = pytest.mark.kit

CLAUSE = "CA-09"
IN_GET = "    async def get(self, key):\n        {}\n        return await super().get(key)\n"


BARE = "from contextlib import asynccontextmanager\n\n@asynccontextmanager\nasync def open_cache(config, ctx):\n"


def in_get(statement: str) -> str:
    return implementation(IN_GET.format(statement))


def at_open(statement: str) -> str:
    return implementation(opening=f"    {statement}")


def at_close(statement: str) -> str:
    return implementation(closing=f"    {statement}")


MISDEEDS = {
    "hangs in a call": (in_get("await asyncio.Event().wait()"), "did not end within"),
    "blocks the loop": (in_get("time.sleep(60)"), "hangs at"),
    "hangs in a thread": (at_open("await ctx.run_sync(time.sleep, 60)"), "did not end within"),
    "hangs when it opens": (at_open("await asyncio.sleep(3600)"), "did not end within"),
    "hangs when it closes": (at_close("await asyncio.sleep(3600)"), "did not end within"),
    "leaks a thread": (
        in_get("threading.Thread(target=time.sleep, args=(30,), daemon=True).start()"),
        "threads still run",
    ),
    "leaks a task": (in_get("self.kept = asyncio.create_task(asyncio.sleep(3600))"), "tasks still run"),
    "leaks a file": (at_open("globals()['kept'] = open(ctx.data / 'left', 'w')"), "left open after close: the file"),
    "leaks a connection": (
        at_open("import socket; globals()['kept'] = socket.socket()"),
        "left open after close: a socket",
    ),
    "leaves closing to the collector": (in_get("open(os.devnull)"), "not closed: "),
    "prints": (in_get("print('here')"), "printed to standard output: 'here"),
    "prints to standard error": (in_get("print('there', file=sys.stderr)"), "printed to standard error: 'there"),
    "prints below Python": (in_get("os.write(1, b'below')"), "printed to standard output: 'below"),
    "prints from a child": (in_get("os.system('echo child >&2')"), "printed to standard error: 'child"),
    "changes the event loop policy": (
        at_open("asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy())"),
        "changed the event loop policy",
    ),
    "changes the folder": (at_open("os.chdir('/')"), "changed the working directory"),
    "raises a BaseException": (in_get("raise type('Odd', (BaseException,), {})('odd')"), "unexpected Odd: odd"),
    "raises SystemExit": (in_get("sys.exit(3)"), "unexpected SystemExit: 3"),
    "raises KeyboardInterrupt": (in_get("raise KeyboardInterrupt"), "unexpected KeyboardInterrupt"),
    "cancels itself": (in_get("raise asyncio.CancelledError"), "CancelledError"),
    "fails in a thread": (
        in_get("t = threading.Thread(target=lambda: 1 / 0); t.start(); t.join()"),
        "ended with ZeroDivisionError",
    ),
    "stops the loop": (in_get("asyncio.get_running_loop().stop(); await asyncio.sleep(0)"), "Event loop stopped"),
    "ends the process": (in_get("os._exit(7)"), "the process ended with status 7"),
    "kills the process": (in_get("os.kill(os.getpid(), 9)"), "the process was ended by signal 9"),
    "aborts": (in_get("os.abort()"), "the process was ended by signal 6"),
    "forks": (in_get("os.fork() or os._exit(0)"), "it forked the process"),
    "reads standard input": (
        in_get("assert sys.stdin.read(1) == '', 'something to read'; raise OSError('at its end')"),
        "at its end",
    ),
    "closes every descriptor": (in_get("os.closerange(0, 64)"), "the process "),
    "returns a tuple for a list": (
        implementation("    async def get_many(self, keys):\n        return tuple(await super().get_many(keys))"),
        "get_many: the answer is tuple",
    ),
    "returns text for bytes": (in_get("return 'text'"), "get: the answer is str 'text'; the page says bytes | None"),
    "returns what cannot be printed": (
        in_get("return type('Odd', (), {'__repr__': lambda self: 1 / 0})()"),
        "whose repr raises ZeroDivisionError",
    ),
    "raises what cannot be printed": (
        in_get("raise type('Odd', (BaseException,), {'__str__': lambda self: 1 / 0})"),
        "its text cannot be had",
    ),
    "raises when it opens": (at_open("raise RuntimeError('no server')"), "unexpected RuntimeError: no server"),
    "raises when it closes": (at_close("raise RuntimeError('too late')"), "unexpected RuntimeError: too late"),
    "never yields": (
        BARE + "    return\n    yield",
        "generator didn't yield",
    ),
    "is no context manager": ("def open_cache(config, ctx):\n    return object()", "context manager"),
    "yields nothing": (
        BARE + "    yield None",
        "has no operation get",
    ),
    "lacks an operation": (implementation("    ttl = None"), "has no operation ttl"),
    "renames an argument": (
        implementation("    async def get(self, name):\n        return None"),
        "get does not take key",
    ),
    "has no such factory": ("open_other = None", "cannot be loaded: AttributeError"),
    "cannot be imported": ("import no_such_module_at_all", "No module named 'no_such_module_at_all'"),
}
POSIX = {"kills the process", "aborts", "forks", "prints from a child"}


@pytest.mark.parametrize("deed", MISDEEDS)
def test_a_misdeed_is_a_verdict_with_a_reason(deed: str, tmp_path: Path) -> None:
    if deed in POSIX and os.name != "posix":
        pytest.skip("POSIX only")
    impl, why = MISDEEDS[deed]
    before = (os.getcwd(), os.environ.copy())
    with announced(tmp_path, impl) as component:
        started = time.monotonic()
        report = check(component, clauses=["CA-02" if "get_many" in why else CLAUSE], timeout=1)
        assert time.monotonic() - started < 25
    assert report.verdict is Verdict.FAIL
    assert any(why in one.reason for one in report.outcomes), [one.reason for one in report.outcomes]
    assert (os.getcwd(), os.environ.copy()) == before


def failed(report: Report) -> str:
    """The one reason of a report in which nothing passed."""
    assert report.verdict is Verdict.FAIL
    assert {one.verdict for one in report.outcomes} == {Verdict.FAIL}
    return report.outcomes[0].reason


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ("raise RuntimeError('broken at import')", "broken at import"),
        ("import sys\nsys.exit(5)", "unexpected SystemExit: 5"),
        ("import os\nos._exit(5)", "the process ended with status 5"),
        ("import time\ntime.sleep(60)", "did not answer within 2 s"),
        ("SPEC = 'a string'", "is not the AdapterSpec of"),
        ("print('at import')\nOTHER = 1", "cannot be loaded: AttributeError"),
    ],
)
def test_a_spec_that_cannot_be_imported_is_a_verdict(spec: str, why: str, tmp_path: Path) -> None:
    with announced(tmp_path, spec=spec) as component:
        assert why in failed(check(component, clauses=[CLAUSE], timeout=2))


@pytest.mark.parametrize(
    ("harness", "why"),
    [
        ("Wrong = 'a string'", "is no subclass of codequay.contract.Harness"),
        ("raise RuntimeError('no harness')", "no harness"),
        (HARNESS.format(body="    def __init__(self):\n        pass"), "the harness Wrong cannot be made"),
        (HARNESS.format(body="    @classmethod\n    def server(cls):\n        return 5"), "server() gave int"),
        (HARNESS.format(body="    @classmethod\n    def server(cls):\n        raise OSError('down')"), "down"),
        (HARNESS.format(body="    waivers = ('CA-01',)"), "waivers must be codequay.contract.Waiver objects"),
        (HARNESS.format(body="    capabilities = 5"), "capabilities cannot be read"),
        (HARNESS.format(body="    async def open(self):\n        return None"), "has no operation get"),
        (
            HARNESS.format(body="    async def leftovers(self):\n        return ['key ct1']"),
            "left behind after close: key ct1",
        ),
        (HARNESS.format(body="    async def leftovers(self):\n        return None + 1"), "unexpected TypeError"),
    ],
)
def test_a_broken_harness_is_a_verdict(harness: str, why: str, tmp_path: Path) -> None:
    with announced(tmp_path, harness=harness) as component:
        report = check(component, clauses=["CA-10", CLAUSE], timeout=2)
    assert report.verdict is Verdict.FAIL
    assert why in "\n".join(one.reason for one in report.outcomes)


def test_an_adapter_that_hangs_everywhere_is_given_up(tmp_path: Path) -> None:
    with announced(tmp_path, at_open("time.sleep(3600)")) as component:
        started = time.monotonic()
        report = check(component, timeout=1)
    assert time.monotonic() - started < 30
    assert report.verdict is Verdict.FAIL
    assert report.counts()["unverified"] > report.counts()["FAIL"]
    assert "one after the other" in report.outcomes[-1].reason


def test_without_reopen_durability_is_unverified(tmp_path: Path) -> None:
    body = "    async def open(self):\n        return await self._from_spec(readonly=False)"
    with announced(tmp_path, harness=HARNESS.format(body=body), capabilities="durable=True") as component:
        report = check(component, clauses=["CA-10", "CA-13"])
    assert report.clauses() == {"CA-10": Verdict.UNVERIFIED, "CA-13": Verdict.UNVERIFIED}
    assert "has no reopen()" in report.outcomes[0].reason
    assert report.verdict is Verdict.UNVERIFIED


def test_an_adapter_that_only_claims_to_be_durable_fails(tmp_path: Path) -> None:
    with announced(tmp_path, capabilities="durable=True") as component:
        report = check(component, clauses=["CA-10", "CA-13"])
    assert report.clauses() == {"CA-10": Verdict.FAIL, "CA-13": Verdict.FAIL}


def test_a_failure_that_every_trial_shares_is_told_once(tmp_path: Path) -> None:
    with announced(tmp_path, implementation("    ttl = None")) as component:
        first, *others = check(component, clauses=["CA-01", "CA-02", "CA-05"]).outcomes
    assert "has no operation ttl" in first.reason
    assert first.hint == "update or uninstall the distribution that provides it"
    assert all(one.reason.startswith(f"as {first.clause}: ") and not one.history for one in others)


def test_the_command_answers_with_exit_code_one(tmp_path: Path) -> None:
    with announced(tmp_path, in_get("os._exit(7)")):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, "-m", "codequay", "contract", "check", COMPONENT, "--clause", CLAUSE],
            capture_output=True, text=True, env=environment, timeout=60, check=False, cwd=tmp_path,
        )  # fmt: skip
    assert done.returncode == 1
    assert "the process ended with status 7" in done.stdout
    assert "Traceback" not in done.stderr
    assert not (tmp_path / ".hypothesis").exists()
