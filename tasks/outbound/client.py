"""The client for addresses that somebody else names: every hop checked, everything bounded, no proxies, no cookies."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from ssl import SSLContext
from typing import Final

import httpcore2

from tasks.outbound.connecting import GuardedBackend, Resolver, system_resolver
from tasks.outbound.settings import OutboundSettings
from tasks.outbound.target import Target, target
from tasks.outbound.unpacking import read_bounded
from tasks.refusals import AddressRefused, ReplyRefused, Unreachable

REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
AGENT: Final = "Troupe"
MOST_RECEIPT_BYTES: Final = 4096
"""How much of a receiver's answer to a delivery is read."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What an address answered."""

    url: str
    """Where it came from, after redirects."""
    status: int
    media_type: str
    """Lower case, without parameters; empty when none was said."""
    charset: str | None
    body: bytes


class GuardedClient:
    """Calls public addresses, and those that the operator allows. Keeps no connection between calls.

    Args:
        resolve: Who says which addresses a name has; every address is checked, whoever says it.
    """

    def __init__(self, settings: OutboundSettings, resolve: Resolver = system_resolver) -> None:
        self.settings = settings
        self.allowed = settings.allowed()
        self._backend = GuardedBackend(self.allowed, resolve)

    def check(self, url: str) -> Target:
        """A URL as far as it can be checked without its address.

        Raises:
            AddressRefused: it may not be called.
        """
        return target(url, self.allowed)

    async def get(self, url: str, *, types: Collection[str], accept: str = "*/*") -> Reply:
        """Read a page. Redirects are followed, each checked as the first address was; also pages with an error status
        are returned.

        Args:
            types: Media types that may come; of others nothing is read. `text/*` stands for all of text.

        Raises:
            AddressRefused: it, or where it redirects to, may not be called.
            ReplyRefused: too large, of another type, too many redirects, or not HTTP as it should be.
            Unreachable: no answer, or not the whole of it in time.
        """
        headers = {"accept": accept, "accept-encoding": "gzip"}
        async with self._in_time(self.settings.outbound_timeout_s):
            at = self.check(url)
            for _ in range(self.settings.outbound_redirects + 1):
                async with self._asked("GET", at, headers, None) as answer:
                    location = _header(answer, "location")
                    if answer.status not in REDIRECTS or not location:
                        return await self._read(at, answer, types)
                at = self.followed(at, location)
        raise ReplyRefused("too_many_redirects", f"more than {self.settings.outbound_redirects} redirects")

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], *, within_s: float) -> int:
        """Send a body, and return the status. Redirects are not followed, and little of the answer is read.

        Raises:
            AddressRefused: it may not be called.
            ReplyRefused: the answer is not HTTP as it should be.
            Unreachable: no answer in time. It may have taken the body all the same.
        """
        async with self._in_time(within_s), self._asked("POST", self.check(url), headers, body) as answer:
            left = MOST_RECEIPT_BYTES
            async for chunk in answer.aiter_stream():
                left -= len(chunk)
                if left <= 0:
                    break
            return answer.status

    def followed(self, at: Target, location: str) -> Target:
        """Where a redirect leads.

        Raises:
            AddressRefused: it may not be called, or gives up the secrecy that there was.
        """
        there = target(location, self.allowed, base=at.full)
        if at.scheme == "https" and there.scheme != "https":
            raise AddressRefused("a redirect from https to http is not followed")
        return there

    async def _read(self, at: Target, answer: httpcore2.Response, types: Collection[str]) -> Reply:
        kind, charset = _media_type(_header(answer, "content-type"))
        if kind not in types and f"{kind.partition('/')[0]}/*" not in types:
            raise ReplyRefused("unsupported_type", f"it is {kind[:60] or 'of no type'!r}, which cannot be read here")
        most = self.settings.outbound_max_bytes
        length = _header(answer, "content-length")
        if length.isdigit() and int(length) > most:
            raise ReplyRefused("too_large", f"the reply has more than {most:,} bytes (TROUPE_OUTBOUND_MAX_BYTES)")
        body = await read_bounded(answer.aiter_stream(), _header(answer, "content-encoding"), most)
        return Reply(at.full, answer.status, kind, charset, body)

    @asynccontextmanager
    async def _asked(
        self, method: str, at: Target, headers: Mapping[str, str], body: bytes | None
    ) -> AsyncGenerator[httpcore2.Response]:
        url = httpcore2.URL(scheme=at.scheme, host=at.host, port=at.port, target=at.path)
        sent = {"host": at.authority, "user-agent": AGENT, **headers}
        if body is not None:
            sent["content-length"] = str(len(body))
        pool = httpcore2.AsyncConnectionPool(self._ssl, max_connections=1, network_backend=self._backend)
        async with pool, pool.stream(method, url, headers=list(sent.items()), content=body) as answer:
            yield answer

    @asynccontextmanager
    async def _in_time(self, seconds: float) -> AsyncGenerator[None]:
        """A limit for the whole call, and httpcore's errors in our words."""
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError as exc:
            raise Unreachable(f"no whole answer within {seconds:g} s") from exc
        except httpcore2.ProtocolError as exc:
            raise ReplyRefused("bad_reply", f"that is no HTTP as it should be: {_first_line(exc)}") from exc
        except (httpcore2.NetworkError, httpcore2.TimeoutException) as exc:
            raise Unreachable(f"it cannot be reached: {_first_line(exc) or type(exc).__name__}") from exc

    @cached_property
    def _ssl(self) -> SSLContext:
        return httpcore2.default_ssl_context()


def _header(answer: httpcore2.Response, name: str) -> str:
    found = [value for key, value in answer.headers if key.lower() == name.encode()]
    return found[0].decode("latin-1") if found else ""


def _media_type(value: str) -> tuple[str, str | None]:
    kind, _, rest = value.partition(";")
    for one in rest.split(";"):
        name, _, said = one.strip().partition("=")
        if name.lower() == "charset":
            return kind.strip().lower(), said.strip("\"' ").lower() or None
    return kind.strip().lower(), None


def _first_line(error: Exception) -> str:
    return str(error).split("\n")[0][:200]
