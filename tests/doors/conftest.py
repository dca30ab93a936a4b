"""The two doors, and a fleet that is played behind them."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import JsonValue, SecretStr

from orchestrator import AsyncTroupe, Troupe
from orchestrator.handle import AsyncJobHandle
from tasks.access import OPERATOR, Scope
from tasks.ids import JobId, StepId
from tasks.settings import StoreSettings
from tasks.signing import Place, as_asked
from tasks.states import StepStatus
from tasks.store import Store
from tasks.store.access import AccessStore
from tasks.store.waits import WaitKind, Wanted
from tasks.usage import Usage
from tests.support.api import Api
from tests.support.builders import a_graph
from tests.support.moves import Moves

SECRET = "the secret of this fleet, long enough"


@pytest.fixture
def store_settings(store_settings: StoreSettings, monkeypatch: pytest.MonkeyPatch) -> StoreSettings:
    """One partition: the moves of the tests are made there. All processes know the same secret."""
    monkeypatch.setenv("TROUPE_SECRET", SECRET)
    return store_settings.model_copy(update={"partitions": 1})


@pytest.fixture
def api(store_settings: StoreSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """An API of the test's own fleet."""
    monkeypatch.setenv("TROUPE_HOME", str(tmp_path / "home"))
    found = Api(store_settings, tmp_path / "home").start()
    yield found
    found.stop()


@dataclass(frozen=True)
class Way:
    """A way in."""

    name: str
    settings: StoreSettings
    api: Api | None = None
    key: str = ""

    def client(self) -> AsyncTroupe:
        """A client that comes by it."""
        if self.api is None:
            return AsyncTroupe(settings=self.settings)
        return AsyncTroupe(self.api.url, api_key=self.key)

    def blocking(self) -> Troupe:
        """The same for ordinary code."""
        if self.api is None:
            return Troupe(settings=self.settings)
        return Troupe(self.api.url, api_key=SecretStr(self.key))


async def made_key(settings: StoreSettings, tenant: str = OPERATOR, *scopes: Scope) -> str:
    """A key that is good there."""
    store = Store(settings)
    try:
        return (await AccessStore(store).create(tenant, scopes or {Scope.ADMIN}, name="tester"))[1]
    finally:
        await store.close()


async def planned(troupe: AsyncTroupe, moves: Moves, task: str = "Find out.") -> AsyncJobHandle:
    """A job with one step of work."""
    job = await troupe.submit(task)
    assert await moves.extend(job.id, a_graph({"one": ()}))
    return job


async def ask(moves: Moves, job: JobId, asked: dict[str, JsonValue], key: str = "k1") -> None:
    """Let the job's step ask people something, as a worker of the fleet does."""
    if await moves.status(job, "one") is not StepStatus.READY:
        raise AssertionError("the step was to be ready")
    ref = await moves.running(job, "one")
    signed = as_asked(SecretStr(SECRET), Place(job, StepId("one"), key), asked)
    kind = WaitKind.QUESTION if "question" in asked else WaitKind.APPROVAL
    wanted = Wanted(key, kind, json.dumps(signed, ensure_ascii=False))
    assert await moves.attempts.park(ref, [wanted], Usage()) is None


@pytest.fixture(params=["redis", "http"])
def door(request: pytest.FixtureRequest, store_settings: StoreSettings) -> Way:
    """Each of the doors."""
    if request.param == "redis":
        return Way("redis", store_settings)
    return Way("http", store_settings, request.getfixturevalue("api"), asyncio.run(made_key(store_settings)))


@pytest.fixture
async def troupe(door: Way) -> AsyncIterator[AsyncTroupe]:
    """A client at one of the doors."""
    async with door.client() as client:
        yield client


@pytest.fixture
def blocking(door: Way) -> Iterator[Troupe]:
    """The same for ordinary code."""
    with door.blocking() as client:
        yield client
