"""How the contract kit opens the adapter.

Without an override of ``open()`` and ``reopen()``: by its factory with these options, in an empty folder.
"""

from __future__ import annotations

from typing import Any

from codequay.contract import Harness


class ShelfHarness(Harness):
    def options(self) -> dict[str, Any]:
        """Options for a place of its own: ``self.namespace`` is unique per trial, ``self.folder`` is empty."""
        return {}
