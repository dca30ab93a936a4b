"""Addresses of a Redis: one server, a Unix socket, a master behind Sentinels, a cluster. Pure: connects to nothing.

| URL | what is there |
| --- | --- |
| `redis://[user:password@]host[:6379][/DB]` | one server; `rediss://` with TLS |
| `unix://[user:password@]/path/redis.sock[?db=DB]` | one server on a Unix socket |
| `sentinel://[user:password@]host[:26379],host…/SERVICE[/DB]` | the master of it; `rediss+sentinel://` with TLS |
| `redis+cluster://[user:password@]host[:6379],host…` | a cluster; `rediss+cluster://` with TLS |
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit


class Kind(StrEnum):
    """What is at an address."""

    SERVER = "server"
    SOCKET = "socket"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


SCHEMES: Final = {
    "redis": (Kind.SERVER, False),
    "rediss": (Kind.SERVER, True),
    "unix": (Kind.SOCKET, False),
    "sentinel": (Kind.SENTINEL, False),
    "rediss+sentinel": (Kind.SENTINEL, True),
    "redis+cluster": (Kind.CLUSTER, False),
    "rediss+cluster": (Kind.CLUSTER, True),
}
"""What each scheme means, and whether it is TLS."""

DEFAULT_PORTS: Final = {Kind.SENTINEL: 26_379, Kind.CLUSTER: 6379, Kind.SERVER: 6379}
MAX_PORT: Final = 65_535


@dataclass(frozen=True, slots=True)
class Address:
    """A URL, taken apart."""

    url: str
    kind: Kind
    tls: bool
    hosts: tuple[tuple[str, int], ...]
    """Servers, Sentinels or nodes of the cluster; empty for a Unix socket."""
    username: str
    password: str
    database: int
    service: str
    """What the Sentinels call the master; else empty."""
    options: dict[str, str]
    """The query without the database."""


def parse_address(url: str) -> Address:
    """Take a URL apart.

    Raises:
        ValueError: it is none of the forms above; the message does not repeat it.
    """
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        raise ValueError(f"it must begin with one of {', '.join(f'{name}://' for name in SCHEMES)}")
    kind, tls = SCHEMES[parts.scheme]
    login, _, places = parts.netloc.rpartition("@")
    username, _, password = login.partition(":")
    options = dict(parse_qsl(parts.query))
    service, number = "", options.pop("db", None) or ""
    if kind is not Kind.SOCKET:
        path = parts.path.strip("/")
        if kind is Kind.SENTINEL:
            service, _, path = path.partition("/")
            if not service:
                raise ValueError("the name of the service is missing: sentinel://host:26379,host:26379/SERVICE/DB")
        number = number or path
    number = number or "0"
    if not number.isascii() or not number.isdecimal():
        raise ValueError(f"{number!r} is not a database number")
    if kind is Kind.CLUSTER and int(number):
        raise ValueError("a cluster has only the database 0")
    return Address(
        url=url,
        kind=kind,
        tls=tls,
        hosts=() if kind is Kind.SOCKET else tuple(_host(one, DEFAULT_PORTS[kind]) for one in places.split(",")),
        username=unquote(username),
        password=unquote(password),
        database=int(number),
        service=unquote(service),
        options=options,
    )


def next_database(address: Address) -> str:
    """The URL of the database after an address's: where the broker goes when nothing else is said. Not for a cluster.

    kombu writes Unix sockets as `redis+socket://` with the database in `virtual_host`.
    """
    url, number = urlsplit(address.url), address.database + 1
    if address.kind is Kind.SOCKET:
        rest = urlencode({**address.options, "virtual_host": str(number)})
        return f"redis+socket://{url.netloc}{url.path}?{rest}"
    path = f"/{url.path.strip('/').partition('/')[0]}/{number}" if address.kind is Kind.SENTINEL else f"/{number}"
    return urlunsplit((url.scheme, url.netloc, path, urlencode(address.options), ""))


def hide_password(url: str) -> str:
    """The URL without its password, for logs and error messages; also one that is malformed."""
    hidden = re.sub(r"^([^/]*//[^/@:]*):.*@", r"\1:***@", url, flags=re.DOTALL)
    return re.sub(r"(?i)([?&]password=)[^&]*", r"\1***", hidden)


def _host(text: str, default: int) -> tuple[str, int]:
    """`host`, `host:port`, `[::1]:port`; no host is this machine, as in redis-py."""
    match = re.fullmatch(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::([0-9]+))?", text)
    if match is None or not 0 <= int(match[2] or default) <= MAX_PORT:
        raise ValueError(f"{text!r} is no host with a port")
    return unquote(match[1].strip("[]")) or "localhost", int(match[2] or default)
