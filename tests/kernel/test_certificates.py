"""What a certificate in an adapter's folder says, and when it no longer speaks of the adapter."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from codequay.kernel import certificates, default_registry, load_settings, make_plan
from codequay.kernel.errors import PlanError
from codequay.kernel.plan import Plan
from codequay.ports.cache import PORT
from tests.kernel.distributions import CACHE_SPEC, distribution, on_path

COMPONENT = "cache.shelf"


@pytest.fixture
def package(tmp_path: Path) -> Iterator[Path]:
    """The package of an installed distribution that announces ``cache.shelf``."""
    distribution(tmp_path, "acme-shelf", {"codequay.adapters": {COMPONENT: "acme_shelf:SPEC"}}, {})
    folder = tmp_path / "acme_shelf"
    folder.mkdir()
    spec = CACHE_SPEC.format(name="shelf", module="acme_shelf", capabilities="", more="")
    (folder / "__init__.py").write_text(spec)
    (folder / "store.py").write_text("SIZE = 1\n")
    with on_path(tmp_path):
        yield folder


def certify(package: Path, **more: Any) -> None:
    """Write a certificate as ``contract check --report`` does."""
    certificates.adapter_hash.cache_clear()
    said = {
        "component": COMPONENT,
        "digest": PORT.digest(),
        "adapter_hash": certificates.adapter_hash("acme_shelf"),
        "verdict": "pass",
        "double": False,
        "clauses": {clause.id: "pass" for clause in PORT.clauses},
    }
    (package / certificates.FOLDER).mkdir(exist_ok=True)
    file = package / certificates.FOLDER / f"{COMPONENT}.json"
    file.write_text(json.dumps({**said, **more}))


def state() -> str:
    certificates.adapter_hash.cache_clear()
    return certificates.state(COMPONENT, "acme_shelf", PORT)


def test_a_certificate_speaks_of_the_adapter_until_its_folder_or_the_page_changes(package: Path) -> None:
    assert state() == "none"
    certify(package)
    assert state() == "certified"
    (package / "store.py").write_text("SIZE = 2\n")
    assert state() == "stale"
    (package / "store.py").write_bytes(b"SIZE = 1\r\n")
    assert state() == "certified"
    (package / "more.py").write_text("")
    assert state() == "stale"
    certify(package, digest="of another page")
    assert state() == "other contract"


def test_a_private_module_beside_the_adapter_belongs_to_what_was_certified(tmp_path: Path) -> None:
    folder = tmp_path / "acme_shelves" / "shelf"
    folder.mkdir(parents=True)
    for package in (folder, folder.parent):
        (package / "__init__.py").write_text("")

    def digest() -> str:
        certificates.adapter_hash.cache_clear()
        return certificates.adapter_hash("acme_shelves.shelf")

    with on_path(tmp_path):
        was = digest()
        (folder.parent / "other.py").write_text("SIZE = 1\n")
        assert digest() == was
        (folder.parent / "_schema.py").write_text("SIZE = 1\n")
        assert digest() != was


def test_what_python_and_the_kit_write_beside_an_adapter_changes_nothing(package: Path) -> None:
    certify(package)
    (package / "__pycache__").mkdir(exist_ok=True)
    (package / "__pycache__" / "store.cpython-311.pyc").write_bytes(b"x")
    (package / certificates.FOLDER / "lock.shelf.json").write_text("{}")
    assert state() == "certified"


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"double": True}, "double"),
        ({"verdict": "FAIL"}, "failed"),
        ({"verdict": "unverified"}, "unverified"),
        ({"clauses": {PORT.clauses[0].id: "pass"}}, "unverified"),
        ({"clauses": None}, "unverified"),
        ({"adapter_hash": ""}, "stale"),
        ({"component": "cache.other"}, "none"),
        ({"until": "2020-01-01"}, "failed"),
        ({"until": "9999-01-01"}, "certified"),
        ({"until": ""}, "certified"),
    ],
)
def test_a_certificate_that_proves_less_says_so(package: Path, more: dict[str, Any], expected: str) -> None:
    certify(package, **more)
    assert state() == expected


@pytest.mark.parametrize("text", ["", "[]", "{", '{"digest": 1}', "\0"])
def test_a_file_that_is_no_certificate_counts_for_nothing(package: Path, text: str) -> None:
    certify(package)
    (package / certificates.FOLDER / f"{COMPONENT}.json").write_text(text)
    assert state() == "none"


def test_a_single_module_has_no_place_for_a_certificate(tmp_path: Path) -> None:
    (tmp_path / "acme_alone.py").write_text("")
    with on_path(tmp_path):
        assert certificates.state(COMPONENT, "acme_alone", PORT) == "none"
        assert certificates.state(COMPONENT, "acme_absent", PORT) == "none"


def planned(tmp_path: Path, wanted: str, **overrides: object) -> Plan:
    certificates.adapter_hash.cache_clear()
    sets = ("ports.cache=shelf", f"ports.cache.certificate={wanted}")
    given = load_settings(env={}, project=tmp_path, user=tmp_path / "user", sets=sets)
    return make_plan(given, default_registry(), ports=["cache"], overrides=overrides)


def test_off_does_not_look(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def looked(*words: object) -> str:
        raise AssertionError("the certificate was read")

    monkeypatch.setattr(certificates, "state", looked)
    assert planned(tmp_path, "off").warnings == ()


def test_warn_warns_and_require_refuses(package: Path, tmp_path: Path) -> None:
    (warning,) = planned(tmp_path, "warn").warnings
    assert warning == "cache.shelf has no certificate (codequay contract check cache.shelf)"
    with pytest.raises(PlanError, match=r"cache\.shelf has no certificate") as caught:
        planned(tmp_path, "require")
    (error,) = caught.value.errors
    assert error.at == "ports.cache.certificate (--set ports.cache.certificate)"
    assert (
        error.remedy == "take an adapter that is certified (codequay adapters), or set ports.cache.certificate to warn"
    )


def test_a_certificate_satisfies_require_while_it_holds(package: Path, tmp_path: Path) -> None:
    certify(package)
    plan = planned(tmp_path, "require")
    assert plan.warnings == ()
    assert plan.to_json()["ports"]["cache"]["certificate"] == "certified"
    (package / "store.py").write_text("SIZE = 2\n")
    with pytest.raises(PlanError, match="has changed since it was certified"):
        planned(tmp_path, "require")


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"double": True}, "was certified on a stand-in for its server"),
        ({"digest": "another"}, "was certified for another version of the port"),
        ({"verdict": "unverified"}, "has a certificate that leaves clauses unverified"),
        ({"verdict": "FAIL"}, "has a certificate that says that it failed"),
    ],
)
def test_less_than_certified_does_not_satisfy_require(
    package: Path, tmp_path: Path, more: dict[str, Any], why: str
) -> None:
    certify(package, **more)
    with pytest.raises(PlanError, match=why):
        planned(tmp_path, "require")
    assert why in planned(tmp_path, "warn").warnings[0]


def test_an_object_that_the_caller_gives_is_a_double(package: Path, tmp_path: Path) -> None:
    assert planned(tmp_path, "off", cache=object()).ports["cache"].certificate == "double"
    with pytest.raises(PlanError, match="an object that the caller gave"):
        planned(tmp_path, "require", cache=object())
