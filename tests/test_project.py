"""What the project promises about itself: imports stay light, and the README is true."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CLIENTS = ("tantivy", "aiosqlite", "asyncpg", "redis", "qdrant_client", "gqlalchemy", "httpx", "litellm")
HEAVY = (*CLIENTS, "pydantic", "pluggy", "opentelemetry")


def loaded_after(code: str, names: tuple[str, ...]) -> list[str]:
    """Which of the modules are loaded after the code ran in a fresh interpreter."""
    probe = f"import sys\n{code}\nprint(*[n for n in {names!r} if n in sys.modules], file=sys.__stderr__)"
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False, cwd=ROOT, env=env)
    return done.stderr.split("\n")[-2].split() if done.stderr.strip() else []


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("import codequay", (*HEAVY, "asyncio")),
        ("import codequay; codequay.App().plan()", CLIENTS),
        (
            "from codequay.interfaces.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass",
            HEAVY,
        ),
        ("from codequay.interfaces.cli.main import main; main(['adapters'])", (*CLIENTS, "hypothesis", "asyncio")),
        ("import codequay.contract", (*CLIENTS, "pytest")),
    ],
)
def test_no_client_library_is_loaded_before_it_is_needed(code: str, names: tuple[str, ...]) -> None:
    assert loaded_after(code, names) == []


def test_the_probe_sees_a_loaded_module() -> None:
    assert loaded_after("import tantivy", CLIENTS) == ["tantivy"]


def transcript() -> list[tuple[str, str]]:
    """Command and expected output, pair by pair, from between the README's markers."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"<!-- transcript -->\n```console\n(.*?)```", text, re.S)
    assert block, "README.md has no transcript"
    pairs = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block[1], re.M)
    assert len(pairs) >= 3
    return pairs


def steady(output: str) -> str:
    """The output without what differs from run to run: durations and the random part of a repository's id."""
    output = re.sub(r"\d+(\.\d+)? ?(ms|s)\b", "N s", output)
    return re.sub(r"parcel-[0-9a-f]+", "parcel-ID", output)


@pytest.mark.skipif(os.name != "posix", reason="the transcript is written for a POSIX shell")
def test_the_transcript_of_the_readme_is_true(tmp_path: Path) -> None:
    work = tmp_path / "parcel"
    shutil.copytree(ROOT / "examples" / "parcel", work)
    env = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
    }
    for command in ("git init -q .", "git add -A"):
        subprocess.run(command.split(), cwd=work, env=env, check=True)
    for command, expected in transcript():
        done = subprocess.run(["sh", "-c", command], cwd=work, env=env, capture_output=True, text=True, check=False)
        assert steady(done.stdout) == steady(expected), f"{command}\n{done.stderr}"


def test_every_announced_adapter_names_what_exists() -> None:
    from importlib import import_module
    from importlib.metadata import entry_points

    from codequay.ports.spec import AdapterSpec

    ours = [e for e in entry_points(group="codequay.adapters") if e.dist is not None and e.dist.name == "codequay"]
    assert len(ours) >= 13
    for entry in ours:
        spec = entry.load()
        assert isinstance(spec, AdapterSpec)
        assert entry.name == f"{spec.port}.{spec.name}"
        for reference in filter(None, (spec.factory, spec.config, spec.classify, spec.narrow)):
            module, _, name = reference.partition(":")
            assert callable(getattr(import_module(module), name)), reference
