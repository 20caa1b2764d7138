"""Real commands on real repositories: a process ``python -m codequay`` with a home folder of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from .forked import Commands

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = ROOT / "docs" / "schemas"
TIMEOUT_S = 60
AT_START = ("PYTHON", "CODEQUAY_TEST_")
"""How variables begin that are read when the interpreter starts, or when a module is imported."""


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def paths(self) -> list[str]:
        """Paths of the hits in text output."""
        return [line.split(":", 1)[0] for line in self.out.splitlines()]

    def failed(self, code: int, *, what: str, fix: str, error: str = "") -> None:
        """The three lines of an error: what, where, what to do; and nothing on stdout."""
        assert self.code == code, self
        assert "Traceback" not in self.err
        lines = self.err.splitlines()
        heads = [i for i, line in enumerate(lines) if line.startswith("error[")]
        assert heads, self
        for i in heads:
            if what in lines[i] and f"{error}]" in lines[i]:
                assert lines[i + 1].startswith("at: ") and len(lines[i + 1]) > 4, self
                assert lines[i + 2].startswith("fix: ") and fix in lines[i + 2], self
                assert self.out == "", self
                return
        raise AssertionError(self)


Run = Callable[..., Done]


def environment(home: Path, extra: Mapping[str, str]) -> dict[str, str]:
    """Nothing of the caller's settings, and the package as it lies here."""
    kept = {
        name: os.environ[name]
        for name in ("PATH", "SYSTEMROOT", "TMPDIR", "COVERAGE_PROCESS_START")
        if name in os.environ
    }
    path = os.pathsep.join([str(ROOT / "src"), *filter(None, [extra.get("PYTHONPATH")])])
    return {
        **kept,
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "LC_ALL": "C.UTF-8",
        **extra,
        "PYTHONPATH": path,
    }


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def fresh(home: Path, tmp_path: Path) -> Run:
    """``run`` in an interpreter of its own: slower, and the first to tell of what is not imported where it is used."""

    def call(
        *words: str | bytes | Path, cwd: Path = tmp_path, before: Callable[[], None] | None = None, **env: str
    ) -> Done:
        done = subprocess.run(
            [sys.executable, "-m", "codequay", *words],
            cwd=cwd,
            env=environment(home, env),
            capture_output=True,
            timeout=TIMEOUT_S,
            preexec_fn=before,
        )
        return _done(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture(scope="session")
def commands() -> Iterator[Commands | None]:
    """What forks commands; None on a system that cannot."""
    if not hasattr(os, "fork"):
        yield None
        return
    found = Commands()
    yield found
    found.close()


@pytest.fixture
def run(home: Path, tmp_path: Path, fresh: Run, commands: Commands | None) -> Run:
    """``run("search", "words", cwd=..., NAME="value")``: keywords in capitals are environment variables."""

    def call(
        *words: str | bytes | Path, cwd: Path = tmp_path, before: Callable[[], None] | None = None, **env: str
    ) -> Done:
        if commands is None or before is not None or any(name.startswith(AT_START) for name in env):
            return fresh(*words, cwd=cwd, before=before, **env)
        asked = [os.fsdecode(word) for word in words]
        return _done(*commands.run(asked, cwd=cwd, env=environment(home, env), timeout=TIMEOUT_S))

    return call


def _done(code: int, out: bytes, err: bytes) -> Done:
    return Done(code, out.decode("utf-8", "surrogateescape"), err.decode("utf-8", "replace"))


def git(folder: Path, *words: str) -> str:
    """One git command with an identity and none of the machine's configuration."""
    identity = [
        "-c",
        "user.name=T",
        "-c",
        "user.email=t@example.org",
        "-c",
        "commit.gpgsign=false",
        "-c",
        "init.defaultBranch=main",
    ]
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"}
    return subprocess.run(
        ["git", "-C", str(folder), *identity, *words], env=env, check=True, capture_output=True, text=True
    ).stdout


def repository(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """A committed git repository that holds these files."""
    folder.mkdir(parents=True)
    git(folder, "init", "-q")
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", "first")
    return folder


SAMPLE = {
    "src/net/retry.py": '''"""Retries with backoff."""

import random


def backoff_delay(attempt: int, base: float = 0.05) -> float:
    """Seconds to wait before the next attempt, with full jitter."""
    return random.uniform(0, base * 2**attempt)


def call_with_retries(fn, attempts: int = 4):
    """Call until it succeeds; the last error is raised."""
    for attempt in range(attempts):
        try:
            return fn()
        except ConnectionError:
            if attempt + 1 == attempts:
                raise
            backoff_delay(attempt)
''',
    "src/store/cache.py": '''"""A small cache."""


class ExpiringCache:
    """Values that are forgotten after a time to live."""

    def __init__(self, ttl: float) -> None:
        self.ttl = ttl
        self.values: dict[str, object] = {}

    def get(self, key: str) -> object | None:
        return self.values.get(key)
''',
    "web/app.js": "// starts the page\nexport function startPage(root) {\n  root.hidden = false;\n}\n",
    "README.md": "# Sample\n\nA sample project about retries and caches.\n",
}


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """A small repository, not indexed."""
    return repository(tmp_path / "sample", SAMPLE)


@pytest.fixture
def indexed(sample: Path, run: Run) -> Path:
    """A small repository, indexed."""
    done = run("index", sample)
    assert done.code == 0, done
    return sample


def still_answers(run: Run, place: Path, **env: str) -> None:
    """What was indexed before is still there."""
    done = run("search", "backoff_delay", place, **env)
    assert (done.code, done.paths[:1]) == (0, ["src/net/retry.py"]), done


def check(name: str, value: object) -> None:
    """The value fits the published schema."""
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(value)


def check_part(name: str, part: str, value: object) -> None:
    """The value fits one definition of the published schema."""
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    jsonschema.Draft202012Validator({"$defs": schema["$defs"], "$ref": f"#/$defs/{part}"}).validate(value)
