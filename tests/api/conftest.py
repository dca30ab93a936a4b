"""An API with keys of two tenants and of an operator, and a fleet behind it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient, Response

from orchestrator.api.app import create_app
from orchestrator.api.door import Door
from orchestrator.api.settings import ApiSettings
from orchestrator.client import AsyncTroupe
from tasks.access import OPERATOR, Scope
from tasks.ids import JobId
from tasks.settings import StoreSettings, read_settings
from tasks.signing import SigningSettings
from tests.support.doing import code_agent
from tests.support.fleet import Fleet
from tests.support.moves import Moves
from workers.agents.base import Agent
from workers.cli.shelves import DiskShelves
from workers.context import StepContext
from workers.knowledge.settings import KnowledgeSettings
from workers.people import People

TENANTS: Final = ("acme", "globex")
WORKING: Final = (Scope.SUBMIT, Scope.READ, Scope.APPROVE)
BASE: Final = "http://api.test"


@dataclass
class Api:
    """The API, and keys to it: `acme` may do all but make keys, `acme:read` one thing, `operator` everything."""

    app: FastAPI
    door: Door
    client: AsyncClient
    keys: dict[str, str] = field(default_factory=dict[str, str])
    ids: dict[str, str] = field(default_factory=dict[str, str])

    async def make(self, who: str, tenant: str, scopes: Collection[Scope]) -> None:
        """Make a key that is called so."""
        key, self.keys[who] = await self.door.access.create(tenant, scopes, name=who)
        self.ids[who] = key.id

    async def call(self, method: str, path: str, who: str | None = "acme", **options: Any) -> Response:
        """One request, with somebody's key."""
        headers: Mapping[str, str] = options.pop("headers", {})
        if who is not None:
            headers = {"Authorization": f"Bearer {self.keys[who]}", **headers}
        return await self.client.request(method, path, headers=headers, **options)

    async def get(self, path: str, who: str | None = "acme", **options: Any) -> Response:
        """GET."""
        return await self.call("GET", path, who, **options)

    async def post(self, path: str, json: Any = None, who: str | None = "acme", **options: Any) -> Response:
        """POST."""
        return await self.call("POST", path, who, json=json, **options)

    async def submit(self, who: str = "acme", **body: Any) -> JobId:
        """A job of theirs, of one step that the fleet's agent `worker` does."""
        plan = {"steps": [{"id": "one", "description": "Do one.", "agent": "worker"}]}
        reply = await self.post("/v1/jobs", {"task": "Do.", "plan": plan, **body}, who)
        assert reply.status_code == 202, reply.text
        return JobId(reply.json()["job_id"])


def refused(reply: Response, status: int, code: str) -> bool:
    """Whether a request was answered with this problem."""
    found = (reply.status_code, reply.headers["content-type"], reply.json().get("code"))
    assert found == (status, "application/problem+json", code), reply.text
    return True


@pytest.fixture
def store_settings(store_settings: StoreSettings) -> StoreSettings:
    """One partition: the moves of the tests are made there."""
    return store_settings.model_copy(update={"partitions": 1})


def a_door(settings: StoreSettings, home: Path) -> Door:
    """What the routes of one API share."""
    shelves = DiskShelves(read_settings(KnowledgeSettings, home=home))
    return Door(AsyncTroupe(settings=settings), ApiSettings(), home, shelves)


@asynccontextmanager
async def opened(door: Door) -> AsyncGenerator[Api]:
    """An API without keys, until the block ends."""
    app = create_app(door)
    transport = ASGITransport(app=app, client=("127.0.0.1", 4242))  # pyright: ignore[reportArgumentType]
    async with app.router.lifespan_context(app), AsyncClient(transport=transport, base_url=BASE) as client:
        yield Api(app, door, client)


async def with_keys(api: Api) -> Api:
    """Make keys of two tenants and of operators."""
    for tenant in TENANTS:
        await api.make(tenant, tenant, WORKING)
        for scope in Scope:
            await api.make(f"{tenant}:{scope}", tenant, [scope])
    await api.make("default", "default", WORKING)
    await api.make("operator", OPERATOR, [Scope.ADMIN])
    await api.make("operator:read", OPERATOR, [Scope.READ])
    return api


@pytest.fixture
async def door(store_settings: StoreSettings, tmp_path: Path) -> Door:
    """What the routes share."""
    return a_door(store_settings, tmp_path)


@pytest.fixture
async def keyless(door: Door) -> AsyncIterator[Api]:
    """The API of a fleet for which no key was ever made."""
    async with opened(door) as api:
        yield api


@pytest.fixture
async def api(keyless: Api) -> Api:
    """The API, with keys."""
    return await with_keys(keyless)


async def doing(context: StepContext) -> str:
    """Says what it was told."""
    return f"did {context.claim.step.description}"


async def asking(context: StepContext) -> str:
    """Asks a person."""
    return f"It is {await context.ask('Which year?', ['2024', '2025'])}."


async def failing(context: StepContext) -> str:
    """Has no result."""
    raise ValueError("no hope")


AGENTS: Final = (
    code_agent(doing),
    code_agent(asking, "asker", queue="worker"),
    code_agent(doing, "careful", queue="worker", requires_approval=True),
    code_agent(failing, "failing", queue="worker"),
    code_agent(doing, "summary", queue="worker", plannable=False),
)


@dataclass
class Behind:
    """The fleet behind an API, as far as a test lets it work."""

    moves: Moves
    agents: Sequence[Agent] = AGENTS

    @asynccontextmanager
    async def running(self, *jobs: JobId) -> AsyncGenerator["asyncio.Task[None]"]:
        """Work on jobs, until they or the block have ended."""
        fleet = Fleet(self.moves, self.agents)
        fleet.runner.people = People(read_settings(SigningSettings).read())
        task = asyncio.create_task(fleet.run(*jobs))
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def finish(self, *jobs: JobId) -> None:
        """Bring jobs to their end."""
        async with self.running(*jobs) as task:
            await task


@pytest.fixture
def behind(moves: Moves) -> Behind:
    """The fleet."""
    return Behind(moves)
