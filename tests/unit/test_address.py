"""Addresses of a Redis: what a URL says, what is refused, what is never shown."""

import pytest
from pydantic import SecretStr

from tasks.address import Kind, hide_password, next_database, parse_address
from tasks.settings import StoreSettings


@pytest.mark.parametrize(
    ("url", "kind", "tls", "hosts"),
    [
        ("redis://h", Kind.SERVER, False, (("h", 6379),)),
        ("redis://", Kind.SERVER, False, (("localhost", 6379),)),
        ("rediss://h:1/0", Kind.SERVER, True, (("h", 1),)),
        ("redis://[::1]:7/0", Kind.SERVER, False, (("::1", 7),)),
        ("unix:///run/r.sock", Kind.SOCKET, False, ()),
        ("sentinel://a,b:2/main", Kind.SENTINEL, False, (("a", 26379), ("b", 2))),
        ("rediss+sentinel://a/main/0", Kind.SENTINEL, True, (("a", 26379),)),
        ("redis+cluster://a,b:2", Kind.CLUSTER, False, (("a", 6379), ("b", 2))),
        ("rediss+cluster://[::1]:3,b/0", Kind.CLUSTER, True, (("::1", 3), ("b", 6379))),
    ],
)
def test_a_url_says_what_is_there(url: str, kind: Kind, tls: bool, hosts: tuple[tuple[str, int], ...]) -> None:
    address = parse_address(url)
    assert (address.kind, address.tls, address.hosts) == (kind, tls, hosts)


def test_login_service_database_and_options_are_found_and_unquoted() -> None:
    address = parse_address("sentinel://us%40er:p%2Fw@a/my%20main/5?protocol=2&db=")
    assert (address.username, address.password) == ("us@er", "p/w")
    assert (address.service, address.database, address.options) == ("my main", 5, {"protocol": "2"})


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://h", "it must begin with one of redis://, "),
        ("redis://h:port/0", "'h:port' is no host with a port"),
        ("redis://h:65536/0", "no host with a port"),
        ("redis://h/x", "'x' is not a database number"),
        ("redis://h/?db=x", "'x' is not a database number"),
        ("unix:///s?db=-2", "'-2' is not a database number"),
        ("redis://h/-1", "'-1' is not a database number"),
        ("redis://h/\u0663", "is not a database number"),
        ("sentinel://a:1,b:2", "the name of the service is missing"),
        ("sentinel://a:1/main/x", "'x' is not a database number"),
        ("redis+cluster://a/1", "a cluster has only the database 0"),
        ("redis://u:geheim@[::1", "Invalid IPv6 URL"),
    ],
)
def test_what_is_no_address_is_refused_without_its_password(url: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        parse_address(url)
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    ("store", "broker"),
    [
        ("redis://localhost", "redis://localhost/1"),
        ("redis://localhost:6379/0", "redis://localhost:6379/1"),
        ("rediss://u:p%40w@host:1/7?ssl_cert_reqs=none", "rediss://u:p%40w@host:1/8?ssl_cert_reqs=none"),
        ("redis://host/?db=3", "redis://host/4"),
        ("redis://[::1]:6379/2", "redis://[::1]:6379/3"),
        ("unix:///run/redis.sock", "redis+socket:///run/redis.sock?virtual_host=1"),
        ("unix:///run/redis.sock?db=4", "redis+socket:///run/redis.sock?virtual_host=5"),
        ("sentinel://u:pw@a,b:1/main/3", "sentinel://u:pw@a,b:1/main/4"),
        ("sentinel://a/main", "sentinel://a/main/1"),
        ("unix://u:pw@/run/redis.sock?db=0", "redis+socket://u:pw@/run/redis.sock?virtual_host=1"),
    ],
)
def test_the_broker_is_the_database_after_the_stores(store: str, broker: str) -> None:
    assert next_database(parse_address(store)) == broker
    assert StoreSettings(redis_url=SecretStr(store)).broker == broker


@pytest.mark.parametrize(
    ("url", "hidden"),
    [
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("redis://:geheim@host:1/0?a=b", "redis://:***@host:1/0?a=b"),
        ("redis://u:geheim@[::1]:63/0", "redis://u:***@[::1]:63/0"),
        ("redis://u:ge@heim@host/0", "redis://u:***@host/0"),
        ("redis://u:geheim@host:port/0", "redis://u:***@host:port/0"),
        ("redis://u:geheim@[::1", "redis://u:***@[::1"),
        ("redis://u:ge/heim@host", "redis://u:***@host"),
        ("unix://u:geheim@/run/x.sock?db=1", "unix://u:***@/run/x.sock?db=1"),
        ("redis://host/0?password=geheim&x=1", "redis://host/0?password=***&x=1"),
        ("redis://user@host/0", "redis://user@host/0"),
        ("", ""),
    ],
)
def test_a_password_is_hidden_also_in_a_url_that_is_malformed(url: str, hidden: str) -> None:
    assert hide_password(url) == hidden
