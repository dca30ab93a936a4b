"""Fixtures of all rings: a sealed environment, and a real server of our own for those that want one."""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from typing import Any, cast

import hypothesis
import pytest
from pydantic import SecretStr
from redis import Redis

from orchestrator.local.redis_server import RedisServer
from tasks.settings import StoreSettings
from tasks.store import Store
from tests.support.guards import endless_keys, remove_keys, seal_environment
from tests.support.moves import Moves

NUMBERS = count(1)

# CI tries the same examples each time, so that it judges the change; a developer's runs go on searching.
hypothesis.settings.register_profile("ci", derandomize=True)
# By hand, before a release: pytest --hypothesis-profile=many --timeout=0
hypothesis.settings.register_profile("many", max_examples=4000, deadline=None)
if os.environ.get("CI") == "true":
    hypothesis.settings.load_profile("ci")


@pytest.fixture(scope="session", autouse=True)
def sealed_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test sees the developer's keys and settings, and none can call a model over the network."""
    with pytest.MonkeyPatch.context() as patch:
        seal_environment(patch, tmp_path_factory.mktemp("troupe-home"))
        yield


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A real server on a private socket: one for each test process."""
    server = RedisServer.start(tmp_path_factory.mktemp("redis"), append_only=False)
    yield server
    server.stop()


@pytest.fixture
def store_settings(redis_server: RedisServer) -> Iterator[StoreSettings]:
    """Settings with a key prefix of the test's own; after the test, every key under it must have an end."""
    settings = StoreSettings(redis_url=SecretStr(redis_server.url), prefix=f"test{next(NUMBERS)}", partitions=4)
    yield settings
    redis: Redis = cast(Any, Redis).from_url(redis_server.url, decode_responses=True)
    with redis:
        endless = endless_keys(redis, settings.prefix)
        remove_keys(redis, settings.prefix)
    assert endless == [], "keys without a TTL that are not on the permanent list"


@pytest.fixture
async def store(store_settings: StoreSettings) -> AsyncIterator[Store]:
    """A connection to the test's own keys."""
    store = Store(store_settings)
    yield store
    await store.close()


@pytest.fixture
async def moves_with(store_settings: StoreSettings) -> AsyncIterator[Callable[..., Moves]]:
    """Makes doors of the same keys under settings that differ."""
    stores: list[Store] = []

    def make(**settings: Any) -> Moves:
        values = {**store_settings.model_dump(), **settings}
        stores.append(Store(StoreSettings(**values)))
        return Moves(stores[-1])

    yield make
    for store in stores:
        await store.close()


@pytest.fixture
async def moves(store: Store) -> Moves:
    """All doors of the store, with shortcuts."""
    moves = Moves(store)
    await moves.outbox.open(0)
    return moves
