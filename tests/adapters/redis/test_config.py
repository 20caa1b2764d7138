"""What ``[adapters.redis]`` takes, and what it shows of it."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from codequay.adapters.redis.config import Address, RedisConfig
from codequay.adapters.redis.connection import Client

SECRET = "s3cr3t-word"


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://h", Address("redis", (("h", 6379),), "", "", 0, "", False)),
        ("redis://app@h:1/3", Address("redis", (("h", 1),), "", "", 3, "app", False)),
        ("redis://[::1]:7/", Address("redis", (("::1", 7),), "", "", 0, "", False)),
        ("rediss://h:2/1", Address("rediss", (("h", 2),), "", "", 1, "", True)),
        ("unix:///run/a%20b.sock?db=4", Address("unix", (), "/run/a b.sock", "", 4, "", False)),
        ("sentinel://a,b:3/main", Address("sentinel", (("a", 26379), ("b", 3)), "", "main", 0, "", False)),
        ("sentinel://a/main/2?tls=true", Address("sentinel", (("a", 26379),), "", "main", 2, "", True)),
    ],
)
def test_a_url_names_a_server(url: str, address: Address) -> None:
    assert RedisConfig(url=url).address == address


@pytest.mark.parametrize(
    "url",
    [
        "http://h",
        "redis://:" + SECRET + "@h",
        "redis://h?password=" + SECRET,
        "redis://h?socket_timeout=5",
        "redis://app:" + SECRET + "/x@h/0",
        "redis://app:1/" + SECRET + "@h/0",
        "redis://app:x?" + SECRET + "@h/0",
        "sentinel://h/main/" + SECRET,
        "redis://h/abc",
        "redis://h/0#x",
        "redis://",
        "redis://a,b/0",
        "redis://h:99999",
        "sentinel://a",
        "sentinel://a/main/x",
        "sentinel://a/main?tls=perhaps",
        "unix://host/path",
        "unix://",
    ],
)
def test_a_url_that_says_something_else_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ValidationError) as refused:
        RedisConfig(url=url)
    assert SECRET not in str(refused.value)


def test_certificates_need_tls() -> None:
    with pytest.raises(ValidationError, match="need TLS"):
        RedisConfig(ca_file="/ca.pem")
    with pytest.raises(ValidationError, match="needs cert_file"):
        RedisConfig(url="rediss://h", key_file="/key.pem")


def test_a_password_is_in_no_repr() -> None:
    config = RedisConfig(password=SECRET, sentinel_password=SECRET)
    client = Client(config)
    for shown in (config, client, client.connections, client.connections.make_connection(), vars(client)):
        assert SECRET not in repr(shown)
