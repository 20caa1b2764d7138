"""Zoekt: the lexical index on a server of its own, or one that somebody else fills. Specs only; see ``docs.md``."""

from codequay.ports.lexical import LexicalCapabilities
from codequay.ports.spec import AdapterSpec, Requirement

__all__ = ["LEXICAL"]

LEXICAL = AdapterSpec(
    port="lexical",
    name="zoekt",
    factory="codequay.adapters.zoekt.lexical:open_lexical",
    config="codequay.adapters.zoekt.config:ZoektConfig",
    classify="codequay.adapters.zoekt.errors:classify",
    capabilities=LexicalCapabilities(reach="host", durable=True, atomic_batch=True, units=("file",)),
    summary="ranked words and substrings by a Zoekt server, one Zoekt repository for each generation",
    narrow="codequay.adapters.zoekt.config:narrow",
    requires=(Requirement("httpx", extra="zoekt"),),
    docs="codequay.adapters.zoekt:docs.md",
    extra={"auto": "url"},
)
