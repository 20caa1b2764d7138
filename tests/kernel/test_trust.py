"""A file is trusted by its path and its content."""

from __future__ import annotations

from pathlib import Path

import pytest

from codequay.kernel.trust import Trust
from codequay.ports.errors import ConfigError, NotFound


def test_trust_is_by_path_and_content_and_can_be_revoked(tmp_path: Path) -> None:
    file, other = tmp_path / "codequay.toml", tmp_path / "other.toml"
    file.write_bytes(b"a = 1")
    other.write_bytes(b"a = 1")
    trust = Trust(tmp_path / "user")
    assert not trust.is_trusted(file, b"a = 1")
    digest = trust.accept(file)
    assert trust.list() == {str(file.resolve()): digest}
    assert trust.is_trusted(file, b"a = 1")
    assert not trust.is_trusted(file, b"a = 2")
    assert not trust.is_trusted(other, b"a = 1")
    assert trust.revoke(file)
    assert not trust.revoke(file)
    assert not trust.is_trusted(file, b"a = 1")


def test_a_missing_file_cannot_be_trusted(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        Trust(tmp_path).accept(tmp_path / "absent.toml")


def test_a_damaged_list_is_an_error_and_not_trust(tmp_path: Path) -> None:
    (tmp_path / "trusted.json").write_text("{")
    with pytest.raises(ConfigError, match="list of trusted files"):
        Trust(tmp_path).is_trusted(tmp_path / "codequay.toml", b"")


def test_only_sensible_regular_files_are_read(tmp_path: Path) -> None:
    large = tmp_path / "large.toml"
    large.write_bytes(b"#" * 2_000_000)
    for path in (large, tmp_path):
        with pytest.raises(ConfigError):
            Trust(tmp_path).accept(path)
