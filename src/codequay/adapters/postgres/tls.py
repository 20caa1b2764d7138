"""Encryption of a connection, as ``sslmode`` has it."""

from __future__ import annotations

import ssl
from collections.abc import Mapping

from codequay.ports.errors import FailedPrecondition

VERIFYING = ("verify-ca", "verify-full")
_VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}


def ways(mode: str, options: Mapping[str, str]) -> list[ssl.SSLContext | None]:
    """What is tried in turn; None without encryption. ``options`` are the parameters of a dsn.

    :raises FailedPrecondition: a file of certificates cannot be read
    """
    if mode == "disable":
        return [None]
    try:
        context = _context(mode, options)
    except OSError as exc:
        named = [options[name] for name in ("sslrootcert", "sslcert", "sslkey", "sslcrl") if name in options]
        raise FailedPrecondition(
            f"the certificates in {', '.join(named)} cannot be read: {exc}",
            remedy="correct adapters.postgres.sslrootcert, or the parameters sslcert, sslkey and sslcrl of the dsn",
        ) from exc
    return {"allow": [None, context], "prefer": [context, None]}.get(mode, [context])


def _context(mode: str, options: Mapping[str, str]) -> ssl.SSLContext:
    trusted = options.get("sslrootcert", "")
    if mode in VERIFYING or (mode == "require" and trusted):
        context = ssl.create_default_context(cafile=None if trusted in ("", "system") else trusted)
        context.check_hostname = mode == "verify-full"
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.minimum_version = _VERSIONS[options.get("ssl_min_protocol_version", "TLSv1.2")]
    if latest := options.get("ssl_max_protocol_version"):
        context.maximum_version = _VERSIONS[latest]
    if revoked := options.get("sslcrl"):
        context.load_verify_locations(cafile=revoked)
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
    if own := options.get("sslcert"):
        context.load_cert_chain(own, options.get("sslkey"), options.get("sslpassword", ""))
    context.set_alpn_protocols(["postgresql"])
    return context
