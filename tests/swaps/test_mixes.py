"""Every mix of adapters that ``plan`` allows gives the same answers; the others are refused, and nothing is opened."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, product
from pathlib import Path

import pytest

from codequay import App
from codequay.kernel import load_settings
from codequay.kernel.health import PortHealth

from .conftest import EXACT, RANKED, Call, Database, answers, ask, index

PORTS = {
    "chunks": ("sqlite", "postgres"),
    "metadata": ("sqlite", "postgres"),
    "lock": ("sqlite", "postgres", "redis", "noop"),
    "cache": ("memory", "sqlite", "redis"),
    "lexical": ("tantivy", "zoekt"),
}
Mix = dict[str, str]
EVERY: list[Mix] = [dict(zip(PORTS, chosen, strict=True)) for chosen in product(*PORTS.values())]


def allowed(mix: Mix) -> bool:
    """Chunks on a server, published by a file of one machine, are the one pair of these that is refused."""
    return (mix["chunks"], mix["metadata"]) != ("postgres", "sqlite")


def pairs(mix: Mix) -> set[tuple[tuple[str, str], ...]]:
    return set(combinations(sorted(mix.items()), 2))


def covering() -> Iterator[Mix]:
    """Mixes that are allowed, few, which together hold every pair that is."""
    candidates = [mix for mix in EVERY if allowed(mix)]
    left = set().union(*(pairs(mix) for mix in candidates))
    while left:
        best = max(candidates, key=lambda mix: len(pairs(mix) & left))
        left -= pairs(best)
        yield best


MIXES = list(covering())


def env_of(mix: Mix) -> dict[str, str]:
    return {f"CODEQUAY_PORTS__{port.upper()}": adapter for port, adapter in mix.items()}


def health(env: Mapping[str, str], data: Path) -> Sequence[PortHealth]:
    """Every port is opened and asked: a question alone takes no lock and needs no cache."""

    async def look() -> Sequence[PortHealth]:
        async with App(load_settings(env=env, project=data, user=data), data=data).run(readonly=True) as quay:
            return (await quay.health(latency_threshold_ms=10_000, path=str(data))).ports

    return asyncio.run(look())


@pytest.fixture(scope="module")
def embedded(project: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Filled by the first test that needs it: what the embedded profile answers."""
    return {}


@pytest.fixture
def expected(embedded: dict[str, object], inside: Call, tmp_path: Path) -> dict[str, list[dict[str, object]]]:
    if not embedded:
        data = tmp_path / "embedded"
        index(inside, {}, data)
        embedded.update(answers(inside, {}, data))
    return embedded  # type: ignore[return-value]


def test_there_is_something_to_find(expected) -> None:
    assert all(expected.values())
    assert sum(map(len, expected.values())) > 40


def test_the_mixes_hold_every_pair_that_is_allowed() -> None:
    held = set().union(*map(pairs, MIXES))
    assert held == set().union(*(pairs(mix) for mix in EVERY if allowed(mix)))
    assert len(MIXES) < 16
    assert all(map(allowed, MIXES))


def test_plan_refuses_the_other_mixes_and_no_more(inside: Call, servers_env, zoekt_env) -> None:
    for mix in EVERY:
        done = inside("plan", env={**servers_env, **zoekt_env, **env_of(mix)})
        assert (done.code == 0) is allowed(mix), (mix, done)
        if done.code:
            done.failed(
                2, what="metadata.sqlite reaches one host", fix="postgres", error="metadata.sqlite/invalid_config"
            )


@pytest.mark.parametrize("mix", MIXES, ids=lambda mix: "-".join(mix.values()))
def test_a_mix_gives_the_same_answers(
    mix: Mix, inside: Call, expected, tmp_path: Path, servers_env, zoekt_env, schema: str, database: Database
) -> None:
    env = {**servers_env, **env_of(mix)}
    if mix["lexical"] == "zoekt":
        env |= zoekt_env
    data = tmp_path / "index"
    cold = inside("search", "lease", "--data", data, env=env)
    cold.failed(4, what="has no index", fix="codequay index")
    index(inside, env, data)
    assert {one.port: one.state for one in health(env, data)} == dict.fromkeys(PORTS, "ok")
    found = answers(inside, env, data)
    if mix["lexical"] == "tantivy":
        assert found == expected
        return
    for query in EXACT:
        assert found[query] == expected[query], query
    for query in RANKED:
        ours, theirs = ([hit["path"] for hit in one[query]] for one in (found, expected))
        assert ours[0] == theirs[0], query
        assert len({*ours} & {*theirs}) >= 0.7 * len(theirs), (query, "scores are the adapter's own")


def test_the_first_question_may_go_to_every_hit(inside: Call, expected, tmp_path: Path) -> None:
    """The questions that are compared are not cut off by the limit, where their whole set is."""
    data = tmp_path / "index"
    index(inside, {}, data)
    for query in EXACT:
        assert len(ask(inside, {}, data, query, 100)) == len(expected[query]), query
