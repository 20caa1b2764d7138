"""What a deployment copies: compose.yaml and docs/coming-from.md name settings that there are."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from codequay.kernel import default_registry, load_settings, make_plan
from codequay.kernel.plan import Plan
from codequay.layers import KINDS
from codequay.ports import PORTS

ROOT = Path(__file__).parents[1]
COMPOSE = (ROOT / "compose.yaml").read_text(encoding="utf-8")
SERVICES: dict[str, Any] = yaml.safe_load(COMPOSE)["services"]
PAGE = (ROOT / "docs" / "coming-from.md").read_text(encoding="utf-8")
THEIRS = {
    "DATABASE_URL": "postgresql://app:secret@db/x",
    "POSTGRES_PASSWORD": "secret",
    "POSTGRES_MIN_POOL_SIZE": "2",
    "POSTGRES_MAX_POOL_SIZE": "9",
    "REDIS_URL": "redis://cache/0",
    "REDIS_PASSWORD": "secret",
    "REDIS_HOST": "cache",
    "REDIS_PORT": "6379",
}
BASE = {
    "CODEQUAY_PROFILE": "server",
    "CODEQUAY_ADAPTERS__POSTGRES__DSN": "postgresql://app@db/x",
    "CODEQUAY_ADAPTERS__ZOEKT__INDEX_DIR": "/var/lib/zoekt",
}


def planned(tmp_path: Path, env: Mapping[str, str]) -> Plan:
    settings = load_settings(env=env, project=tmp_path, user=tmp_path / "user")
    return make_plan(settings, default_registry(), ports=tuple(PORTS))


def rows() -> list[tuple[str, str, str]]:
    """(theirs, here, notes) of every table of the page."""
    found = re.findall(r"^\| (`.*?) \| (.*?) \|(.*)\|$", PAGE, re.M)
    return [(theirs, here, notes.strip()) for theirs, here, notes in found]


def test_every_server_listens_on_this_machine_alone_on_its_port() -> None:
    ports = {name: one["ports"] for name, one in SERVICES.items()}
    assert all(len(published) == 1 for published in ports.values())
    assert all(published[0].startswith("127.0.0.1:") for published in ports.values())
    numbers = {name: published[0].split(":")[1] for name, published in ports.items() if name != "mariadb"}
    assert numbers == {"postgres": "7201", "redis": "7202", "zoekt": "7205"}


def test_every_server_keeps_its_data_and_says_when_it_is_ready() -> None:
    volumes = yaml.safe_load(COMPOSE)["volumes"]
    for name, one in SERVICES.items():
        assert one["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
        (volume,) = one["volumes"]
        assert volume.partition(":")[0] in volumes or volume.startswith("${"), name
        assert not one["image"].endswith(":latest")
    assert {name for name, one in SERVICES.items() if "profiles" not in one} == {"postgres", "redis"}


def test_a_password_comes_from_the_environment_else_is_one_for_trying() -> None:
    said = [
        value for one in SERVICES.values() for key, value in one.get("environment", {}).items() if "PASSWORD" in key
    ]
    given = [value for value in said if value != "1"]
    assert len(given) == 3
    assert all(re.fullmatch(r"\$\{[A-Z]+_PASSWORD:-codequay-dev\}", value) for value in given)


def test_the_variables_of_compose_are_a_plan_of_the_server_profile(tmp_path: Path) -> None:
    lines = re.findall(r"^#   export (.*)$", COMPOSE, re.M)
    env = dict(word.split("=", 1) for line in lines for word in line.replace("$PWD", "/w").split())
    plan = planned(tmp_path, env)
    assert {port: one.adapter for port, one in plan.ports.items() if port != "source"} == {
        "chunks": "postgres", "metadata": "postgres", "lock": "redis", "cache": "redis", "lexical": "zoekt"
    }  # fmt: skip
    for name in ("postgres", "redis", "zoekt"):
        assert SERVICES[name]["ports"][0].split(":")[1] in str({k: v for k, v in env.items() if name.upper() in k})
    assert set(env.values()) >= {"codequay-dev"}


def test_the_lines_of_the_readme_are_those_of_compose(tmp_path: Path) -> None:
    lines = re.findall(r"^export (CODEQUAY_.*?)(?: +#.*)?$", (ROOT / "README.md").read_text(encoding="utf-8"), re.M)
    plan = planned(tmp_path, dict(word.split("=", 1) for line in lines for word in line.split()))
    assert {plan.ports[port].adapter for port in ("chunks", "metadata")} == {"postgres"}
    options = plan.to_json()["ports"]["chunks"]["options"], plan.to_json()["ports"]["lock"]["options"]
    for name, one in zip(("postgres", "redis"), options, strict=True):
        assert SERVICES[name]["ports"][0].split(":")[1] in str(one)
    assert "codequay-dev" not in str(options)


def test_every_setting_that_the_page_names_is_one(tmp_path: Path) -> None:
    here = [(one, variable) for one in rows() for variable in re.findall(r"`(CODEQUAY_[^`]*)`", one[1])]
    assert len(here) > 35
    for row, assignment in here:
        name, _, value = assignment.partition("=")
        assert value, row
        chosen = {}
        if "__ZOEKT__" in name:
            chosen = {"CODEQUAY_PORTS__LEXICAL": "zoekt", "CODEQUAY_ADAPTERS__ZOEKT__URL": "http://zoekt:6070"}
        planned(tmp_path, {**THEIRS, **BASE, **chosen, name: value})


def test_what_has_no_place_yet_has_none(tmp_path: Path) -> None:
    without = [(theirs, notes) for theirs, here, notes in rows() if here == "no place yet"]
    placed = [one for one in rows() if one[1] != "no place yet"]
    assert len(without) > 10
    assert all("`CODEQUAY_" in here or here == "`--data DIR`" for _, here, _ in placed), placed
    for theirs, notes in without:
        for kind, known in (("port", PORTS), ("layer", KINDS)):
            for name in re.findall(rf"no {kind} `(\w+)`", notes) + re.findall(rf"no `(\w+)` {kind}", notes):
                assert name not in known, f"{theirs}: there is a {kind} {name} now: name its setting"


@pytest.mark.parametrize(
    "theirs",
    ["DATABASE_URL", "POSTGRES_MIN_POOL_SIZE", "POSTGRES_MAX_POOL_SIZE", "REDIS_HOST", "REDIS_PORT", "QDRANT_HOST",
     "QDRANT_PORT", "ENABLE_DISTRIBUTED_LOCK=true", "ENABLE_DISTRIBUTED_LOCK=false", "INDEXING_ENABLE_LEXICAL",
     "INDEXING_ENABLE_VECTOR", "INDEXING_ENABLE_GRAPH"],
)  # fmt: skip
def test_what_such_a_deployment_sets_is_on_the_page(theirs: str) -> None:
    assert any(f"`{theirs}`" in one[0] for one in rows())


@pytest.mark.skipif(os.name == "nt", reason="the block is written for a POSIX shell")
def test_the_whole_of_it_is_a_plan(tmp_path: Path) -> None:
    block = re.search(r"## In one go\n\n```sh\n(.*?)codequay plan\n", PAGE, re.S)
    assert block
    said = subprocess.run(
        ["/bin/sh", "-c", f"{block[1]}\nenv"], env=THEIRS, capture_output=True, text=True, check=True
    ).stdout
    env = dict(line.split("=", 1) for line in said.splitlines())
    plan = planned(tmp_path, env)
    assert plan.ports["chunks"].options["max_pool"] == "9"
    assert plan.ports["lock"].adapter == "redis"
