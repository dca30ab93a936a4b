"""Connections to the very addresses that were checked: a name that changes in between reaches nothing else."""

import asyncio
import socket
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from typing import Final, Protocol, cast

import httpcore2

from tasks.outbound.addresses import IpAddress, is_public, literal
from tasks.outbound.allowed import Allowed
from tasks.refusals import AddressRefused

MOST_ADDRESSES: Final = 8
"""Addresses of one name that are tried."""


class Resolver(Protocol):
    """Says which addresses a name has."""

    async def __call__(self, host: str, port: int) -> Sequence[IpAddress]:
        """All addresses of a name, the best one first.

        Raises:
            OSError: it has none, or nobody answers.
        """
        ...


async def system_resolver(host: str, port: int) -> Sequence[IpAddress]:
    """As the machine resolves names; without an end of its own, so give the call one."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as exc:
        raise OSError(f"{host!r} is no name") from exc
    return [ip_address(str(one[4][0])) for one in found]


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Resolves names itself, checks every address that comes, and connects to those addresses, not to the name."""

    def __init__(self, allowed: Allowed, resolve: Resolver, inner: httpcore2.AsyncNetworkBackend | None = None) -> None:
        self._allowed = allowed
        self._resolve = resolve
        self._inner = inner or cast("httpcore2.AsyncNetworkBackend", httpcore2.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first address that answers.

        Raises:
            AddressRefused: one of the addresses may not be called; none is, then.
            httpcore2.ConnectError: no such name, or nobody there.
        """
        options = list(socket_options or ())
        fault: Exception = httpcore2.ConnectError(f"{host} has no address")
        for address in await self.addresses(host, port):
            try:
                return await self._inner.connect_tcp(str(address), port, timeout, local_address, options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as exc:
                fault = exc
        raise fault

    async def addresses(self, host: str, port: int) -> list[IpAddress]:
        """The addresses of a host, all checked.

        A name with one address that is refused is refused whole: who mixes them in wants the private one reached.
        """
        own = literal(host)
        try:
            found = [own] if own is not None else list(await self._resolve(host, port))[:MOST_ADDRESSES]
        except OSError as exc:
            raise httpcore2.ConnectError(f"{host} cannot be resolved") from exc
        named = own is None and self._allowed.name(host, port)
        for address in found:
            if not named and not self._may_be_called(address, port):
                raise AddressRefused(f"{host} is at {address}, which may not be called on port {port}")
        return found

    def _may_be_called(self, address: IpAddress, port: int) -> bool:
        return (port in self._allowed.ports and is_public(address)) or self._allowed.address(address, port)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Refused always."""
        raise AddressRefused("sockets of this machine are not called")

    async def sleep(self, seconds: float) -> None:
        """Between tries of a connection."""
        await asyncio.sleep(seconds)
