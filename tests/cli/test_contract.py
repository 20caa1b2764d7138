"""``codequay contract``: its answers, its exit codes, and what bad input gets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from codequay.contract.selftest import Row, Strength
from codequay.interfaces.cli.main import main
from tests.cli.conftest import Run, check, check_part
from tests.kernel.distributions import cache_adapter

pytestmark = pytest.mark.kit

FORGETFUL = """
from contextlib import asynccontextmanager

from codequay.adapters.memory.cache import MemoryCache, open_cache as open_memory


class Forgetful(MemoryCache):
    async def delete(self, keys):
        await super().delete(keys)
        return len(keys)


@asynccontextmanager
async def open_cache(config, ctx):
    async with open_memory(config, ctx) as cache:
        cache.__class__ = Forgetful
        yield cache
"""
"""``delete`` counts what was not there."""


WITHOUT_HYPOTHESIS = """
import importlib.util as util

found = util.find_spec
util.find_spec = lambda name, package=None: None if name == "hypothesis" else found(name, package)
"""


@pytest.fixture
def forgetful(tmp_path: Path) -> str:
    """``PYTHONPATH`` on which ``cache.forgetful`` is announced."""
    site = tmp_path / "site"
    cache_adapter(site, "forgetful", dist="acme-forgetful", impl=FORGETFUL)
    return str(site)


def test_a_right_adapter_passes_and_gets_a_certificate(run: Run, tmp_path: Path) -> None:
    report, junit = tmp_path / "made" / "lock.noop.json", tmp_path / "lock.xml"
    done = run("contract", "check", "lock.noop", "--report", report, "--junit", junit)
    assert done.code == 0 and done.out.startswith("lock.noop: pass ("), done
    certificate = json.loads(report.read_text())
    check("certificate", certificate)
    assert certificate["verdict"] == "pass" and certificate["seed"] == 0 and not certificate["double"]
    assert set(certificate["clauses"].values()) <= {"pass", "n-a"}
    suite = ElementTree.fromstring(junit.read_text())
    assert suite.get("failures") == "0" and int(suite.get("tests", 0)) >= len(certificate["clauses"])


def test_check_answers_in_json_and_line_by_line(run: Run) -> None:
    words = ("contract", "check", "lock.noop", "--clause", "LK-09", "--seed", "0", "--timeout", "20")
    whole = run(*words, "--format", "json").json
    check("certificate", whole)
    assert whole["clauses"] == {"LK-09": "pass"}
    *trials, last = map(json.loads, run(*words, "--format", "jsonl").out.splitlines())
    check("certificate", last)
    assert trials
    for trial in trials:
        check_part("certificate", "outcome", trial)


def test_a_wrong_adapter_fails_with_reason_and_history(run: Run, forgetful: str) -> None:
    words = ("contract", "check", "cache.forgetful", "--clause", "CA-05")
    done = run(*words, PYTHONPATH=forgetful)
    assert done.code == 1 and "cache.forgetful: FAIL (1 FAIL)" in done.out, done
    assert "from codequay.contract import" in done.out and "await store.delete(" in done.out
    found = run(*words, "--format", "json", PYTHONPATH=forgetful).json
    check("certificate", found)
    (failure,) = found["failures"]
    assert failure["verdict"] == "FAIL" and failure["reason"] and failure["history"]


def test_what_was_required_and_not_tried_is_exit_4(run: Run) -> None:
    words = ("contract", "check", "lock.noop", "--clause", "LK-09")
    assert run(*words, "--require", "core").code == 0
    done = run(*words, "--require", "core,durability")
    assert done.code == 4 and "required and not tried: durability" in done.err, done
    nothing = run("contract", "check", "lock.noop", "--level", "faults")
    assert nothing.code == 4 and "no clause was tried" in nothing.err, nothing


def test_list_gives_every_clause_of_the_page(run: Run) -> None:
    found = run("contract", "list", "lock", "--format", "json").json
    check("contract-list", found)
    lines = run("contract", "list", "lock", "--format", "jsonl").out.splitlines()
    assert [json.loads(line) for line in lines] == found["clauses"]
    assert all(one["trials"] for one in found["clauses"])
    assert "LK-09  core" in run("contract", "list", "lock").out


def test_diff_of_one_adapter_with_itself_finds_nothing(run: Run) -> None:
    words = ("contract", "diff", "--from", "cache.memory", "--to", "cache.memory", "--seed", "7")
    done = run(*words)
    assert done.code == 0 and done.out.endswith("no difference\n") and "seed 7" in done.out, done
    found = run(*words, "--format", "json").json
    check("contract-diff", found)
    assert found["operations"]["get"] > 0 and found["differences"] == []


def test_diff_shows_the_shortest_history_of_a_difference(run: Run, forgetful: str) -> None:
    words = ("contract", "diff", "--from", "cache.memory", "--to", "cache.forgetful")
    done = run(*words, PYTHONPATH=forgetful)
    assert done.code == 1 and "they differ at delete" in done.out, done
    assert "cache.memory: 0" in done.out and "cache.forgetful: 1" in done.out, done
    found = run(*words, "--format", "json", PYTHONPATH=forgetful).json
    check("contract-diff", found)
    assert found["differences"][0]["history"].count("await store.") == 1


def test_selftest_tells_survivors_and_writes_its_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def measured(port: str, **more: Any) -> Strength:
        strength = Strength(port, 9, saboteurs=12, killed_saboteurs=12, mutants=50, equivalent=2, killed_mutants=47)
        if port == "cache":
            strength.killed_saboteurs = 11
            strength.survivors.append("saboteur Forgetful")
        return strength

    monkeypatch.setattr("codequay.contract.selftest.measure", measured)
    report = tmp_path / "strength.json"
    assert main(["contract", "selftest", "lock", "--format", "json", "--report", str(report)]) == 0
    found = json.loads(capsys.readouterr().out)
    check("contract-selftest", found)
    assert json.loads(report.read_text()) == found and list(found["ports"]) == ["lock"]
    assert main(["contract", "selftest"]) == 1
    said = capsys.readouterr().out
    assert "cache: 11 of 12 saboteurs, 47 of 48 mutants (2 equivalent)" in said
    assert "survived: saboteur Forgetful" in said


def test_the_matrix_says_which_clause_catches_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [Row("LK-01", 3, ("saboteur Late",)), Row("LK-02", 1, ())]
    monkeypatch.setattr("codequay.contract.selftest.matrix", lambda port: rows)
    assert main(["contract", "selftest", "lock", "--matrix", "--format", "json"]) == 0
    check("contract-selftest", json.loads(capsys.readouterr().out))
    rows.append(Row("LK-03", 0, ()))
    assert main(["contract", "selftest", "lock", "--matrix"]) == 1
    said = capsys.readouterr().out
    assert "LK-01  3, 1 that no other clause catches" in said and "LK-03  catches nothing" in said


@pytest.mark.parametrize(
    ("words", "what", "fix"),
    [
        ([], "ACTION is missing", "codequay contract check chunks.sqlite"),
        (["chekc"], "contract cannot chekc", "did you mean check?"),
        (["check"], "an adapter is missing", "PORT.ADAPTER"),
        (["check", "chunks"], "'chunks' is no adapter's name", "PORT.ADAPTER"),
        (["check", "chunk.sqlite"], "no port is named 'chunk'", "did you mean chunks?"),
        (["check", "chunks.sqlight"], 'no adapter "sqlight" for chunks', "sqlite"),
        (["check", "lock.noop", "--clause", "LK-99"], "lock has no clause LK-99", "codequay contract list lock"),
        (["check", "lock.noop", "--level", "coer"], "no level is named 'coer'", "did you mean core?"),
        (["check", "lock.noop", "--require", "everything"], "no level is named 'everything'", "one of: core"),
        (["check", "lock.noop", "--seed", "x"], "--seed wants a whole number from 0", "--seed 10"),
        (["check", "lock.noop", "--timeout", "0"], "--timeout wants a whole number from 1", "--timeout 10"),
        (["check", "lock.noop", "--from", "lock.memory"], "check has no --from", "--clause"),
        (["check", "lock.noop", "--report", "home"], "--report home cannot be written", "name a file"),
        (["list"], "a port is missing", "one of: chunks"),
        (["list", "lok"], "no port is named 'lok'", "did you mean lock?"),
        (["list", "lock", "--seed", "1"], "list has no --seed", "no option of its own"),
        (["diff", "--from", "lock.noop"], "diff wants --from and --to", "codequay contract diff --from"),
        (["diff", "--from", "lock.noop", "--to", "cache.memory"], "serve different ports", "two adapters of one port"),
        (["selftest", "lok"], "no port is named 'lok'", "did you mean lock?"),
    ],
)
def test_what_cannot_be_done_is_refused(words: list[str], what: str, fix: str, run: Run) -> None:
    run("contract", *words).failed(2, what=what, fix=fix)


def test_python_that_leaves_asserts_out_is_refused(run: Run) -> None:
    done = run("contract", "check", "lock.noop", PYTHONOPTIMIZE="1")
    done.failed(2, what="written with assert", fix="unset PYTHONOPTIMIZE")


def test_without_hypothesis_the_extra_is_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_HYPOTHESIS)
    for words in (("contract", "list", "lock"), ("adapters", "new", "lock", "mystore")):
        done = run(*words, PYTHONPATH=str(tmp_path))
        done.failed(2, what="needs hypothesis", fix="pip install 'codequay[contract]'", error="missing_extra")
