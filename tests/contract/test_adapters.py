"""Every adapter that codequay brings keeps its port's contract: one item per adapter and clause.

Those whose store lies on a server are of the session servers.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

import pytest

from codequay.contract import contract_tests, suite
from codequay.ports import PORTS
from codequay.ports.spec import Level

SHIPPED = sorted(
    entry.name
    for entry in entry_points(group="codequay.adapters")
    if entry.dist is not None and entry.dist.name == "codequay"
)
OURS: Any = {"timeout": 60.0, "strict": True}
"""Every core is busy with another trial; and no shipped adapter breaks a clause because it is new."""
SERVERS = ("postgres", "redis", "zoekt")
FAST = [level for level in Level if level is not Level.DURABILITY]

for _component in SHIPPED:
    _name = "".join(part.capitalize() for part in _component.split("."))
    _adapter = _component.partition(".")[2]
    if _adapter in SERVERS:
        _server = pytest.mark.usefixtures(f"{_adapter}_server")(contract_tests(_component, **OURS))
        globals()[f"Test{_name}Server"] = pytest.mark.servers(_server)
        continue
    globals()[f"Test{_name}"] = contract_tests(_component, levels=FAST, **OURS)
    _lasting = contract_tests(_component, levels=[Level.DURABILITY], **OURS)
    globals()[f"Test{_name}Durability"] = pytest.mark.durability(_lasting)


@pytest.mark.parametrize("port", PORTS)
def test_every_clause_of_the_page_has_a_trial(port: str) -> None:
    assert suite(port).uncovered() == []
