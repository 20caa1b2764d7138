"""Whatever is configured: settings come out, or errors that say where; never another exception, and no secret."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from codequay.kernel.errors import PlanError
from codequay.kernel.plan import make_plan
from codequay.kernel.registry import default_registry
from codequay.kernel.settings import Settings, load_settings
from codequay.ports.errors import ConfigError

CANARY = "hunter2-do-not-print"

KEYS = st.sampled_from([
    "profile", "ports", "adapters", "layers", "index", "retrieval", "plugins", "logging", "strict_plugins", "chunks",
    "lexical", "lock", "cache", "adapter", "require", "certificate", "retry", "deadline", "attempts", "sqlite",
    "use", "name", "weights", "limit", "refresh", "workers", "enable", "level", "format", "max_file_bytes", "password",
])  # fmt: skip
NAMES = KEYS | st.text("abC_-. é\0", max_size=5)
WORDS = st.sampled_from([
    "sqlite", "memory", "auto", "embedded", "noop", "off", "true", "always", "durable", "2s", "1e999", "nan", "env:",
    "env:HOME", "file:/dev/null", "file:\0", "file:~nobody-at-all/x", "[", "[[", "{}", '["a"]', "lock.memory", "a:b",
])  # fmt: skip
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**400, -(10**400), 2**63])
    | st.floats()
    | WORDS
    | st.text(max_size=8)
    | st.dates()
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=12
)
TABLES = st.dictionaries(NAMES, VALUES, max_size=5)


def toml(value: Any) -> str:
    """The value in TOML, in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, str | bool):
        return json.dumps(value).replace("\x7f", "\\u007f")
    return "0" if value is None else str(value).lower()


def file_of(tree: Mapping[str, Any]) -> bytes:
    return "\n".join(f"{json.dumps(key)} = {toml(item)}" for key, item in tree.items()).encode("utf-8", "replace")


def planned(
    content: bytes = b"", *, env: Mapping[str, str] | None = None, sets: tuple[str, ...] = ()
) -> Iterator[ConfigError]:
    """What is said of the configuration: every problem of the settings, then of the plan."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "codequay.toml").write_bytes(content)
        (folder / "repo" / ".git").mkdir(parents=True)
        settings = load_settings(env=env or {}, sets=sets, project=folder / "repo", user=folder)
        assert isinstance(settings, Settings)
        yield from settings.problems
        try:
            plan = make_plan(settings, default_registry(), ports=default_registry().ports)
        except PlanError as error:
            yield from error.errors
        else:
            json.dumps(plan.to_json())


def judged(problems: Iterator[ConfigError]) -> None:
    """Each says what and where, and can be printed."""
    for problem in problems:
        assert isinstance(problem, ConfigError)
        assert problem.message
        json.dumps(problem.to_json())


@given(st.binary(max_size=80) | TABLES.map(file_of))
@example(b"a = " + b"[" * 5000)
@example(b"a = " + b"9" * 5000)
@example(b'[index]\nname = "\\ud800"')
@example(b"\xff\xfe")
@example(b"[index]\nworkers = " + b"9" * 400)
@example(b"[layers]\nretry = " + b"9" * 400)
@example(b'[adapters.sqlite]\na = "file:\\u0000"\nb = "file:~nobody-at-all/x"')
def test_any_file(content: bytes) -> None:
    judged(planned(content))


@given(st.dictionaries(st.lists(NAMES, max_size=4).map("__".join), WORDS | st.text(max_size=8), max_size=4))
@example({"": "x"})
@example({"PORTS__CACHE__LAYERS": "[" * 100_000})
def test_any_variables(variables: dict[str, str]) -> None:
    judged(planned(env={f"CODEQUAY_{name}".upper(): value for name, value in variables.items()}))


@given(st.lists(st.tuples(st.lists(NAMES, max_size=4).map(".".join), WORDS).map("=".join) | st.text(max_size=8)))
def test_any_flags(sets: list[str]) -> None:
    judged(planned(sets=tuple(sets)))


OPTIONS = st.sampled_from(["busy_timeout", "cache_mb", "synchronous", "migrations"]) | NAMES


@given(
    TABLES,
    st.lists(OPTIONS.filter(lambda name: name != "use"), max_size=2),
    st.booleans(),
    st.sampled_from([CANARY, "env:THE_SECRET"]),
)
def test_no_error_and_no_plan_prints_what_an_adapters_options_hold(
    tree: dict[str, Any], below: list[str], by_variable: bool, value: str
) -> None:
    place = ["adapters", "sqlite", *below]
    content, env = b"", {}
    if by_variable:
        env = {"CODEQUAY_" + "__".join(place).upper(): value}
    else:
        options: Any = value
        for name in reversed(place[1:]):
            options = {name: options}
        content = file_of({**tree, "adapters": options})
    for problem in planned(content, env={**env, "THE_SECRET": CANARY}):
        assert CANARY not in json.dumps(problem.to_json()) + str(problem) + repr(problem)


@pytest.mark.parametrize("value", [CANARY, f"postgres://me:{CANARY}@host/db"])
def test_a_text_where_options_belong_is_not_repeated(value: str) -> None:
    """It is an address with a password as often as not."""
    problems = list(planned(env={"CODEQUAY_ADAPTERS__SQLITE": value}))
    assert problems
    assert CANARY not in "".join(map(str, problems))
