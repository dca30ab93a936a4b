"""The two doors, and a fleet that is played behind them."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from orchestrator import AsyncTroupe, Troupe
from tasks.access import OPERATOR, Scope
from tasks.settings import StoreSettings
from tasks.store import Store
from tasks.store.access import AccessStore
from tests.support.api import Api

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


@pytest.fixture
async def api_key(store: Store) -> str:
    """An operator's key."""
    return (await AccessStore(store).create(OPERATOR, {Scope.ADMIN}, name="tester"))[1]


@pytest.fixture(params=["redis", "http"])
def door(request: pytest.FixtureRequest) -> str:
    """The way in."""
    return str(request.param)


@pytest.fixture
async def troupe(
    door: str, request: pytest.FixtureRequest, store_settings: StoreSettings
) -> AsyncIterator[AsyncTroupe]:
    """A client at one of the doors."""
    if door == "redis":
        client = AsyncTroupe(settings=store_settings)
    else:
        client = AsyncTroupe(request.getfixturevalue("api").url, api_key=request.getfixturevalue("api_key"))
    async with client:
        yield client


@pytest.fixture
def blocking(door: str, request: pytest.FixtureRequest, store_settings: StoreSettings) -> Iterator[Troupe]:
    """The same for ordinary code."""
    if door == "redis":
        client = Troupe(settings=store_settings)
    else:
        key = SecretStr(request.getfixturevalue("api_key"))
        client = Troupe(request.getfixturevalue("api").url, api_key=key)
    with client:
        yield client
