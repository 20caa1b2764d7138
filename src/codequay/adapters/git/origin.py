"""The name of a repository that all its clones share."""

from __future__ import annotations

import re

_URL = re.compile(r"[a-z][a-z0-9+.-]*://(?:[^/]*@)?([^/?#]*)/([^?#]*)(?:[?#].*)?", re.I)
_SCP = re.compile(r"(?:[^/]*@)?(\[[^\]]*\]|[^:/@\\]{2,}):(?!:)([^?#]*)")
_DEFAULT_PORT = re.compile(r":(?:22|80|443|9418)?$")


def normal_origin(url: str) -> str:
    """``url`` as "host/path", without user, password, query, default port and ".git"; "" when it names no host.

    A folder of this machine names no host, so two unrelated repositories at one path on two machines differ.
    """
    found = _URL.fullmatch(url) or _SCP.fullmatch(url)
    if found is None or not found[1] or url.lower().startswith("file:"):
        return ""
    host = _DEFAULT_PORT.sub("", found[1].lower())
    path = found[2].strip("/").removesuffix(".git").strip("/")
    name = f"{host}/{path}"
    return name if host and path and name.isprintable() and len(name) <= 512 else ""
