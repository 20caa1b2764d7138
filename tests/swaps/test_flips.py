"""Flip a back end and flip it back: cold until it is indexed, then the same hits; and flipping back needs nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from codequay import App
from codequay.kernel import load_settings

from .conftest import EXACT, RANKED, Call, Database, answers, ask, hits, index

QUERY = RANKED[0]


def generation(call: Call, env: Mapping[str, str], data: Path) -> int:
    done = call("search", QUERY, "--data", data, "--format", "json", env=env)
    assert done.code == 0, done
    number: int = json.loads(done.out)["freshness"][0]["generation"]
    return number


@pytest.fixture
def runtime_role(database: Database, schema: str) -> Iterator[tuple[str, str]]:
    """A role that may read and write rows, and make nothing."""
    user, password = f"{schema}_app", "it's @ runtime/secret"
    quoted = password.replace("'", "''")
    database.do(f"CREATE ROLE {user} LOGIN PASSWORD '{quoted}'")
    yield user, password
    database.do(f"DROP SCHEMA IF EXISTS {schema} CASCADE", f"DROP ROLE {user}")


@pytest.fixture
def server_env(servers_env: dict[str, str], database: Database, runtime_role: tuple[str, str], tmp_path: Path):
    """The profile ``server`` as the docs have it, for the role of the service."""
    user, password = runtime_role
    secret = tmp_path / "secret"
    secret.write_text(password + "\n")
    return {
        **servers_env,
        "CODEQUAY_PROFILE": "server",
        "CODEQUAY_ADAPTERS__POSTGRES__DSN": database.of(user),
        "CODEQUAY_ADAPTERS__POSTGRES__PASSWORD": f"file:{secret}",
    }


def test_the_whole_way_from_embedded_to_the_server_profile_and_back(
    process: Call, tmp_path: Path, servers_env, server_env, runtime_role, database: Database, schema: str
) -> None:
    """Whole processes, one index folder, and nothing changes but the environment."""
    data = tmp_path / "index"
    index(process, {}, data)
    before = {query: ask(process, {}, data, query) for query in (*EXACT[:3], *RANKED[:2])}
    assert len(before[RANKED[0]]) == 10

    for words in (("search", QUERY), ("index",)):
        refused = process(*words, "--data", data, env=server_env)
        refused.failed(4, what="is missing", fix="codequay migrations --apply", error="fingerprint_mismatch")
    owner = {**servers_env, "CODEQUAY_PROFILE": "server"}
    printed = process("migrations", "--sql", "--data", data, env=owner)
    assert printed.code == 0 and f'CREATE TABLE "{schema}"' in printed.out and "pending" in printed.out, printed
    applied = process("migrations", "--apply", "--data", data, env=owner)
    assert applied.code == 0 and "applied now" in applied.out, applied
    refused = process("index", "--data", data, env=server_env)
    refused.failed(3, what="", fix="GRANT", error="permission_denied")
    user = runtime_role[0]
    database.do(
        f"GRANT USAGE ON SCHEMA {schema} TO {user}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {user}",
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {user}",
    )

    cold = process("search", QUERY, "--data", data, env=server_env)
    cold.failed(4, what="has no index", fix="codequay index", error="not_indexed")
    index(process, server_env, data)
    for query, expected in before.items():
        assert ask(process, server_env, data, query) == expected, query
    assert process("doctor", "--data", data, env=server_env).code == 0
    for env in ({}, server_env, {}):
        assert ask(process, env, data, QUERY) == before[QUERY], "flipping back needs nothing"
        assert generation(process, env, data) == 1
    assert process("doctor", "--data", data, env={}).code == 0


@pytest.mark.parametrize("port", ["chunks", "lexical"])
def test_a_store_flips_and_flips_back(
    port: str, inside: Call, tmp_path: Path, project: Path, servers_env, zoekt_env
) -> None:
    """Beside the same metadata: a store that is back is brought along by the question itself."""
    data = tmp_path / "index"
    own = {"CODEQUAY_PORTS__METADATA": "postgres"} if port == "chunks" else {}
    before = {**servers_env, **zoekt_env, **own}
    after = {**before, f"CODEQUAY_PORTS__{port.upper()}": "postgres" if port == "chunks" else "zoekt"}
    index(inside, before, data)
    expected = answers(inside, before, data)

    for refresh in ("auto", "always", "never"):
        cold = inside("search", QUERY, "--data", data, "--refresh", refresh, env=after)
        cold.failed(4, what="", fix="codequay index", error="not_indexed")
    report = index(inside, after, data)
    assert report["changed_files"] == 0
    flipped = answers(inside, after, data)
    for query in EXACT if port == "lexical" else expected:
        assert flipped[query] == expected[query], query
    assert len(ask(inside, after, data, QUERY)) == 10

    never = inside("search", QUERY, "--data", data, "--refresh", "never", env=before)
    never.failed(4, what="does not hold", fix="codequay index", error="not_indexed")
    assert answers(inside, before, data) == expected, "flipping back needs nothing"
    again = generation(inside, before, data)
    assert generation(inside, before, data) == again, "and costs nothing a second time"
    assert answers(inside, after, data) == flipped
    assert inside("doctor", "--data", data, env=after).code == 0


def test_a_store_that_is_back_takes_what_changed_meanwhile(
    inside: Call, tmp_path: Path, servers_env, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.cli.conftest import SAMPLE, repository

    place = repository(tmp_path / "sample", SAMPLE)
    monkeypatch.chdir(place)
    data = tmp_path / "index"
    here = {**servers_env, "CODEQUAY_PORTS__METADATA": "postgres"}
    there = {**here, "CODEQUAY_PORTS__CHUNKS": "postgres"}
    index(inside, here, data)
    index(inside, there, data)
    (place / "web" / "late.js").write_text("export const lately = 1;\n")
    (place / "README.md").unlink()
    assert [hit["path"] for hit in ask(inside, there, data, "lately")] == ["web/late.js"]
    few = {**here, "CODEQUAY_INDEX__REFRESH_FILES": "1"}
    inside("search", "lately", "--data", data, env=few).failed(4, what="does not hold", fix="codequay index")
    assert [hit["path"] for hit in ask(inside, here, data, "lately")] == ["web/late.js"]
    assert not ask(inside, here, data, '"sample project"')


def test_several_at_once_may_find_the_store_back(process: Call, inside: Call, tmp_path: Path, servers_env) -> None:
    data = tmp_path / "index"
    here = {**servers_env, "CODEQUAY_PORTS__METADATA": "postgres"}
    index(inside, here, data)
    expected = ask(inside, here, data, QUERY)
    index(inside, {**here, "CODEQUAY_PORTS__CHUNKS": "postgres"}, data)
    with ThreadPoolExecutor(3) as pool:
        for found in pool.map(lambda _: ask(process, here, data, QUERY), range(3)):
            assert found == expected


@pytest.mark.parametrize("port", ["lock", "cache"])
def test_a_lock_and_a_cache_flip_without_anything(port: str, inside: Call, tmp_path: Path, servers_env) -> None:
    data = tmp_path / "index"
    index(inside, servers_env, data)
    expected = ask(inside, servers_env, data, QUERY)
    for adapter in ("redis", "postgres", "noop", "sqlite") if port == "lock" else ("redis", "sqlite", "memory"):
        env = {**servers_env, f"CODEQUAY_PORTS__{port.upper()}": adapter}
        assert ask(inside, env, data, QUERY) == expected
        assert index(inside, env, data)["generation"] == 1


def test_health_tells_of_every_port_with_its_connections(
    inside: Call, tmp_path: Path, project: Path, servers_env, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "index"
    env = {**servers_env, "CODEQUAY_PROFILE": "server"}
    inside("migrations", "--apply", "--data", data, env=env)
    index(inside, env, data)
    doctor = inside("doctor", "--data", data, env=env)
    assert doctor.out.count("pool of postgres") == 1, doctor

    async def look(**more: str):
        settings = load_settings(env={**env, **more}, project=project, user=tmp_path)
        async with App(settings, data=data).run(readonly=True) as quay:
            first = await quay.health(latency_threshold_ms=10_000, path=str(project))
            await quay.search(QUERY)
            return first, await quay.health(latency_threshold_ms=0, path=str(project))

    first, second = asyncio.run(look())
    assert [one.port for one in first.ports] == ["chunks", "lexical", "metadata", "lock", "cache"]
    assert first.state == "ok", first
    pools = {one.port: one.pool for one in second.ports}
    assert pools["lexical"] is None
    for port in ("chunks", "metadata", "lock", "cache"):
        pool = pools[port]
        assert pool is not None and 1 <= pool.size == pool.active + pool.free and 0 <= pool.utilisation <= 1, port
        assert pool.waiting == 0
    assert second.state == "degraded", "slower than 0 ms"
    assert second.to_json()["ports"][0]["pool"].keys() == {"size", "active", "free", "waiting", "utilisation"}

    dead, _ = asyncio.run(look(CODEQUAY_ADAPTERS__REDIS__URL="redis://127.0.0.1:9/0"))
    assert {one.port: one.state for one in dead.ports} == {
        "chunks": "ok", "lexical": "ok", "metadata": "ok", "lock": "down", "cache": "down"
    }  # fmt: skip
    assert all(one.detail for one in dead.ports if one.state == "down")


def test_the_two_answers_are_one_json(inside: Call, tmp_path: Path, servers_env) -> None:
    """Beside hits: what an interface shows of a swap is the same envelope."""
    data = tmp_path / "index"
    other = {**servers_env, "CODEQUAY_PROFILE": "server", "CODEQUAY_ADAPTERS__POSTGRES__MIGRATIONS": "auto"}
    keys = []
    for env in ({}, other):
        index(inside, env, data)
        answer = json.loads(inside("search", QUERY, "--data", data, "--format", "json", env=env).out)
        keys.append((sorted(answer), [sorted(hit) for hit in answer["hits"]], len(hits(answer))))
    assert keys[0] == keys[1]
