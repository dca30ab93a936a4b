"""Which addresses are public, which hosts are disguised, and what an operator's list allows."""

from ipaddress import ip_address

import pytest

from tasks.errors import BadSetting
from tasks.outbound.addresses import is_disguised, is_public
from tasks.outbound.allowed import Allowed
from tasks.outbound.settings import OutboundSettings
from tasks.outbound.target import target
from tasks.refusals import AddressRefused
from tasks.settings import read_settings

# fmt: off
PRIVATE = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254",  # noqa: S104
    "168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1",
    "192.168.1.1", "198.18.0.1", "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.255", "240.0.0.1",
    "255.255.255.255", "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1", "2001::1", "2001:0:7f00:1::1", "2001:10::1",
    "2001:20::1", "2001:db8::1", "2002:7f00:1::1", "2002:a9fe:a9fe::", "3fff::1", "5f00::1", "fc00::1",
    "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "2606:4700::1111%eth0",
]
# fmt: on
PUBLIC = ["1.1.1.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450::5", "::ffff:8.8.8.8"]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_not_everybody_can_reach_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", [*PUBLIC, "64:ff9b::808:808"])
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "host", ["2130706433", "0x7f000001", "0x7f.1", "127.1", "0177.0.0.01", "017700000001", "1.2.3", "a.0x1", "b.17"]
)
def test_a_number_that_resolvers_take_for_an_address_is_disguised(host: str) -> None:
    assert is_disguised(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "example.org", "4chan.org", "0xa.org", "a.b1", "x1.y2.z3a"])
def test_a_name_and_an_address_in_its_usual_form_are_not_disguised(host: str) -> None:
    assert not is_disguised(host)


def test_an_own_host_is_allowed_on_the_usual_ports_and_its_own() -> None:
    allowed = Allowed.parse("Wiki.example.internal, 10.1.0.0/16:9000,[fd00::1]:80,127.0.0.1:*,fd11::/16", "443,80")
    assert allowed.name("wiki.example.internal", 443)
    assert not allowed.name("wiki.example.internal", 6379)
    assert not allowed.name("a.wiki.example.internal", 443)
    assert allowed.address(ip_address("10.1.2.3"), 9000)
    assert not allowed.address(ip_address("10.1.2.3"), 443)
    assert not allowed.address(ip_address("10.2.0.1"), 9000)
    assert allowed.address(ip_address("fd00::1"), 80)
    assert allowed.address(ip_address("fd11::7"), 443)
    assert allowed.address(ip_address("127.0.0.1"), 1)


@pytest.mark.parametrize("hosts", ["10.0.0.0/33", "127.0.0.1:0", "a:b", "300.1.1.1", "http://a.org/", "a.org:70000"])
def test_a_list_that_cannot_be_read_is_a_bad_setting(hosts: str) -> None:
    with pytest.raises(BadSetting, match="outbound"):
        read_settings(OutboundSettings, outbound_allow=hosts)
    with pytest.raises(BadSetting, match="outbound ports"):
        read_settings(OutboundSettings, outbound_ports="80,http")


@pytest.mark.parametrize(
    ("url", "host", "port", "path"),
    [
        ("https://Example.ORG", "example.org", 443, b"/"),
        ("http://example.org.:8080/a?b=c#d", "example.org", 8080, b"/a?b=c"),
        ("https://bücher.example/", "xn--bcher-kva.example", 443, b"/"),
        ("http://[2606:4700::1111]/", "2606:4700::1111", 80, b"/"),
    ],
)
def test_a_public_address_is_a_target(url: str, host: str, port: int, path: bytes) -> None:
    found = target(url, OutboundSettings().allowed())
    assert (found.host, found.port, found.path) == (host, port, path)


def test_what_is_shown_of_a_target_has_neither_path_nor_query() -> None:
    found = target("https://[2606:4700::1111]:8443/hook/secret?token=1", OutboundSettings().allowed())
    assert found.shown == "https://[2606:4700::1111]:8443"


def test_a_redirect_is_checked_like_a_first_address() -> None:
    allowed = OutboundSettings().allowed()
    assert target("../b", allowed, base="https://example.org/a/c?x=1").full == "https://example.org/b"
    with pytest.raises(AddressRefused):
        target("//127.0.0.1/", allowed, base="https://example.org/a")
