"""Every route keeps strangers, other tenants and lesser keys out; which routes there are, the app says."""

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any, Final, cast

import pytest
import pytest_asyncio
from httpx2 import Response
from pydantic import SecretStr
from redis import Redis

from orchestrator.local.redis_server import RedisServer
from orchestrator.mcp_door.serving import mount as mount_mcp
from orchestrator.web import mount
from tasks.access import Scope, allows
from tasks.settings import StoreSettings
from tests.api.conftest import Api
from tests.api.routes import ASKED, GATED, OPEN, Route, routes_of
from tests.api.scene import Grown, grown
from tests.support.guards import remove_keys
from tests.support.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")

NUMBERS: Final = count()
MOVING: Final = ("audit", "presence")
"""Keys that change by themselves, or are to: what was refused is written down."""
BAD_HEADERS: Final = ("Bearer", "Basic dHJwOnRycA==", "Bearer a b", "Bearer " + "x" * 5000)


@dataclass(frozen=True, slots=True)
class Everything:
    """The API, what its tenants have, and its routes."""

    api: Api
    settings: StoreSettings
    home: Path
    tenants: dict[str, Grown]
    routes: list[Route]

    @property
    def closed(self) -> list[Route]:
        """Routes that ask for a key."""
        return [one for one in self.routes if one.asks]

    async def ask(self, route: Route, of: str, headers: dict[str, str]) -> Response:
        """Ask a route for what a tenant has."""
        asking, found = ASKED[route.name], self.tenants[of]
        options = dict(asking.options(found))
        headers = {**options.pop("headers", {}), **headers}
        return await self.api.client.request(route.method, asking.path(route, found), headers=headers, **options)

    async def with_key(self, route: Route, of: str, who: str) -> Response:
        """Ask with somebody's key."""
        return await self.ask(route, of, {"Authorization": f"Bearer {self.api.keys[who]}"})

    async def knock(self, route: str, headers: dict[str, str]) -> Response:
        """Ask a route with a gate of its own for nothing."""
        method, _, path = route.partition(" ")
        return await self.api.client.request(method, path, headers=headers)

    def state(self) -> dict[str, str]:
        """All that is stored, and all files."""
        redis: Any = cast(Any, Redis).from_url(self.settings.redis_url.get_secret_value())
        with redis:
            keys = list(redis.scan_iter(match=f"{self.settings.prefix}:*", count=1000))
            found = {key.decode(): redis.dump(key) or b"" for key in keys}
        kept = {name: text for name, text in found.items() if not any(one in name for one in MOVING)}
        files = {str(path): path.read_bytes() for path in self.home.rglob("*") if path.is_file()}
        return {name: hashlib.sha256(text).hexdigest() for name, text in {**kept, **files}.items()}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def everything(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Everything]:
    settings = StoreSettings(redis_url=SecretStr(redis_server.url), prefix=f"routes{next(NUMBERS)}", partitions=1)
    home = tmp_path_factory.mktemp("home")
    async with grown(settings, home) as (api, tenants):
        for tenant in tenants:
            await api.make(f"{tenant}:all", tenant, list(Scope))
        mount(api.app)
        mount_mcp(api.app)
        yield Everything(api, settings, home, tenants, routes_of(api.app))
    redis: Redis = cast(Any, Redis).from_url(redis_server.url, decode_responses=True)
    with redis:
        remove_keys(redis, settings.prefix)


@asynccontextmanager
async def unchanged(everything: Everything) -> AsyncGenerator[None]:
    """Nothing that is stored is changed."""
    before = everything.state()
    yield
    after = everything.state()
    assert {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)} == set()
    assert len(before) > 50


def wrong(found: dict[str, Response], status: int, code: str) -> dict[str, str]:
    """Those that were not answered with this problem."""
    return {
        name: f"{reply.status_code} {reply.text[:200]}"
        for name, reply in found.items()
        if (reply.status_code, reply.headers["content-type"]) != (status, "application/problem+json")
        or not str(reply.json()["code"]).startswith(code)
    }


async def test_every_route_is_known_here(everything: Everything) -> None:
    assert {one.name for one in everything.closed} == set(ASKED)
    assert {f"{one.method} {one.path}" for one in everything.routes if not one.asks} == {*OPEN, *GATED}
    assert all(one.name in ASKED for one in everything.closed if one.places)


async def test_what_one_tenant_has_is_not_there_for_another(everything: Everything) -> None:
    found: dict[str, Response] = {}
    async with unchanged(everything):
        for route in everything.closed:
            if route.places and ASKED[route.name].foreign and not route.operator:
                found[route.name] = await everything.with_key(route, "acme", "globex:all")
    assert wrong(found, 404, "unknown_") == {}
    assert len(found) > 35


async def test_no_list_shows_what_another_tenant_has(everything: Everything) -> None:
    mine, theirs = everything.tenants["globex"], everything.tenants["acme"]
    wanted = {theirs.done, theirs.open, theirs.dead, theirs.asking, theirs.session, theirs.file, theirs.key}
    seen = 0
    for route in everything.closed:
        if route.method == "GET" and not route.places and not route.operator:
            reply = await everything.with_key(route, "acme", "globex:all")
            if route.name == "access.audit":  # names what was asked for, also in vain
                assert {one["tenant"] for one in reply.json()} <= {"globex"}
                continue
            text = reply.text
            assert not [one for one in wanted if one in text], route.name
            assert theirs.base not in text
            seen += sum(one in text for one in (mine.dead, mine.asking, mine.key))
    assert seen > 2, "the lists show what is one's own"


async def test_without_a_good_key_nobody_comes_in(everything: Everything) -> None:
    api = everything.api
    headers = {f"header {text[:20]!r}": {"Authorization": text} for text in BAD_HEADERS}
    headers["no key"] = {}
    headers["a cookie"] = {"Cookie": f"troupe_key={api.keys['acme'][:-1]}-"}
    async for name, text in _bad_keys(api):
        headers[name] = {"Authorization": f"Bearer {text}"}
    async with unchanged(everything):
        for name, one in headers.items():
            found = {route.name: await everything.ask(route, "acme", one) for route in everything.closed}
            found |= {gate: await everything.knock(gate, one) for gate in GATED if not gate.startswith("HEAD")}
            assert wrong(found, 401, "unauthenticated") == {}, name
            assert all(reply.headers["www-authenticate"] == "Bearer" for reply in found.values())


async def _bad_keys(api: Api) -> AsyncIterator[tuple[str, str]]:
    good = api.keys["acme"]
    key, _, secret = good.rpartition("_")
    other = "A" if secret[0] != "A" else "B"
    yield "another secret", f"{key}_{other}{secret[1:]}"
    yield "a longer one", f"{good}x"
    made, text = await api.door.access.create("acme", list(Scope), name="revoked")
    await api.door.access.revoke(made.id)
    yield "a revoked one", text
    _, text = await api.door.access.create("acme", list(Scope), name="expired", expires=timedelta(milliseconds=5))

    async def expired() -> bool:
        reply = await api.client.get("/v1/me", headers={"Authorization": f"Bearer {text}"})
        return reply.status_code == 401

    await wait_until(expired)
    yield "an expired one", text


async def test_a_key_without_the_scope_is_refused(everything: Everything) -> None:
    tried = 0
    async with unchanged(everything):
        for scope in Scope:
            lacking = [one for one in everything.closed if one.scope and not allows({scope}, one.scope)]
            found = {one.name: await everything.with_key(one, "acme", f"acme:{scope}") for one in lacking}
            assert wrong(found, 403, "not_allowed") == {}, scope
            tried += len(found)
    assert tried > 100


async def test_what_is_for_operators_is_refused_to_a_tenants_administrator(everything: Everything) -> None:
    async with unchanged(everything):
        wanted = [one for one in everything.closed if one.operator]
        found = {one.name: await everything.with_key(one, "acme", "acme:all") for one in wanted}
    assert wrong(found, 403, "not_allowed") == {}
    assert len(found) > 5


async def test_every_route_works_for_whom_it_is(everything: Everything) -> None:
    """Or the refusals above would show nothing."""
    deleting = [one for one in everything.closed if one.method == "DELETE"]
    others = [one for one in everything.closed if one.method != "DELETE"]
    for route in [*others, *sorted(deleting, key=lambda one: -len(one.path))]:
        reply = await everything.with_key(route, "globex", "operator" if route.operator else "globex:all")
        assert reply.status_code in ASKED[route.name].answers, f"{route.name}: {reply.status_code} {reply.text[:300]}"
