"""The tests need a server: the one that the environment names or, with Codequay's own plugin, one that it starts."""

import pytest

from codequay_mariadb.harness import server_options


@pytest.fixture(scope="session", autouse=True)
def mariadb(request):
    """
    :raises Unverified: none is named
    """
    if request.config.pluginmanager.has_plugin("tests.servers"):
        request.getfixturevalue("mariadb_server")
    server_options()
