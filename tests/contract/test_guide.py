"""What docs/write-an-adapter.md says is so: its example is a right adapter, and its text is the example's."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from codequay.contract.scaffold import scaffold
from tests.kernel.distributions import distribution

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "write-an-adapter.md").read_text(encoding="utf-8")
EXAMPLE = ROOT / "examples" / "codequay-shelf"


@pytest.fixture
def shelf(tmp_path: Path) -> dict[str, str]:
    """The example, installed: the environment in which it is."""
    project = _project(EXAMPLE)
    distribution(tmp_path, project["name"], project["entry-points"], {})
    shutil.copytree(EXAMPLE / "src" / "codequay_shelf", tmp_path / "codequay_shelf")
    path = [str(tmp_path), str(ROOT / "src")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path), "PYTHONDONTWRITEBYTECODE": "1"}


def checked(environment: dict[str, str], *arguments: str) -> dict[str, str]:
    """Clause -> verdict."""
    command = [sys.executable, "-m", "codequay", "contract", "check", "cache.shelf", "--format", "json", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)["clauses"]


@pytest.mark.kit
def test_the_example_keeps_the_contract(shelf: dict[str, str]) -> None:
    clauses = checked(shelf, "--level", "core,capability,concurrency,cancellation")
    assert set(clauses.values()) <= {"pass", "n-a"}
    assert clauses["CA-07"] == clauses["CA-12"] == "pass"


@pytest.mark.durability
def test_the_example_loses_nothing_when_its_process_is_killed(shelf: dict[str, str]) -> None:
    assert set(checked(shelf, "--level", "durability").values()) == {"pass"}


def test_the_examples_parts_that_are_shown_are_the_examples() -> None:
    written = "\n".join(path.read_text(encoding="utf-8") for path in sorted(EXAMPLE.rglob("*.py")))
    shown = re.findall(r"<!-- example -->\n```python\n(.*?)```", GUIDE, re.S)
    assert len(shown) >= 2
    for block in shown:
        assert block in written, block


def test_the_example_lies_as_the_command_lays_out_a_new_adapter(tmp_path: Path) -> None:
    made = scaffold("cache", "shelf", tmp_path).folder
    assert _files(made) == _files(EXAMPLE)
    assert _project(made)["entry-points"] == _project(EXAMPLE)["entry-points"]


def _files(folder: Path) -> set[str]:
    """What is written by hand there, without what tools leave behind."""
    left = {"__pycache__", ".hypothesis", ".pytest_cache", "certificates"}
    inside = [file.relative_to(folder) for file in folder.rglob("*") if file.is_file()]
    return {str(path) for path in inside if not left & set(path.parts) and ".egg-info" not in str(path)}


def _project(folder: Path) -> Any:
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("docs/**/*.md")), ids=lambda p: p.name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        assert "://" in target or (page.parent / target).exists(), f"{page.name} links to {target}"
