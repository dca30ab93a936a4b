"""What an operator allows beyond public addresses on the usual ports."""

from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Final, Self

from tasks.outbound.addresses import IpAddress, IpNetwork, literal

ANY_PORT: Final = "*"


@dataclass(frozen=True, slots=True)
class Entry:
    """A host of the operator's own: a name, or a network."""

    name: str | None
    network: IpNetwork | None
    port: int | str | None
    """None: one of the usual ports. `*`: any."""

    def takes_port(self, port: int, usual: Collection[int]) -> bool:
        """Whether this port of it may be called."""
        return self.port == ANY_PORT or (port in usual if self.port is None else port == self.port)

    def is_at(self, address: IpAddress) -> bool:
        """Whether the address belongs to its network."""
        return self.network is not None and address.version == self.network.version and address in self.network


@dataclass(frozen=True, slots=True)
class Allowed:
    """The operator's own hosts, and the ports of everybody's."""

    entries: tuple[Entry, ...]
    ports: frozenset[int]

    @classmethod
    def parse(cls, hosts: str, ports: str) -> Self:
        """Read both lists.

        Raises:
            ValueError: an entry is neither a name nor a network, or a port is no port.
        """
        names = [one.strip() for one in hosts.split(",") if one.strip()]
        numbers = [one.strip() for one in ports.split(",") if one.strip()]
        return cls(tuple(_entry(one) for one in names), frozenset(_port(one) for one in numbers))

    def port(self, host: str, port: int) -> bool:
        """Whether this port of a host may be called, as far as that can be said before its address is known."""
        if port in self.ports or self.name(host, port):
            return True
        address = literal(host)
        if address is not None:
            return self.address(address, port)
        # A name that is not listed may stand in a listed network: the address decides when it is known.
        return any(one.network is not None and one.takes_port(port, self.ports) for one in self.entries)

    def name(self, host: str, port: int) -> bool:
        """Whether a host may be called at whatever address it has."""
        return any(one.name == host and one.takes_port(port, self.ports) for one in self.entries)

    def address(self, address: IpAddress, port: int) -> bool:
        """Whether an address may be called although it is not public, or on another port."""
        return any(one.is_at(address) and one.takes_port(port, self.ports) for one in self.entries)


def _entry(text: str) -> Entry:
    host, port = text, None
    if text.startswith("[") or text.count(":") == 1:  # an IPv6 address has more, and stands in brackets before a port
        host, _, after = text.rpartition(":") if not text.endswith("]") else (text, "", "")
        port = ANY_PORT if after == ANY_PORT else _port(after) if after else None
    host = host.removeprefix("[").removesuffix("]").lower()
    try:
        return Entry(None, ip_network(host), port)
    except ValueError:
        if "/" in host or ":" in host or not host or host.replace(".", "").isdigit():
            raise ValueError(f"outbound_allow: {text!r} is neither a host nor a network") from None
    return Entry(host.removesuffix("."), None, port)


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65_535:
        raise ValueError(f"outbound ports: {text!r} is no port")
    return int(text)
