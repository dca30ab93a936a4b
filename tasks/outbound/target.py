"""A URL that somebody gave, checked as far as that can be done without asking for its name's address."""

import re
from dataclasses import dataclass
from typing import Final

import httpx2

from tasks.outbound.addresses import is_disguised, is_public, literal
from tasks.outbound.allowed import Allowed
from tasks.refusals import AddressRefused

MAX_URL_CHARS: Final = 2048
_PORTS: Final = {"http": 80, "https": 443}
_NAME: Final = re.compile(
    r"(?=.{1,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
)
_OWN: Final = frozenset(
    {"localhost", "local", "internal", "intranet", "lan", "home", "corp", "private", "localdomain", "arpa"}
)
"""Top-level domains that only networks of one's own know."""
_UNPRINTABLE: Final = re.compile(r"[\x00-\x20\x7f-\xa0\\]")


@dataclass(frozen=True, slots=True)
class Target:
    """Where to go: only what has passed the checks."""

    scheme: str
    host: str
    """A name in lower case without a trailing dot, or an address without brackets."""
    port: int
    path: bytes
    """Path and query, as they stand in a request."""
    full: str
    """The whole address, without fragment; its query may hold secrets."""

    @property
    def authority(self) -> str:
        """What the `Host` header says."""
        where = f"[{self.host}]" if ":" in self.host else self.host
        return where if self.port == _PORTS[self.scheme] else f"{where}:{self.port}"

    @property
    def shown(self) -> str:
        """The address for logs: scheme and host. Paths and queries of receivers may hold secrets."""
        return f"{self.scheme}://{self.authority}"


def target(text: str, allowed: Allowed, base: str | None = None) -> Target:
    """Check a URL; of a redirect, relative to the one that it came from.

    Raises:
        AddressRefused: not http or https, with credentials, of a port or host that may not be called, or no URL.
    """
    url = _parsed(text, base)
    if url.scheme not in _PORTS:
        raise AddressRefused(
            f"only http and https are called, not {url.scheme[:20] or 'an address without a scheme'!r}"
        )
    if url.userinfo:
        raise AddressRefused("an address with a user name or password is not called")
    host = url.raw_host.decode("ascii").lower().removesuffix(".")
    port = url.port or (_PORTS[url.scheme] if url.port is None else 0)
    _check_host(host, port, allowed)
    if not allowed.port(host, port):
        known = ", ".join(map(str, sorted(allowed.ports)))
        raise AddressRefused(f"port {port} is not called; the ports are {known} (TROUPE_OUTBOUND_PORTS)")
    return Target(url.scheme, host, port, url.raw_path or b"/", str(url.copy_with(fragment=None)))


def _parsed(text: str, base: str | None) -> httpx2.URL:
    if len(text) > MAX_URL_CHARS:
        raise AddressRefused(f"the address has {len(text):,} characters; at most {MAX_URL_CHARS:,} are called")
    if not text or _UNPRINTABLE.search(text):
        raise AddressRefused("the address is empty, or has blanks, backslashes or control characters in it")
    try:
        return httpx2.URL(text) if base is None else httpx2.URL(base).join(text)
    except (httpx2.InvalidURL, ValueError, TypeError) as exc:
        raise AddressRefused("that is no address of a web page") from exc


def _check_host(host: str, port: int, allowed: Allowed) -> None:
    address = literal(host)
    if address is not None:
        if not is_public(address) and not allowed.address(address, port):
            raise AddressRefused(f"{host} is not a public address")
        return
    if is_disguised(host):
        raise AddressRefused(f"{host[:60]!r} is an address in disguise, or no name")
    if allowed.name(host, port):
        return
    if _NAME.fullmatch(host) is None:
        raise AddressRefused(f"{host[:60]!r} is no public host name")
    if host.rpartition(".")[2] in _OWN:
        raise AddressRefused(f"{host[:60]!r} is a name of a private network")
