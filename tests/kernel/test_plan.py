"""What a plan resolves, refuses and shows."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from codequay.adapters.sqlite import CHUNKS
from codequay.kernel import PlanError, Settings, default_registry, load_settings, make_plan
from codequay.kernel.plan import Plan
from codequay.ports.errors import ConfigError, MissingExtra, SecretError, UnknownAdapter
from codequay.ports.lock import LockNeeds
from tests.kernel.distributions import cache_adapter, on_path

CONFIG = """
from pydantic import BaseModel, ConfigDict, SecretStr

class Config(BaseModel):
    model_config = ConfigDict(extra="forbid")
    url: str
    password: SecretStr = SecretStr("")
    tags: list[str] = []
    size: int = 1
"""


def settings(tmp_path: Path, *sets: str, env: Mapping[str, str] | None = None, profile: str | None = None) -> Settings:
    return load_settings(env=env or {}, project=tmp_path, user=tmp_path / "user", sets=sets, profile=profile)


def plan(given: Settings, ports: Iterable[str] = ("cache",), **more: object) -> Plan:
    return make_plan(given, default_registry(), ports=ports, **more)  # type: ignore[arg-type]


def shelf(tmp_path: Path, **more: str) -> None:
    cache_adapter(tmp_path, "shelf", dist="acme-shelf", more='config="acme_shelf_impl:Config",', impl=CONFIG, **more)


ALL = ("chunks", "lexical", "metadata", "source", "lock", "cache")


def test_the_embedded_default_plans_without_a_warning(tmp_path: Path) -> None:
    planned = plan(settings(tmp_path), ALL)
    assert planned.ports["chunks"].component == "chunks.sqlite"
    assert planned.ports["lock"].component == "lock.sqlite"
    assert planned.warnings == ()
    json.dumps(planned.to_json())


def test_a_lock_that_does_not_exclude_is_a_warning(tmp_path: Path) -> None:
    (warning,) = plan(settings(tmp_path, "ports.lock=noop"), ALL).warnings
    assert warning == "lock.noop does not exclude: two writers waste work, and never mix"


def test_every_error_is_reported_at_once_each_with_its_place_and_remedy(tmp_path: Path) -> None:
    given = settings(
        tmp_path,
        "ports.cache=memroy",
        "ports.lexcal=tantivy",
        "ports.chunks.require=durble",
        "index.workrs=2",
    )
    with pytest.raises(PlanError) as caught:
        plan(given, ("cache", "chunks"))
    errors = caught.value.errors
    assert len(errors) == 4
    assert all(error.at and error.remedy for error in errors)
    assert any(isinstance(error, UnknownAdapter) for error in errors)
    assert any('no capability "durble"; did you mean "durable"' in error.message for error in errors)
    assert isinstance(caught.value, ConfigError)
    assert isinstance(caught.value, ExceptionGroup)


def test_a_need_that_the_adapter_does_not_declare_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"lock\.noop does not declare exclusive, and a service needs it"):
        plan(settings(tmp_path, "ports.lock=noop"), ("lock",), needs={"lock": LockNeeds(exclusive=True)})
    for able in ("memory", "sqlite"):
        needs = {"lock": LockNeeds(exclusive=True, fenced=True)}
        plan(settings(tmp_path, f"ports.lock={able}"), ("lock",), needs=needs)


def test_metadata_that_reaches_less_far_than_a_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"metadata\.memory reaches one process, narrower than chunks\.sqlite"):
        plan(settings(tmp_path, "ports.metadata=memory"), ("chunks", "metadata"))


def test_a_lock_that_reaches_less_far_than_a_store_is_a_warning(tmp_path: Path) -> None:
    planned = plan(settings(tmp_path, "ports.lock=memory"), ("chunks", "lock"))
    assert any("lock.memory reaches one process, narrower than chunks.sqlite" in line for line in planned.warnings)


def test_stores_that_are_shared_by_hosts_want_a_lock_that_is(tmp_path: Path) -> None:
    shared = replace(CHUNKS, capabilities=replace(CHUNKS.capabilities, reach="network"))
    (warning,) = plan(settings(tmp_path), ("chunks", "lock"), overrides={"chunks": shared}).warnings
    assert warning.startswith("lock.sqlite reaches one host, narrower than chunks.sqlite: two writers waste work")


def test_only_the_chosen_adapters_table_is_checked(tmp_path: Path) -> None:
    given = settings(tmp_path, "adapters.sqlite.nonsense=1", "adapters.postgrs.dsn=x")
    planned = plan(given)
    assert any("adapters.postgrs" in warning for warning in planned.warnings)
    with pytest.raises(PlanError, match=r"chunks\.sqlite has no option nonsense"):
        plan(given, ("chunks",))


def test_options_are_checked_by_the_adapters_own_model(tmp_path: Path) -> None:
    shelf(tmp_path)
    given = settings(tmp_path, "ports.cache=shelf", "adapters.shelf.sise=2", "adapters.shelf.size=big")
    with on_path(tmp_path), pytest.raises(PlanError) as caught:
        plan(given)
    messages = sorted(error.message for error in caught.value.errors)
    assert messages[0].startswith("adapters.shelf.size: Input should be a valid integer")
    assert messages[1] == 'cache.shelf has no option sise; did you mean "size"?'
    assert messages[2] == "cache.shelf needs the option url"
    assert caught.value.errors[0].at.startswith("adapters.shelf.")


def test_a_second_instance_of_a_technology_has_its_own_table(tmp_path: Path) -> None:
    shelf(tmp_path)
    given = settings(
        tmp_path, "ports.cache=archive", "adapters.archive.use=shelf", "adapters.archive.url=redis://host/1"
    )
    with on_path(tmp_path):
        planned = plan(given).ports["cache"]
    assert (planned.adapter, planned.instance) == ("shelf", "archive")


def test_a_secret_is_shown_by_its_reference_and_never_by_its_value(tmp_path: Path) -> None:
    shelf(tmp_path)
    env = {"DATABASE_PASSWORD": "hunter2"}
    sets = ["ports.cache=shelf", "adapters.shelf.url=redis://me:pa55@host/1"]
    given = settings(tmp_path, *sets, "adapters.shelf.password=env:DATABASE_PASSWORD", env=env)
    with on_path(tmp_path):
        planned = plan(given)
    shown = json.dumps(planned.to_json()) + repr(planned)
    assert "env:DATABASE_PASSWORD" in shown
    assert "hunter2" not in shown
    assert "pa55" not in shown


def test_a_secret_does_not_leak_into_an_error(tmp_path: Path) -> None:
    shelf(tmp_path)
    given = settings(tmp_path, "ports.cache=shelf", "adapters.shelf.size=env:SIZE", env={"SIZE": "hunter2"})
    with on_path(tmp_path), pytest.raises(PlanError) as caught:
        plan(given)
    assert "hunter2" not in repr(caught.value) + json.dumps([error.to_json() for error in caught.value.errors])


def test_a_missing_secret_is_an_error_with_its_place(tmp_path: Path) -> None:
    shelf(tmp_path)
    sets = ["ports.cache=shelf", "adapters.shelf.password=env:NOT_SET", "adapters.shelf.url=file:/no"]
    given = settings(tmp_path, *sets)
    with on_path(tmp_path), pytest.raises(PlanError) as caught:
        plan(given)
    first, second = caught.value.errors
    assert isinstance(first, SecretError)
    assert first.message == "the variable NOT_SET is not set"
    assert first.at == "adapters.shelf.password (--set adapters.shelf.password)"
    assert "/no cannot be read" in second.message


def test_a_list_from_the_environment_is_json(tmp_path: Path) -> None:
    shelf(tmp_path)
    env = {
        "CODEQUAY_PORTS__CACHE": "shelf",
        "CODEQUAY_ADAPTERS__SHELF__TAGS": '["a", "b"]',
        "CODEQUAY_ADAPTERS__SHELF__URL": "[not json",
    }
    with on_path(tmp_path):
        plan(settings(tmp_path, env=env))


def test_a_missing_extra_is_an_error_at_plan_time(tmp_path: Path) -> None:
    cache_adapter(tmp_path, "shelf", dist="acme-shelf", more='requires=(Requirement("no_such", extra="shelf"),),')
    with on_path(tmp_path), pytest.raises(PlanError) as caught:
        plan(settings(tmp_path, "ports.cache=shelf"))
    (error,) = caught.value.errors
    assert isinstance(error, MissingExtra)
    assert error.at == "ports.cache (--set ports.cache)"


def test_auto_takes_the_adapter_whose_option_is_set_and_says_why(tmp_path: Path) -> None:
    shelf(tmp_path)
    spec = tmp_path / "acme_shelf_spec.py"
    spec.write_text(spec.read_text().replace("summary=", 'extra={"auto": "url"}, summary='))
    with on_path(tmp_path):
        default = plan(settings(tmp_path, "ports.cache=auto")).ports["cache"]
        chosen = plan(settings(tmp_path, "ports.cache=auto", "adapters.shelf.url=x")).ports["cache"]
    assert (default.adapter, default.why) == ("memory", "auto: no server is configured, so the embedded default")
    assert (chosen.adapter, chosen.why) == ("shelf", "auto: adapters.shelf.url is set (--set adapters.shelf.url)")


def test_a_plan_imports_no_implementation(tmp_path: Path) -> None:
    cache_adapter(tmp_path, "shelf", dist="acme-shelf", impl="raise RuntimeError('imported')")
    with on_path(tmp_path):
        plan(settings(tmp_path, "ports.cache=shelf"))
        assert "acme_shelf_impl" not in sys.modules
