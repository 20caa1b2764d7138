"""What a person sees when the configuration is wrong, and that the index does not suffer from it."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from .conftest import Run, check, still_answers

SPEC = """
from codequay.ports.lock import LockCapabilities
from codequay.ports.spec import AdapterSpec, Requirement

LOCK = AdapterSpec(
    port="lock",
    name="{name}",
    factory="{module}.none:open_lock",
    capabilities=LockCapabilities(),
    summary="for a test",
    requires=({requires}),
)
"""


def plugin(folder: Path, distribution: str, name: str, source: str) -> None:
    """A distribution, as pip would leave it, that announces lock.NAME."""
    info = folder / f"{distribution}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[codequay.adapters]\nlock.{name} = {distribution}_plugin:LOCK\n")
    (folder / f"{distribution}_plugin.py").write_text(textwrap.dedent(source))


def test_an_unknown_adapter_names_the_installed_ones(indexed: Path, run: Run) -> None:
    done = run("search", "x", indexed, CODEQUAY_PORTS__LEXICAL="tantivi")
    done.failed(2, what='"tantivi"', fix="tantivy", error="unknown_adapter")
    assert "CODEQUAY_PORTS__LEXICAL" in done.err and "memory" in done.err
    still_answers(run, indexed)


@pytest.mark.parametrize(
    ("words", "where"),
    [
        (["--set", "adapters.sqlite.busy_timeot=3"], "busy_timeot"),
        (["--set", "index.max_fil_bytes=3"], "max_fil_bytes"),
        (["--set", "port.lock=memory"], "port"),
        (["--profile", "embeded"], "embeded"),
    ],
)
def test_a_misspelt_option_says_where_and_what_was_meant(indexed: Path, run: Run, words: list[str], where: str) -> None:
    done = run("index", indexed, *words)
    done.failed(2, what=where, fix="")
    still_answers(run, indexed)


def test_a_misspelt_variable_is_an_error_with_a_guess(indexed: Path, run: Run) -> None:
    done = run("search", "x", indexed, CODEQUAY_PORT__LOCK="memory")
    done.failed(2, what="CODEQUAY_PORT__LOCK", fix="")
    assert "ports" in done.err.lower()
    assert run("search", "backoff_delay", indexed, CODEQUAY_TEST_ANYTHING="1").code == 0
    still_answers(run, indexed)


def test_a_configuration_file_that_does_not_parse_names_its_line(indexed: Path, tmp_path: Path, run: Run) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text('[ports]\nlock = "memory\n')
    done = run("search", "x", indexed, "--config", bad)
    done.failed(2, what="", fix="", error="invalid_config")
    assert "bad.toml" in done.err and "2" in done.err
    run("search", "x", indexed, "--config", tmp_path / "none.toml").failed(2, what="none.toml", fix="")
    still_answers(run, indexed)


def test_a_missing_extra_is_named_with_the_command_that_brings_it(indexed: Path, tmp_path: Path, run: Run) -> None:
    source = SPEC.format(name="faraway", module="faraway_plugin", requires='Requirement("faraway_client", "zoekt"),')
    plugin(tmp_path / "plugins", "faraway", "faraway", source)
    env = {"PYTHONPATH": str(tmp_path / "plugins"), "CODEQUAY_PORTS__LOCK": "faraway"}
    run("index", indexed, **env).failed(
        2, what="faraway_client", fix="pip install 'codequay[zoekt]'", error="missing_extra"
    )
    listed = run("adapters", "--format", "json", PYTHONPATH=str(tmp_path / "plugins")).json
    check("adapters", listed)
    assert ("faraway", "missing_extra") in [(one["name"], one["state"]) for one in listed["adapters"]]
    still_answers(run, indexed)


def test_a_broken_plugin_is_named_with_its_cause_and_hurts_nobody_else(indexed: Path, tmp_path: Path, run: Run) -> None:
    plugin(tmp_path / "plugins", "shaky", "shaky", "raise RuntimeError('its own fault')\n")
    env = {"PYTHONPATH": str(tmp_path / "plugins")}
    done = run("index", indexed, CODEQUAY_PORTS__LOCK="shaky", **env)
    done.failed(2, what="its own fault", fix="shaky", error="broken_plugin")
    still_answers(run, indexed, **env)
    listed = run("adapters", **env)
    assert listed.code == 0 and "broken_plugin" in listed.out and "tantivy" in listed.out


def test_two_plugins_with_one_name_are_both_named(indexed: Path, tmp_path: Path, run: Run) -> None:
    for distribution in ("first", "second"):
        source = SPEC.format(name="twice", module=f"{distribution}_plugin", requires="")
        plugin(tmp_path / "plugins", distribution, "twice", source)
    env = {"PYTHONPATH": str(tmp_path / "plugins")}
    done = run("index", indexed, CODEQUAY_PORTS__LOCK="twice", **env)
    done.failed(2, what="first 1.0 and second 1.0", fix="uninstall one", error="adapter_conflict")
    still_answers(run, indexed, **env)


def test_a_missing_secret_names_its_reference(indexed: Path, run: Run) -> None:
    done = run("index", indexed, "--set", "adapters.sqlite.busy_timeout_s=env:NO_SUCH_SECRET")
    done.failed(2, what="NO_SUCH_SECRET", fix="NO_SUCH_SECRET", error="secret_unavailable")
    still_answers(run, indexed)


def test_all_errors_are_told_at_once(indexed: Path, run: Run) -> None:
    wrong = {"CODEQUAY_PORTS__LEXICAL": "tantivi", "CODEQUAY_PORTS__LOCK": "memry"}
    done = run("plan", indexed, **wrong)
    assert done.code == 2 and done.err.count("error[") == 2 and done.err.count("fix: ") == 2, done
    found = run("plan", indexed, "--format", "json", **wrong).json
    check("error", found)
    assert len(found["errors"]) == 2


HOSTILE = """
plugins = ["evil"]

[ports]
lexical = "evil"

[adapters.sqlite]
path = "/etc/passwd"
password = "file:/etc/shadow"
url = "http://evil.example"

[index]
max_file_bytes = 1000
"""


def test_a_file_in_the_clone_may_not_choose_what_runs(indexed: Path, run: Run) -> None:
    (indexed / "codequay.toml").write_text(HOSTILE)
    (indexed / "large.py").write_text("def too_large_now():\n    pass\n" + "# filler\n" * 200)
    done = run("index", indexed, "--format", "json")
    assert done.code == 0, done
    notes = [line for line in done.err.splitlines() if "not trusted" in line]
    assert len(notes) == 1 and all(key in notes[0] for key in ("plugins", "ports", "adapters")), done
    assert "codequay trust" in notes[0]
    assert sum(done.json["skipped"].values()) == 1, "[index] counts even from an untrusted file"
    still_answers(run, indexed)
    plan = run("plan", indexed, "--format", "json")
    assert plan.json["ports"]["lexical"]["adapter"] == "tantivy"


def test_trust_accepts_a_file_as_it_is_and_takes_it_back(indexed: Path, run: Run) -> None:
    file = indexed / "codequay.toml"
    file.write_text('[ports]\nlock = "memory"\n')

    def lock() -> str:
        return str(run("plan", indexed, "--format", "json").json["ports"]["lock"]["adapter"])

    before = lock()
    assert before != "memory"
    accepted = run("trust", file, "--format", "json")
    check("trust", accepted.json)
    assert lock() == "memory"
    listed = run("trust", "--list", "--format", "json")
    check("trust", listed.json)
    assert [entry["path"] for entry in listed.json["files"]] == [str(file.resolve())]
    file.write_text('[ports]\nlock = "memory"\n# changed\n')
    assert lock() == before
    check("trust", run("trust", "--revoke", file, "--format", "json").json)
    run("trust", "--revoke", file).failed(3, what="is not trusted", fix="--list", error="not_found")
    run("trust", indexed / "none.toml").failed(3, what="none.toml", fix="codequay.toml", error="not_found")
    still_answers(run, indexed)
