"""Which addresses are anybody's: globally routable unicast, whatever form they hide in."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from socket import inet_aton
from typing import Final

IpAddress = IPv4Address | IPv6Address
IpNetwork = IPv4Network | IPv6Network

_NAT64: Final = IPv6Network("64:ff9b::/96")
_GLOBAL_V6: Final = IPv6Network("2000::/3")
"""All unicast addresses that were ever given out: https://www.iana.org/assignments/ipv6-address-space."""
_NOT_PUBLIC: Final = tuple(
    ip_network(text)
    for text in (
        # https://www.iana.org/assignments/iana-ipv4-special-registry; Python's own lists differ from release to release
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
        *("192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24"),
        *("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        "168.63.129.16/32",  # what every virtual machine of Azure asks for its own settings, on a public address
        # https://www.iana.org/assignments/iana-ipv6-special-registry: protocols with Teredo, documentation, 6to4
        *("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20"),
    )
)


def is_public(address: IpAddress) -> bool:
    """Whether anybody may be sent there: no private, loopback, link-local, shared, reserved or multicast address.

    An IPv6 address that stands for an IPv4 one (mapped, NAT64) is judged by that. 6to4 and Teredo, which can carry any
    IPv4 address, are never public: nobody serves pages there.
    """
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped
        if inner is None and address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner is not None:
            return is_public(inner)
        if address not in _GLOBAL_V6 or address.scope_id is not None:
            return False
    return address.is_global and not address.is_multicast and not any(address in network for network in _NOT_PUBLIC)


def literal(host: str) -> IpAddress | None:
    """The address that a host is, in the usual form of addresses; None for a name."""
    try:
        return ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None


def is_disguised(host: str) -> bool:
    """Whether a resolver would take a host for an IPv4 address in another form: `2130706433`, `0x7f.1`, `127.1`."""
    if literal(host) is not None:
        return False
    last = host.rstrip(".").rpartition(".")[2]
    if last.isdigit() or last.startswith("0x"):  # no top-level domain is a number
        return True
    try:
        inet_aton(host)
    except (OSError, UnicodeError, ValueError):
        return False
    return True
