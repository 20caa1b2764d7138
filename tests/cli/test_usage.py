"""What is typed: help, mistakes, formats, terminals and pipes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from codequay.interfaces.cli import exit_codes, parse
from codequay.interfaces.cli.main import COMMANDS, command
from codequay.interfaces.cli.show import place
from codequay.ports.errors import Code, Conflict, LockBusy, NotFound, NotIndexed

from .conftest import SAMPLE, Run, check, environment, repository

CLIENTS = {
    "pydantic",
    "pydantic_settings",
    "tantivy",
    "aiosqlite",
    "sqlite3",
    "opentelemetry",
    "pluggy",
    "argparse",
    "asyncio",
}


def test_help_names_every_command_and_loads_no_client_library(run: Run) -> None:
    done = run("--help")
    assert done.code == 0
    assert all(f"  {name} " in done.out for name in COMMANDS)
    code = (
        "import sys; from codequay.interfaces.cli.main import main; main(['--help']);"
        f"print(sorted({CLIENTS!r} & set(sys.modules)), file=sys.stderr)"
    )
    # a measurement of coverage would load sqlite3 itself
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert loaded.stderr.strip() == "[]"


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_is_a_value_with_help_examples_and_exit_codes(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from codequay.interfaces.cli.main import main

    found = command(name)
    assert found.name == name and found.summary and found.examples and 0 in found.exits
    assert main([name, "--help"]) == 0
    page = capsys.readouterr().out
    assert f"usage: codequay {name}" in page
    assert all(option.help in page for option in found.options)


def test_version(run: Run) -> None:
    done = run("--version")
    assert done.code == 0 and done.out.startswith("codequay ")


@pytest.mark.parametrize(
    ("words", "what", "fix"),
    [
        (["serch", "x"], "no command is named 'serch'", "did you mean search?"),
        (["search"], "QUERY is missing", "codequay search"),
        (["search", "x", "--limt", "3"], "unknown option --limt", "did you mean --limit?"),
        (["search", "x", "-n", "0"], "-n wants a whole number", "-n 10"),
        (["search", "x", "-n"], "-n needs a value", "write -n N"),
        (["search", "x", "--unit", "fiel"], "--unit cannot be 'fiel'", "did you mean file?"),
        (["search", "two", "words", "here"], "unexpected argument 'here'", 'codequay search "two words here"'),
        (["status", "--quiet=1"], "--quiet takes no value", "write --quiet alone"),
        (["plan", "--set", "ports.lock"], "ports.lock", ""),
    ],
)
def test_a_mistake_in_what_was_typed_is_three_lines_and_exit_2(run: Run, words: list[str], what: str, fix: str) -> None:
    run(*words).failed(2, what=what, fix=fix)


def test_a_mistake_under_json_is_an_object_on_stdout(run: Run) -> None:
    done = run("search", "x", "--limt", "3", "--format", "json")
    assert done.code == 2 and done.err == ""
    check("error", done.json)
    assert done.json["error"]["code"] == "invalid_argument"


def test_a_query_that_starts_by_excluding_is_no_option() -> None:
    values, _ = parse.parse(["search", "-test retry", "-n3", "--", "-x"], command("search"))
    assert values == {"limit": 3, "QUERY": "-test retry", "PATH": "-x"}


def test_verbose_tells_the_cause_and_logs_as_configured(indexed: Path, run: Run) -> None:
    (indexed / ".codequay" / "codequay.db").write_bytes(b"no database " * 1000)
    told = run("status", indexed, "-v")
    assert told.code == 3 and "error[" in told.err and "Traceback" in told.err, told
    assert "Traceback" not in run("status", indexed).err
    logged = run("status", indexed, "-vv", CODEQUAY_LOGGING__FORMAT="json").err.splitlines()
    assert any(json.loads(line)["level"] for line in logged if line.startswith("{")), logged


def test_global_options_stand_before_or_after_the_command() -> None:
    assert parse.command_name(["--data", "search", "-vq", "status"]) == "status"
    _, options = parse.parse(["--set", "a=1", "status", "-vqv", "--set=b=2"], command("status"))
    assert (options.sets, options.verbose, options.quiet) == (("a=1", "b=2"), 2, True)


def test_a_place_is_read_as_search_prints_it() -> None:
    assert place("a.py") == ("a.py", None)
    assert place("a.py:12") == ("a.py", 12)
    assert place("dir/a.py:12-40:") == ("dir/a.py", 12)
    assert place("c:/x:y") == ("c:/x:y", None)


def test_every_error_code_has_an_exit_code() -> None:
    assert set(exit_codes.BY_ERROR) == set(Code)
    assert set(exit_codes.MEANING) == set(exit_codes.PRECEDENCE)


def test_several_causes_end_in_the_gravest() -> None:
    group = ExceptionGroup("all", [NotIndexed("a"), LockBusy("b"), ExceptionGroup("c", [Conflict("d")])])
    assert exit_codes.exit_code(group) == exit_codes.LOCK_BUSY
    assert exit_codes.combine([1, 4, 3, 7]) == exit_codes.PERMANENT
    assert exit_codes.exit_code(NotFound("x")) == exit_codes.PERMANENT


def test_a_reader_that_goes_away_is_success(indexed: Path, home: Path) -> None:
    command = f"{sys.executable} -m codequay show src/net/retry.py; echo $? >&2"
    done = subprocess.run(
        ["sh", "-c", f"({command}) | true"],
        cwd=indexed,
        env=environment(home, {}),
        capture_output=True,
        text=True,
    )
    assert done.stderr.strip() == "0"


@pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals are POSIX")
def test_a_terminal_gets_colours_and_no_control_characters(tmp_path: Path, home: Path, run: Run) -> None:
    place = repository(
        tmp_path / "evil", {**SAMPLE, "evil.py": "def ring_the_bell():\n    return '\x1b]0;owned\x07'\n"}
    )
    assert run("index", place).code == 0
    plain = run("show", place / "evil.py")
    assert "\x1b]0;owned\x07" in plain.out
    shown = _on_terminal(home, place, ["show", "evil.py"])
    assert "\\x1b]0;owned\\x07" in shown and "\x1b[35mevil.py" in shown
    assert "\x1b" not in _on_terminal(home, place, ["show", "evil.py"], NO_COLOR="1")
    assert "\x1b[35mevil.py" in _on_terminal(home, place, ["search", "ring_the_bell"])


def _on_terminal(home: Path, cwd: Path, words: list[str], **env: str) -> str:
    import pty

    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "codequay", *words],
        cwd=cwd,
        env=environment(home, {"TERM": "xterm", **env}),
        stdout=theirs,
        stderr=subprocess.DEVNULL,
    ):
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 65536):
                shown += piece
        except OSError:  # Linux says EIO when the other side has gone
            pass
    os.close(ours)
    return shown.decode()


def test_a_cold_search_does_not_load_what_it_does_not_need(indexed: Path, home: Path) -> None:
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "codequay", "search", "backoff_delay"],
        cwd=indexed,
        env=environment(home, {}),
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {line.rsplit("|", 1)[1].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert not loaded & {"pydantic", "pydantic_settings", "opentelemetry", "pluggy", "argparse", "importlib.metadata"}
    assert time.perf_counter() - begun < 30
