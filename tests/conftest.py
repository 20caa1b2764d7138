"""Servers for tests, and how much hypothesis tries.

The same few examples each time; many new ones with ``--hypothesis-profile=explore``.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.servers"]

QUIET = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]

settings.register_profile("codequay", derandomize=True, max_examples=60, deadline=None, suppress_health_check=QUIET)
settings.register_profile("explore", max_examples=3000, deadline=None, print_blob=True, suppress_health_check=QUIET)
if settings.get_current_profile_name() != "explore":
    settings.load_profile("codequay")
