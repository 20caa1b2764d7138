"""The folder source, for what no version control holds: announced here, implemented beside."""

from __future__ import annotations

from codequay.ports.source import SourceCapabilities
from codequay.ports.spec import AdapterSpec

SOURCE = AdapterSpec(
    port="source",
    name="folder",
    factory="codequay.adapters.folder.source:open_source",
    config="codequay.adapters.folder.config:FolderConfig",
    classify="codequay.adapters.folder.errors:classify",
    capabilities=SourceCapabilities(reach="host", durable=True),
    extra={"defaults": "codequay.adapters.folder.defaults:FolderDefaults"},
    summary="every file below a folder, less built-in excludes",
)
