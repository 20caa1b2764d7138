"""docs/profiles.md says what the code does: profiles, ``auto``, reach, and which mixes ``plan`` takes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

from codequay.kernel import PlanError, default_registry, load_settings, make_plan
from codequay.kernel.plan import Plan
from codequay.kernel.settings import PROFILE_OPTIONS, PROFILES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "profiles.md").read_text(encoding="utf-8")
PORTS = ("chunks", "lexical", "metadata", "source", "lock", "cache")
ADDRESSES = {
    "CODEQUAY_ADAPTERS__POSTGRES__DSN": "postgresql://app:hunter2@db/x",
    "CODEQUAY_ADAPTERS__REDIS__URL": "redis://cache/0",
    "CODEQUAY_ADAPTERS__ZOEKT__URL": "http://127.0.0.1:7205",
    "CODEQUAY_ADAPTERS__ZOEKT__INDEX_DIR": "/var/lib/zoekt",
}


def plan(tmp_path: Path, env: Mapping[str, str] | None = None, **bindings: str) -> Plan:
    chosen = {f"CODEQUAY_PORTS__{port.upper()}": adapter for port, adapter in bindings.items()}
    settings = load_settings(env={**(env or {}), **chosen}, project=tmp_path, user=tmp_path / "user")
    return make_plan(settings, default_registry(), ports=PORTS)


def table(head: str) -> list[list[str]]:
    """The rows of the page's table with that heading, heading first."""
    text = PAGE[PAGE.index(head) :].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    return [rows[0], *rows[2:]]


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.S)
    assert found
    return found[1]


def test_the_table_of_profiles_is_the_code() -> None:
    head, *rows = table("| port | embedded")
    assert [name.partition(" ")[0] for name in head[1:]] == list(PROFILES)
    for n, profile in enumerate(PROFILES, 1):
        assert {row[0]: row[n] for row in rows} == PROFILES[profile]


def test_auto_is_as_the_page_says(tmp_path: Path) -> None:
    registry = default_registry()
    known = {}
    for one in registry.announcements():
        if one.distribution == "codequay" and (option := registry.spec(one.port, one.name).extra.get("auto")):
            known.setdefault(one.name, (set(), option))[0].add(one.port)
    rows = {re.sub(r" \(.*", "", name): (name, when) for name, when in table("| adapter | is taken when |")[1:]}
    assert rows.keys() == known.keys()
    for adapter, (ports, option) in known.items():
        assert f"({', '.join(sorted(ports))})" in rows[adapter][0]
        assert f"`adapters.{adapter}.{option}`" in rows[adapter][1]


@pytest.mark.parametrize(
    ("port", "variables", "adapter"),
    [
        ("chunks", ("CODEQUAY_ADAPTERS__POSTGRES__DSN",), "postgres"),
        ("chunks", (), "sqlite"),
        ("cache", ("CODEQUAY_ADAPTERS__REDIS__URL",), "redis"),
        ("cache", (), "memory"),
        ("lexical", ("CODEQUAY_ADAPTERS__ZOEKT__URL", "CODEQUAY_ADAPTERS__ZOEKT__INDEX_DIR"), "zoekt"),
        ("lexical", (), "tantivy"),
        ("lock", ("CODEQUAY_ADAPTERS__POSTGRES__DSN", "CODEQUAY_ADAPTERS__REDIS__URL"), "postgres"),
    ],
)
def test_auto_says_which_and_why(tmp_path: Path, port: str, variables: tuple[str, ...], adapter: str) -> None:
    env = {name: ADDRESSES[name] for name in variables}
    if port == "chunks":
        env["CODEQUAY_PORTS__METADATA"] = "auto"
    found = plan(tmp_path, env, **{port: "auto"}).ports[port]
    assert found.adapter == adapter
    if variables:
        assert f"({'environment ' + variables[0]})" in found.why and found.why.startswith("auto: adapters.")
    else:
        assert found.why == "auto: no server is configured, so the embedded default"


def test_the_server_profile_takes_zoekt_when_its_url_is_set(tmp_path: Path) -> None:
    env = {"CODEQUAY_PROFILE": "server", **{k: v for k, v in ADDRESSES.items() if "ZOEKT" not in k}}
    assert plan(tmp_path, env).ports["lexical"].adapter == "tantivy"
    chosen = {port: one.adapter for port, one in plan(tmp_path, {**env, **ADDRESSES}).ports.items()}
    assert chosen == {**PROFILES["server"], "lexical": "zoekt"}


def test_the_server_profile_lets_nobody_make_tables_unless_told(tmp_path: Path) -> None:
    env = {"CODEQUAY_PROFILE": "server", **ADDRESSES}
    assert PROFILE_OPTIONS["server"]["postgres"]["migrations"] == "check"
    assert plan(tmp_path, env).ports["chunks"].options["migrations"] == "check"
    told = plan(tmp_path, {**env, "CODEQUAY_ADAPTERS__POSTGRES__MIGRATIONS": "auto"})
    assert told.ports["chunks"].options["migrations"] == "auto"
    archive = {
        **env,
        "CODEQUAY_ADAPTERS__ARCHIVE__USE": "postgres",
        "CODEQUAY_ADAPTERS__ARCHIVE__DSN": "postgresql://h/d",
    }
    second = plan(tmp_path, archive, metadata="archive").ports["metadata"]
    assert (second.adapter, second.options["migrations"]) == ("postgres", "check")
    assert "migrations" not in plan(tmp_path, ADDRESSES, metadata="postgres").ports["metadata"].options


def test_the_server_profile_without_an_address_is_refused_with_the_setting(tmp_path: Path) -> None:
    with pytest.raises(PlanError) as caught:
        plan(tmp_path, {"CODEQUAY_PROFILE": "server"})
    (error,) = caught.value.errors
    assert (error.component, error.remedy) == ("chunks.postgres", "set adapters.postgres.dsn"), (
        "once, not for each port"
    )


def test_the_profile_written_out_is_a_plan(tmp_path: Path) -> None:
    file = tmp_path / "here.toml"
    secret = tmp_path / "redis"
    secret.write_text("hunter2\n")
    file.write_text(block("toml").replace("/run/secrets/redis", str(secret)))
    env = {"DATABASE_PASSWORD": "hunter3"}
    settings = load_settings(env=env, config=file, project=tmp_path, user=tmp_path / "user")
    written = make_plan(settings, default_registry(), ports=PORTS)
    assert {port: one.adapter for port, one in written.ports.items()} == {**PROFILES["server"], "lexical": "zoekt"}
    assert set(tomllib.loads(block("toml"))["adapters"]) == {"postgres", "redis", "zoekt"}
    for shown in (json.dumps(written.to_json()), repr(written)):
        assert "hunter" not in shown
    assert written.to_json()["ports"]["chunks"]["options"]["password"] == "env:DATABASE_PASSWORD"

    said = dict(line.removeprefix("export ").split("=", 1) for line in block("sh").splitlines())
    short = plan(tmp_path, {**said, **env})
    assert {port: one.adapter for port, one in short.ports.items()} == {**PROFILES["server"], "lexical": "tantivy"}


def test_a_password_in_an_address_is_shown_nowhere(tmp_path: Path) -> None:
    found = plan(tmp_path, {"CODEQUAY_PROFILE": "server", **ADDRESSES})
    assert "hunter2" not in json.dumps(found.to_json()) + repr(found)
    with pytest.raises(PlanError) as caught:
        plan(tmp_path, {**ADDRESSES, "CODEQUAY_ADAPTERS__POSTGRES__DSN": "mysql://app:hunter2@db/x"}, chunks="postgres")
    shown = "".join(f"{error.message}{error.at}{error.remedy}{error!r}" for error in caught.value.errors)
    assert "hunter2" not in shown and "adapters.postgres.dsn" in shown


def test_the_table_of_reach_is_what_adapters_declare() -> None:
    registry = default_registry()
    declared: dict[str, set[str]] = {}
    for one in registry.announcements():
        if one.distribution == "codequay" and one.port != "source":
            reach = registry.spec(one.port, one.name).capabilities.reach
            declared.setdefault(reach, set()).add(f"{one.port}.{one.name}")
    assert {reach: set(names.split(", ")) for reach, names in table("| reach | adapters |")[1:]} == declared


@pytest.mark.parametrize("other", ["metadata", "lock"])
def test_the_tables_of_pairs_are_what_plan_does(tmp_path: Path, other: str) -> None:
    """Each pair beside others that are in nobody's way."""
    head, *rows = table(f"| store | {other}.")
    assert sorted(head[1:]) == sorted(f"{other}.{name}" for name in default_registry().names(other))
    for store, *cells in rows:
        port, _, adapter = store.partition(".")
        free = {"chunks": "memory", "lexical": "memory", "metadata": "postgres", "lock": "redis", port: adapter}
        for name, cell in zip(head[1:], cells, strict=True):
            pair = {**free, other: name.partition(".")[2]}
            try:
                warnings = plan(tmp_path, ADDRESSES, **pair).warnings
                got = "warning" if warnings else "yes"
            except PlanError as refused:
                got = "refused"
                (error,) = refused.errors
                assert error.component == name and error.at.startswith("ports.metadata (environment")
                assert error.remedy.startswith("set ports.metadata = ")
            assert got == cell, (store, name)
    stores = {f"{port}.{name}" for port in ("chunks", "lexical") for name in default_registry().names(port)}
    assert {row[0] for row in rows} == {one for one in stores if one != "chunks.mariadb"}


def test_an_index_that_somebody_else_fills_goes_with_every_metadata_store(tmp_path: Path) -> None:
    external = {"CODEQUAY_ADAPTERS__ZOEKT__URL": "http://zoekt:6070", "CODEQUAY_ADAPTERS__ZOEKT__MODE": "external"}
    found = plan(tmp_path, external, lexical="zoekt")
    assert found.ports["lexical"].capabilities.reach == "network"
    assert not found.ports["lexical"].capabilities.writable  # type: ignore[attr-defined]
    assert (found.warnings, found.apart) == ((), "")


def test_a_store_of_this_machine_beside_metadata_for_all_is_noted_and_no_warning(tmp_path: Path) -> None:
    env = {"CODEQUAY_PROFILE": "server", **{k: v for k, v in ADDRESSES.items() if "ZOEKT" not in k}}
    found = plan(tmp_path, env)
    (note,) = found.of_machines
    assert note.startswith("lexical.tantivy is this machine's, metadata.postgres is for all")
    assert found.to_json()["notes"] == [note] and not found.warnings
    external = {**ADDRESSES, "CODEQUAY_ADAPTERS__ZOEKT__MODE": "external"}
    external.pop("CODEQUAY_ADAPTERS__ZOEKT__INDEX_DIR")
    assert plan(tmp_path, {**env, **external}).of_machines == ()
    assert plan(tmp_path).of_machines == ()


def test_every_error_of_a_bad_mix_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(PlanError) as caught:
        plan(
            tmp_path,
            {**ADDRESSES, "CODEQUAY_ADAPTERS__REDIS__URLL": "x", "CODEQUAY_PORTS__LOKC": "redis"},
            chunks="postgres",
            metadata="sqlite",
            lock="redis",
            cache="rediss",
        )
    said = [error.message for error in caught.value.errors]
    assert len(said) == 4, said
    assert all(error.at and error.remedy for error in caught.value.errors)


def test_stores_of_a_machine_lie_apart_for_metadata_on_a_server(tmp_path: Path) -> None:
    assert plan(tmp_path).apart == ""
    assert plan(tmp_path, ADDRESSES, metadata="postgres").apart == "at-postgres"
    settings = load_settings(
        env={**ADDRESSES, "CODEQUAY_PORTS__METADATA": "postgres"}, project=tmp_path, user=tmp_path / "user"
    )
    assert make_plan(settings, default_registry(), ports=("lexical",)).apart == "at-postgres", "also of one port alone"


PROBE = """
import os, sys
os.environ.update({environment!r})
sys.path.insert(0, {source!r})
def hook(event, arguments):
    if event.startswith("socket."):
        raise SystemExit(f"plan opened a socket: {{event}}")
sys.addaudithook(hook)
from codequay.interfaces.cli.main import main
code = main(["plan", "--data", {data!r}])
clients = [name for name in ("asyncpg", "redis", "httpx", "tantivy") if name in sys.modules]
print(code, clients)
"""


def test_plan_opens_no_socket_and_imports_no_client(tmp_path: Path) -> None:
    environment = {
        "CODEQUAY_PROFILE": "server",
        "XDG_CONFIG_HOME": str(tmp_path),
        **ADDRESSES,
    }
    probe = PROBE.format(environment=environment, source=str(ROOT / "src"), data=str(tmp_path / "d"))
    env = {name: value for name, value in os.environ.items() if not name.startswith("CODEQUAY_")}
    done = subprocess.run([sys.executable, "-c", probe], env=env, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "0 []", done.stdout
    assert "hunter2" not in done.stdout + done.stderr
    assert not (tmp_path / "d").exists()
