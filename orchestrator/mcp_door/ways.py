"""Whose call it is, and the client that it is done with: one for all, or one for each caller's own key."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol

from orchestrator.api.shelves import Shelves
from orchestrator.client import AsyncTroupe
from orchestrator.remote.client import RemoteTroupe
from tasks.refusals import Unauthenticated

BEARER: Final = "bearer "
SESSION: Final = "mcp-session-id"


@dataclass(frozen=True, slots=True)
class Caller:
    """Where a call comes from; nothing is known of it over stdio."""

    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """With names in lower case."""
    peer: str = ""
    """Its address."""
    method: str = "POST"

    @property
    def key(self) -> str | None:
        """The key that it shows.

        Raises:
            Unauthenticated: what it shows is none.
        """
        said = self.headers.get("authorization")
        if said is None:
            return None
        if not said.lower().startswith(BEARER):
            raise Unauthenticated("the Authorization header is not of the form: Bearer trp_…")
        return said[len(BEARER) :].strip()


class Way(Protocol):
    """How calls reach the fleet."""

    closing: asyncio.Event
    """Set when this process is to end: calls are broken off then, and the jobs that they wait for go on."""
    shelves: Shelves | None
    """Knowledge bases of this machine, where no API is asked for them."""

    def troupe(self, caller: Caller) -> AbstractAsyncContextManager[AsyncTroupe]:
        """The client of a caller."""
        ...

    async def admit(self, caller: Caller) -> None:
        """Refuse who may not come in at all; asked before every HTTP request.

        Raises:
            TroupeError: it may not.
        """
        ...


@dataclass(slots=True)
class OneWay:
    """One client for whoever can start this process, or reach it."""

    client: AsyncTroupe
    shelves: Shelves | None = None
    closing: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def troupe(self, caller: Caller) -> AsyncGenerator[AsyncTroupe]:
        """See `Way`."""
        yield self.client

    async def admit(self, caller: Caller) -> None:
        """Only this machine, and no page of another site through its browser."""
        from orchestrator.api.visitors import check_local

        check_local(caller.peer, caller.headers, caller.method)


@dataclass(slots=True)
class KeyWay:
    """Each caller with its own key, which an API elsewhere judges."""

    url: str
    shelves: Shelves | None = None
    closing: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def troupe(self, caller: Caller) -> AsyncGenerator[AsyncTroupe]:
        """See `Way`."""
        key = caller.key
        if key is None:  # else the client would take TROUPE_API_KEY, which is not the caller's
            raise Unauthenticated("give a key: Authorization: Bearer trp_…")
        async with RemoteTroupe(self.url, api_key=key) as client:
            yield client

    async def admit(self, caller: Caller) -> None:
        """Only with a key that the API takes. Within a session, which is its opener's alone, calls are judged one by
        one: to ask twice would count twice."""
        async with self.troupe(caller) as client:
            if isinstance(client, RemoteTroupe) and SESSION not in caller.headers:
                await client.api.ask("GET", "me")
