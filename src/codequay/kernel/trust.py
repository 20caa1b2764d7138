"""Trust: which configuration files inside repositories a person has accepted, by path and content.

A changed file is untrusted again. The list is ``trusted.json`` in the user's configuration folder; it is written
whole and replaced in one step, so a crash leaves the old list.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from codequay.ports.errors import ConfigError, NotFound

FILE = "trusted.json"
MAX_CONFIG_BYTES = 1_000_000
"""A configuration file larger than this is a mistake or an attack."""


def user_folder(env: Mapping[str, str]) -> Path:
    """The user's configuration folder: ``$XDG_CONFIG_HOME/codequay``, else the platform's usual place."""
    base = env.get("XDG_CONFIG_HOME") or (env.get("APPDATA") if os.name == "nt" else "")
    if base:
        return Path(base) / "codequay"
    home = env.get("HOME") or os.path.expanduser("~")
    return Path(home) / ".config" / "codequay"


class Trust:
    """The accepted files of one user."""

    def __init__(self, user_dir: Path) -> None:
        self._file = user_dir / FILE

    def accept(self, file: Path) -> str:
        """Accept the file as it is now; its digest.

        :raises NotFound: there is no such file
        """
        path = _real(file)
        try:
            digest = fingerprint(read_config(path))
        except FileNotFoundError as exc:
            raise NotFound(f"no file {file}", remedy="name a codequay.toml") from exc
        known = self.list()
        known[path] = digest
        self._write(known)
        return digest

    def revoke(self, file: Path) -> bool:
        """Take the acceptance back; False when there was none. The file need not exist any more."""
        known = self.list()
        if known.pop(_real(file), None) is None:
            return False
        self._write(known)
        return True

    def list(self) -> dict[str, str]:
        """Path -> digest of what was accepted.

        :raises ConfigError: the list cannot be read
        """
        import json

        try:
            data = json.loads(self._file.read_text(encoding="utf-8"))
            return {str(path): str(digest) for path, digest in dict(data["files"]).items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError) as exc:
            raise ConfigError(
                f"the list of trusted files cannot be read: {exc}", at=str(self._file), remedy=f"delete {self._file}"
            ) from exc

    def is_trusted(self, file: Path, content: bytes) -> bool:
        """Whether this content of this file was accepted."""
        return self._file.exists() and self.list().get(_real(file)) == fingerprint(content)

    def _write(self, known: Mapping[str, str]) -> None:
        import json

        self._file.parent.mkdir(parents=True, exist_ok=True)
        new = self._file.with_name(f"{FILE}.{os.getpid()}")
        new.write_text(json.dumps({"files": dict(sorted(known.items()))}, indent=2) + "\n", encoding="utf-8")
        new.replace(self._file)


def fingerprint(content: bytes) -> str:
    """sha256 in hex."""
    import hashlib

    return hashlib.sha256(content).hexdigest()


def read_config(path: str | Path) -> bytes:
    """The bytes of a regular file of sensible size.

    :raises OSError: it is not there or cannot be read
    :raises ConfigError: it is no regular file, or too large
    """
    import stat

    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError(f"{path} is not a regular file", at=str(path))
    if status.st_size > MAX_CONFIG_BYTES:
        raise ConfigError(f"{path} has {status.st_size} bytes; at most {MAX_CONFIG_BYTES} are read", at=str(path))
    return Path(path).read_bytes()


def _real(file: Path) -> str:
    return os.path.realpath(file)
