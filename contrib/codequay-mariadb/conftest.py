"""The server comes from Codequay's own tests: by its URL in the environment, else started by ``.ci/services``."""

import pytest

pytest_plugins = ["tests.servers"]


@pytest.fixture(scope="session", autouse=True)
def mariadb(servers) -> str:
    return servers.url("mariadb")
