"""What wraps a port when it is configured: one module per kind, none of which knows an adapter.

``KINDS`` lists the kinds from the outside in; that order holds whatever order a file names them in. A module has a
frozen ``Config`` (``Config.parse(value)`` takes what a file says) and ``build(config, target) -> Layer``.
"""

__all__ = ["KINDS"]

KINDS: dict[str, str] = {
    "telemetry": "codequay.layers.telemetry",
    "deadline": "codequay.layers.deadline",
    "retry": "codequay.layers.retry",
}
"""Kind -> module, outermost first."""
