"""The harnesses of the adapters with pgbouncer between them and the server."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

from codequay.adapters.postgres.harness import (
    PostgresChunksHarness,
    PostgresHarness,
    PostgresLockHarness,
    PostgresMetadataHarness,
)

URL = "CODEQUAY_TEST_PGBOUNCER_URL"


class _Pooled(PostgresHarness):
    """It logs in as at the server itself, and administers that."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        if os.environ.get(URL):
            parts = urlsplit(os.environ[URL])
            self.endpoint = (parts.hostname or "127.0.0.1", parts.port or 6432)

    def options(self) -> dict[str, Any]:
        return {**super().options(), "statement_cache_size": 0}

    async def leftovers(self) -> list[str]:
        """The pooler's connections are its own."""
        return []


class PooledChunks(_Pooled, PostgresChunksHarness):
    pass


class PooledMetadata(_Pooled, PostgresMetadataHarness):
    pass


class PooledLock(_Pooled, PostgresLockHarness):
    pass
