"""Options of the Zoekt adapter: ``[adapters.zoekt]``."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from codequay.ports.lexical import LexicalCapabilities

from . import LEXICAL


def _url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("it is http://HOST:PORT or https://HOST:PORT")
    if parts.username or parts.password:
        raise ValueError("no user or password in the url: zoekt-webserver knows none")
    if "?" in url or "#" in url:
        raise ValueError("no ? and no # in the url: each call has a path of its own")
    return url.rstrip("/")


class ZoektConfig(BaseModel):
    """A ``zoekt-webserver``, and the folder that it serves."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    url: Annotated[str, AfterValidator(_url)] = "http://127.0.0.1:7205"
    """The server, which was started with ``-rpc``."""
    index_dir: str = ""
    """The folder that the server serves (``-index``). Mode ``managed`` writes into it, so it lies on this machine."""
    mode: Literal["managed", "external"] = "managed"
    """``managed``: each generation becomes a Zoekt repository. ``external``: somebody else fills the index."""
    namespace: str = Field("", pattern=r"^[\w.-]*$", max_length=64)
    """What the names of Zoekt repositories begin with, where several indexes share one server."""
    repository: str = ""
    """Mode ``external``: what the repository is called there; empty: as it is called here (``{repo}``)."""
    indexer: str = "zoekt-archive-index"
    """The program that makes shards: a name on ``PATH``, or a path."""
    timeout: float = Field(30.0, gt=0, le=600)
    """Seconds for one answer, for the lock among writers, and for a new shard to be seen by the server."""
    index_timeout: float = Field(1800.0, gt=0, le=86400)
    """Seconds for one run of the indexer."""
    busy_timeout: float = Field(5.0, ge=0, le=600)
    """Seconds to wait for another process's transaction on the spool before ``lock_busy``."""

    @model_validator(mode="after")
    def _folder(self) -> ZoektConfig:
        if self.mode == "managed" and not self.index_dir:
            raise ValueError("mode managed needs index_dir, the folder that zoekt-webserver serves")
        return self


def narrow(config: ZoektConfig) -> LexicalCapabilities:
    """What the adapter can do with these options: an index that somebody else fills takes no write."""
    declared = LEXICAL.capabilities
    if not isinstance(declared, LexicalCapabilities):
        raise TypeError(f"{LEXICAL.name} declares capabilities of another port")
    return declared if config.mode == "managed" else replace(declared, reach="network", writable=False)
