"""The certificates that lie in the adapters' folders speak of the adapters as they are, on every interpreter."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from codequay.kernel import certificates, default_registry
from tests.cli.conftest import check
from tests.contract.test_adapters import SERVERS, SHIPPED


@pytest.mark.parametrize("component", SHIPPED)
def test_the_certificate_of_a_shipped_adapter_is_current(component: str) -> None:
    registry = default_registry()
    port, _, name = component.partition(".")
    module = registry.announcement(port, name).module
    server = name in SERVERS
    remedy = "nox -s servers -- certify" if server else f"nox -s certify -- {component}"
    assert certificates.state(component, module, registry.port(port)) == "certified", remedy
    folder = certificates.adapter_folder(module)
    assert folder is not None
    found = json.loads((folder / certificates.FOLDER / f"{component}.json").read_text(encoding="utf-8"))
    check("certificate", found)
    assert bool(found["server"]) == server
    assert "advisory" not in found["clauses"].values()


def test_no_certificate_is_left_of_an_adapter_that_is_gone() -> None:
    adapters = Path(__file__).parents[2] / "src" / "codequay" / "adapters"
    found = {file.stem for file in adapters.rglob(f"{certificates.FOLDER}/*.json")}
    assert found == set(SHIPPED)
