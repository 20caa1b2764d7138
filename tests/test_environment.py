"""What of the user's machine reaches tests: none of his settings, and no folder that is closed to servers."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.permissions import SHORT, bare_environment, open_folder

ROOT = Path(__file__).parents[1]
PROBE = """
import os
import urllib.request

def test_environment():
    assert not [name for name in os.environ if name.startswith("PG")]
    assert [name for name in os.environ if name.startswith("CODEQUAY_")] == ["CODEQUAY_TEST_SAID"]
    assert os.environ["http_proxy"] == "http://192.0.2.1:9"
    assert {name for name in os.environ if name.startswith("GIT_")} == {"GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM"}
    for host in ("127.0.0.1:80", "localhost", "kept.example"):
        assert urllib.request.proxy_bypass_environment(host)
    assert not urllib.request.proxy_bypass_environment("other.example")
"""


@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_the_users_settings_do_not_reach_tests(tmp_path: Path, name: str) -> None:
    (tmp_path / "test_probe.py").write_text(PROBE)
    his = {
        "PGSSLMODE": "verify-full",
        "GIT_DIR": "/none",
        "CODEQUAY_PROFILE": "none",
        "http_proxy": "http://192.0.2.1:9",
        name: "kept.example",
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "tests.servers", "-p", "no:cacheprovider", "test_probe.py"],
        env=bare_environment(tmp_path) | {"PYTHONPATH": str(ROOT), "CODEQUAY_TEST_SAID": "1", **his},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX permissions")
@pytest.mark.parametrize("kind", ["closed", "long", "a b", "open"])
def test_a_folder_for_servers_is_open_and_short(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_folder() as above:
        place = above / {"long": "x" * SHORT, "a b": "a b"}.get(kind, "t")
        place.mkdir()
        place.chmod(0o700 if kind == "closed" else 0o755)
        monkeypatch.setattr(tempfile, "tempdir", str(place))
        with open_folder() as found:
            fits = kind == "open" and len(str(place)) <= SHORT
            assert found.parent == (place if fits else Path("/tmp").resolve())
            assert all(one.stat().st_mode & 0o001 for one in (found, *found.parents))
            (found / "file").touch()
            found.chmod(0o555)
        assert not found.exists()
