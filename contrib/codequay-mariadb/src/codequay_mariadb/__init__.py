"""MariaDB: the port chunks. Specs only: nothing heavy is imported here; see ``docs.md``."""

from codequay.ports.chunks import ChunkCapabilities
from codequay.ports.spec import AdapterSpec, Requirement

__all__ = ["CHUNKS"]

CHUNKS = AdapterSpec(
    port="chunks",
    name="mariadb",
    factory="codequay_mariadb.chunks:open_chunks",
    config="codequay_mariadb.config:MariadbConfig",
    narrow="codequay_mariadb.config:narrow",
    classify="codequay_mariadb.errors:classify",
    capabilities=ChunkCapabilities(reach="network", durable=True, atomic_batch=True),
    summary="chunks on a MariaDB server, shared by everybody who reaches it",
    migrations="codequay_mariadb.schema:open_migrations",
    requires=(Requirement("asyncmy"),),
    docs="codequay_mariadb:docs.md",
)
