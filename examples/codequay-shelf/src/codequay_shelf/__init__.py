"""Shelf, for codequay. Specs only: nothing heavy is imported here."""

from codequay.ports.cache import CacheCapabilities
from codequay.ports.spec import AdapterSpec

__all__ = ["CACHE"]

CACHE = AdapterSpec(
    port="cache",
    name="shelf",
    factory="codequay_shelf.cache:open_cache",
    config="codequay_shelf.config:ShelfConfig",
    classify="codequay_shelf.errors:classify",
    capabilities=CacheCapabilities(durable=True),
    summary="bytes with a time to live, in plain files",
)
