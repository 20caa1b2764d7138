"""Which adapters are found, and what is said when one is not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from codequay.kernel.registry import (
    GROUP,
    Registry,
    default_registry,
    entry_points,
    missing_requirement,
    satisfies,
    scan,
)
from codequay.ports.errors import AdapterConflict, BrokenPlugin, ConfigError, UnknownAdapter
from tests.kernel.distributions import cache_adapter, distribution, on_path


def registry() -> Registry:
    return Registry(scan(GROUP))


def test_an_adapter_of_another_distribution_is_found_beside_ours(tmp_path: Path) -> None:
    cache_adapter(tmp_path, "shelf", dist="acme-shelf")
    with on_path(tmp_path):
        found = registry()
        assert {"memory", "shelf"} <= set(found.names("cache"))
        assert found.spec("cache", "shelf").summary == "a test double"
        assert found.announcement("cache", "shelf").distribution == "acme-shelf"


def test_our_scan_agrees_with_importlib(tmp_path: Path) -> None:
    from importlib import metadata

    cache_adapter(tmp_path, "shelf", dist="acme-shelf")
    with on_path(tmp_path):
        ours = {(name, value) for name, value, _, _ in entry_points(GROUP)}
        assert ours == {(entry.name, entry.value) for entry in metadata.entry_points(group=GROUP)}


def test_a_misspelt_adapter_is_answered_with_what_was_meant() -> None:
    with pytest.raises(UnknownAdapter) as caught:
        default_registry().spec("chunks", "sqlit")
    assert 'no adapter "sqlit" for chunks; did you mean "sqlite"?' in caught.value.message
    assert "installed: memory, postgres, sqlite" in caught.value.message
    assert caught.value.remedy == 'use "sqlite"'


def test_an_unknown_port_is_answered_with_what_was_meant() -> None:
    with pytest.raises(ConfigError, match='no port is named "lexcal"; did you mean "lexical"'):
        default_registry().port("lexcal")


def test_two_distributions_with_one_name_are_both_named_and_one_can_be_picked(tmp_path: Path) -> None:
    cache_adapter(tmp_path / "a", "shelf", dist="acme-shelf")
    cache_adapter(tmp_path / "b", "shelf", dist="other-shelf")
    with on_path(tmp_path / "a", tmp_path / "b"):
        with pytest.raises(AdapterConflict) as caught:
            registry().spec("cache", "shelf")
        assert "acme-shelf 1.0 and other-shelf 1.0" in caught.value.message
        assert registry().spec("cache", "other-shelf:shelf").factory == "other_shelf_impl:open_cache"
        registry().spec("cache", "memory")


def test_a_missing_requirement_names_the_extra_and_is_not_called_broken(tmp_path: Path) -> None:
    more = 'requires=(Requirement("no_such_client", extra="shelf"),),'
    cache_adapter(tmp_path, "shelf", dist="acme-shelf", more=more)
    with on_path(tmp_path):
        missing = missing_requirement(registry().spec("cache", "shelf"))
    assert missing is not None
    assert missing.remedy == "pip install 'codequay[shelf]'"


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("import no_such_module_of_theirs", "ModuleNotFoundError"),
        ("raise RuntimeError('boom')", "boom"),
        ("SPEC = 3", "is not the AdapterSpec"),
        ("OTHER = 3", "AttributeError"),
    ],
)
def test_a_broken_plugin_is_told_with_its_cause_and_hurts_nobody_else(tmp_path: Path, source: str, why: str) -> None:
    entry = {GROUP: {"cache.broken": "acme_broken_spec:SPEC"}}
    distribution(tmp_path, "acme-broken", entry, {"acme_broken_spec": source})
    with on_path(tmp_path):
        found = registry()
        found.spec("cache", "memory")
        with pytest.raises(BrokenPlugin, match=why) as caught:
            found.spec("cache", "broken")
    assert "acme-broken" in caught.value.remedy


def test_an_adapter_for_another_contract_is_refused(tmp_path: Path) -> None:
    cache_adapter(tmp_path, "shelf", dist="acme-shelf", more='contract=">=2.0",')
    with on_path(tmp_path), pytest.raises(BrokenPlugin, match=r"contract >=2\.0"):
        registry().spec("cache", "shelf")


@pytest.mark.parametrize(
    ("version", "wanted", "holds"),
    [((1, 0), ">=1.0,<2", True), ((2, 0), ">=1.0,<2", False), ((1, 3), ">=1.2", True), ((1, 1), "==1.0", False)],
)
def test_contract_ranges(version: tuple[int, int], wanted: str, holds: bool) -> None:
    assert satisfies(version, wanted) is holds


def test_the_registry_follows_sys_path(tmp_path: Path) -> None:
    cache_adapter(tmp_path, "shelf", dist="acme-shelf")
    before = list(sys.path)
    with on_path(tmp_path):
        assert "shelf" in default_registry().names("cache")
    assert sys.path == before
    assert "shelf" not in default_registry().names("cache")


def test_a_guess_that_is_itself_in_conflict_does_not_hide_the_question(tmp_path: Path) -> None:
    cache_adapter(tmp_path / "a", "shelf", dist="acme-shelf")
    cache_adapter(tmp_path / "b", "shelf", dist="other-shelf")
    with on_path(tmp_path / "a", tmp_path / "b"), pytest.raises(UnknownAdapter, match='did you mean "shelf"'):
        registry().spec("cache", "shelv")
