"""The embedded Redis: killed, and brought back with its data at its address."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from orchestrator.local.redis_server import RedisServer, free_port


@pytest.fixture(params=["socket", "port"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RedisServer]:
    """A server that keeps its data."""
    made = RedisServer.start(tmp_path / "redis", port=free_port() if request.param == "port" else None)
    yield made
    made.stop()


def client(server: RedisServer) -> Redis:
    return Redis.from_url(server.url, decode_responses=True)  # pyright: ignore[reportUnknownMemberType]


def kill_and_bring_back(server: RedisServer) -> None:
    server.process.kill()
    server.process.wait()
    server.bring_back()
    server.wait_until_ready()


def test_a_killed_server_comes_back_with_its_data_at_its_address(server: RedisServer) -> None:
    with client(server) as store:
        store.set("word", "kept", ex=600)
    kill_and_bring_back(server)
    with client(server) as store:
        assert store.get("word") == "kept"


def test_a_server_that_came_back_still_ends_with_its_owners(server: RedisServer) -> None:
    first = server.guard
    kill_and_bring_back(server)
    assert first is not None
    assert first.poll() is not None
    assert server.lifeline is not None
    os.close(server.lifeline)
    server.lifeline = None
    assert server.process.wait(20) is not None
