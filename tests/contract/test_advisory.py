"""A clause that is new in its port's contract is told, and fails nobody before the next version."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from codequay.contract import Outcome, Verdict, Waiver
from codequay.contract.crash import environment
from codequay.contract.report import settled
from codequay.kernel import certificates
from codequay.ports.cache import PORT, Cache, CacheCapabilities
from codequay.ports.spec import Clause, Level, PortSpec
from tests.cli.conftest import check as check_schema
from tests.kernel.distributions import CACHE_SPEC, distribution

from .hostile import implementation

OLD, NEW, KEPT = "CA-02", "CA-25", "CA-06"
"""What the adapters below break (of a later version of the port, another new clause), and what they keep."""
BREAKS = {
    OLD: "    async def get_many(self, keys):\n        return await super().get_many(sorted(keys))",
    NEW: "    async def exists(self, key):\n        return bool(await self.get(key))",
}
COMPONENT = "cache.shelf"


def port(version: tuple[int, int], *clauses: Clause) -> PortSpec:
    return PortSpec("cache", Cache, CacheCapabilities, "", clauses, version=version)


@pytest.mark.parametrize(
    "since", ["", "1", "1.", "1.0.0", "01.1", "1.01", "0.1", "v1.1", "1.1\n", "1.x", "-1.0", "١.٠"]
)
def test_a_version_of_another_form_is_refused(since: str) -> None:
    with pytest.raises(ValueError, match="X-01: since is a version like"):
        Clause("X-01", "a sentence", since=since)


def test_a_clause_cannot_be_newer_than_its_port() -> None:
    for version, since in (((1, 0), "1.1"), ((1, 9), "1.10"), ((1, 9), "2.0")):
        with pytest.raises(ValueError, match=f"X-01 is of contract {since}, and cache is at 1"):
            port(version, Clause("X-01", "a sentence", since=since))


def test_an_id_is_given_once() -> None:
    with pytest.raises(ValueError, match="cache has two clauses X-01"):
        port((1, 0), Clause("X-01", "a sentence"), Clause("X-01", "another"))


@pytest.mark.parametrize(
    ("version", "since", "advisory"),
    [
        ((1, 0), "1.0", False),
        ((1, 1), "1.1", True),
        ((1, 1), "1.0", False),
        ((1, 2), "1.1", False),
        ((1, 10), "1.10", True),
        ((1, 10), "1.1", False),
        ((2, 0), "2.0", False),
        ((2, 0), "1.9", False),
        ((2, 1), "2.1", True),
        ((2, 1), "1.1", False),
    ],
)
def test_a_clause_is_advisory_in_the_minor_version_that_brought_it(
    version: tuple[int, int], since: str, advisory: bool
) -> None:
    clause = Clause("X-01", "a sentence", since=since)
    assert port(version, clause).advisory(clause) is advisory


def test_the_digest_of_a_page_tells_when_a_clause_came() -> None:
    old, new = (port((1, 1), Clause("X-01", "a sentence", since=since)) for since in ("1.0", "1.1"))
    assert old.digest() != new.digest()


def outcome(clause: str, verdict: Verdict) -> Outcome:
    return Outcome(clause, Level.CORE, "a sentence", verdict, 0.1, "a reason", "a hint", "a script")


PAGE = port((1, 1), Clause("X-01", "old"), Clause("X-02", "new", since="1.1"))
WAIVER = Waiver("X-02", "it sorts", "https://example.org/1", "2999-01-01")


@pytest.mark.parametrize(
    ("clause", "verdict", "waivers", "strict", "expected"),
    [
        ("X-02:trial", Verdict.FAIL, (), False, Verdict.ADVISORY),
        ("X-02:trial", Verdict.FAIL, (), True, Verdict.FAIL),
        ("X-01:trial", Verdict.FAIL, (), False, Verdict.FAIL),
        ("X-02:trial", Verdict.UNVERIFIED, (), False, Verdict.UNVERIFIED),
        ("X-02:trial", Verdict.PASS, (), False, Verdict.PASS),
        ("X-02:trial", Verdict.FAIL, (WAIVER,), False, Verdict.WAIVED),
        ("X-02:trial", Verdict.PASS, (WAIVER,), False, Verdict.FAIL),
    ],
)
def test_only_a_failure_of_a_new_clause_is_advisory(
    clause: str, verdict: Verdict, waivers: tuple[Waiver, ...], strict: bool, expected: Verdict
) -> None:
    (found,) = settled([outcome(clause, verdict)], waivers, PAGE, strict=strict)
    assert found.verdict is expected
    if expected is Verdict.ADVISORY:
        assert (found.reason, found.hint, found.history) == ("a reason", "a hint", "a script")


def test_an_expired_waiver_of_a_new_clause_fails() -> None:
    gone = Waiver("X-02", "it sorts", "https://example.org/1", "2020-01-01")
    (found,) = settled([outcome("X-02:trial", Verdict.FAIL)], [gone], PAGE)
    assert found.verdict is Verdict.FAIL
    assert "the waiver has expired" in found.reason


def shelf(folder: Path, broken: str) -> Path:
    """The package of an installed distribution of somebody else's, whose cache breaks one clause."""
    distribution(folder, "acme-shelf", {"codequay.adapters": {COMPONENT: "acme_shelf:SPEC"}}, {})
    package = folder / "acme_shelf"
    package.mkdir()
    spec = CACHE_SPEC.format(name="shelf", module="acme_shelf.store", capabilities="", more="")
    (package / "__init__.py").write_text(spec)
    (package / "store_impl.py").write_text(implementation(BREAKS[broken]))
    return package


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command of somebody who has the distribution in ``folder``."""
    env = {**environment(), "PYTHONPATH": str(folder)}
    return subprocess.run(
        [sys.executable, "-m", *words], capture_output=True, text=True, cwd=folder, env=env, check=False
    )


def checked(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return run(folder, "codequay", "contract", "check", COMPONENT, *words)


@pytest.mark.kit
def test_what_breaks_a_new_clause_is_told_and_certified(tmp_path: Path) -> None:
    package = shelf(tmp_path, NEW)
    report = package / certificates.FOLDER / f"{COMPONENT}.json"
    done = checked(tmp_path, "--report", str(report))
    assert done.returncode == 0, done
    before, heading, told = done.stdout.partition("advisory, new in this version of the port's contract")
    assert heading and NEW not in before
    assert f"{NEW}:" in told and "from codequay.contract import" in told and "await store.exists(" in told
    assert told.splitlines()[-1].startswith(f"{COMPONENT}: pass (")
    assert "1 advisory" in told.splitlines()[-1]
    found = json.loads(report.read_text())
    check_schema("certificate", found)
    assert found["verdict"] == "pass"
    assert [clause for clause, verdict in found["clauses"].items() if verdict == "advisory"] == [NEW]
    assert {one["clause"].partition(":")[0] for one in found["failures"]} == {NEW}
    planned = run(
        tmp_path, "codequay", "plan", "--set", "ports.cache=shelf", "--set", "ports.cache.certificate=require"
    )
    assert planned.returncode == 0, planned


@pytest.mark.kit
@pytest.mark.parametrize(("broken", "words"), [(NEW, ("--strict",)), (OLD, ()), (OLD, ("--strict",))])
def test_what_breaks_an_old_clause_or_any_under_strict_fails(
    tmp_path: Path, broken: str, words: tuple[str, ...]
) -> None:
    shelf(tmp_path, broken)
    done = checked(tmp_path, "--clause", broken, "--clause", KEPT, *words)
    assert done.returncode == 1, done
    assert f"{broken}:" in done.stdout and "advisory" not in done.stdout
    assert f"{COMPONENT}: FAIL (1 pass, 1 FAIL)" in done.stdout


@pytest.mark.kit
def test_an_adapter_that_cannot_be_opened_is_not_advisory(tmp_path: Path) -> None:
    (shelf(tmp_path, NEW) / "__init__.py").write_text("import sys\nsys.exit(1)")
    assert checked(tmp_path, "--clause", NEW).returncode == 1


TEST = """
from codequay.contract import contract_tests

TestContract = contract_tests("{component}"{more})
"""


@pytest.mark.kit
@pytest.mark.parametrize(
    ("broken", "more", "summary", "code"),
    [
        (NEW, "", {"1 passed", "1 xfailed"}, 0),
        (NEW, ", isolated=False", {"1 passed", "1 xfailed"}, 0),
        (NEW, ", strict=True", {"1 failed", "1 passed"}, 1),
        (OLD, "", {"1 failed", "1 passed"}, 1),
    ],
)
def test_under_pytest_a_new_clause_is_an_expected_failure_with_a_warning(
    tmp_path: Path, broken: str, more: str, summary: set[str], code: int
) -> None:
    shelf(tmp_path, broken)
    (tmp_path / "test_contract.py").write_text(TEST.format(component=COMPONENT, more=more))
    plain: Any = ("-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:asyncio", "--rootdir", str(tmp_path))
    items = " or ".join(one.replace("-", "_") for one in (broken, KEPT))
    done = run(tmp_path, "pytest", *plain, "-k", items, "test_contract.py")
    assert done.returncode == code, done
    assert summary.issubset(done.stdout.splitlines()[-1].strip("= ").split(", ")), done
    assert ("FutureWarning: new in this version" in done.stdout) is ("1 xfailed" in summary)


def test_the_clause_that_these_adapters_break_is_new() -> None:
    assert [PORT.advisory(one) for one in PORT.clauses if one.id in (OLD, NEW)] == [False, True]
