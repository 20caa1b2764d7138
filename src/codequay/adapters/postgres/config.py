"""Options of the PostgreSQL adapters: ``[adapters.postgres]``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from .address import Address, Unreadable, parse

TRUSTING = ("disable", "allow", "prefer")
"""Modes in which nobody looks at the server's certificate, and the connection need not be encrypted."""


def _dsn(dsn: SecretStr) -> SecretStr:
    try:
        parse(dsn.get_secret_value())
    except Unreadable:
        raise ValueError(
            "it must look like postgresql://USER@HOST:PORT/DATABASE, with special characters of user and password"
            " percent-encoded (# as %23, / as %2F, ? as %3F, @ as %40)"
        ) from None
    return dsn


class PostgresConfig(BaseModel):
    """One server, and one pool of connections for every port that it serves."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    dsn: Annotated[SecretStr, AfterValidator(_dsn)]
    """``postgresql://USER@HOST:PORT/DATABASE``. It is shown nowhere, so it may hold the password; several hosts may be
    named, separated by commas, and the first that can be reached is used."""
    password: SecretStr | None = None
    """``env:NAME`` or ``file:PATH``; it goes before one in the dsn."""
    db_schema: str = Field("codequay", alias="schema", pattern=r"^[a-z_][a-z0-9_]{0,62}$")
    """Where the tables lie. Deployments with different schemas share a database."""
    min_pool: int = Field(5, ge=0, le=1000)
    """Connections that are kept open once the first was needed."""
    max_pool: int = Field(20, ge=1, le=1000)
    """Connections of this process at most; a call beyond them waits."""
    timeout: float = Field(30.0, gt=0, le=3600)
    """Seconds to wait for a connection, free or new."""
    idle_timeout: float = Field(300.0, gt=0, le=86_400)
    """Seconds after which an unused connection above ``min_pool`` is closed."""
    statement_timeout: float = Field(60.0, gt=0, le=86_400)
    """Seconds that one statement may take."""
    lock_timeout: float = Field(10.0, gt=0, le=3600)
    """Seconds that a writer waits for another writer of the same repository before ``lock_busy``."""
    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] | None = None
    """As libpq has it; None: what the dsn says, else ``prefer``."""
    sslrootcert: str = ""
    """File of the authority that ``verify-ca`` and ``verify-full`` trust; the system's when empty."""
    application_name: str = Field("codequay", pattern=r"^[ -~]{1,63}$")
    """What ``pg_stat_activity`` calls the connections."""
    statement_cache_size: int = Field(100, ge=0, le=10_000)
    """Statements that a connection keeps prepared. 0 behind a pooler in transaction mode, such as pgbouncer: every
    call is then one transaction and leaves nothing in the session."""
    migrations: Literal["auto", "check", "off"] = "auto"
    """Tables are made and migrated when they are opened for writing; ``check`` refuses tables that are missing or of
    an older release until ``codequay migrations --apply``; ``off`` does not look."""

    @model_validator(mode="after")
    def _bounds(self) -> PostgresConfig:
        if self.db_schema.startswith("pg_"):
            raise ValueError("schema must not begin with pg_: such names are PostgreSQL's own")
        if self.min_pool > self.max_pool:
            raise ValueError("min_pool must not be above max_pool")
        if self.sslrootcert and self.encryption in TRUSTING:
            raise ValueError("sslrootcert needs sslmode: require, verify-ca or verify-full")
        if self.address.direct_tls and self.encryption in TRUSTING:
            raise ValueError("sslnegotiation=direct in the dsn needs sslmode: require, verify-ca or verify-full")
        return self

    @property
    def address(self) -> Address:
        """The dsn, read."""
        return parse(self.dsn.get_secret_value())

    @property
    def encryption(self) -> str:
        """The ``sslmode`` that counts."""
        return self.sslmode or self.address.options.get("sslmode", "prefer")

    @property
    def certificates(self) -> Mapping[str, str]:
        """Files of certificates and what goes with them, by libpq's names."""
        return {**self.address.options, **({"sslrootcert": self.sslrootcert} if self.sslrootcert else {})}
