"""Tantivy: the lexical index of a machine, as files beside the repository. Specs only; see ``docs.md``."""

from codequay.ports.lexical import LexicalCapabilities
from codequay.ports.spec import AdapterSpec, Requirement

__all__ = ["LEXICAL"]

LEXICAL = AdapterSpec(
    port="lexical",
    name="tantivy",
    factory="codequay.adapters.tantivy.lexical:open_lexical",
    config="codequay.adapters.tantivy.config:TantivyConfig",
    classify="codequay.adapters.tantivy.errors:classify",
    capabilities=LexicalCapabilities(
        reach="host", durable=True, compaction=True, prepare="codequay.adapters.tantivy.preparation:prepare"
    ),
    summary="ranked words in Tantivy files beside the repository",
    requires=(Requirement("tantivy"),),
    migrations="codequay.adapters.tantivy.migrations:open_sidecar",
    docs="codequay.adapters.tantivy:docs.md",
    extra={"defaults": "codequay.adapters.tantivy.defaults:TantivyDefaults"},
)
