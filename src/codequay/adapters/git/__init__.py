"""The git source: announced here, implemented beside."""

from __future__ import annotations

from codequay.ports.source import SourceCapabilities
from codequay.ports.spec import AdapterSpec

SOURCE = AdapterSpec(
    port="source",
    name="git",
    factory="codequay.adapters.git.source:open_source",
    config="codequay.adapters.git.config:GitConfig",
    classify="codequay.adapters.git.errors:classify",
    capabilities=SourceCapabilities(reach="host", durable=True, revisions=True, blame=True),
    extra={"defaults": "codequay.adapters.git.defaults:GitDefaults"},
    summary="files as git sees them, in the working tree or at a revision",
)
