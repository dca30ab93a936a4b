"""The guards themselves: a guard that cannot fail guards nothing."""

import os
from pathlib import Path
from typing import Any, cast

import pytest
from redis import Redis

from orchestrator.local.redis_server import RedisServer
from tests.support.guards import endless_keys, remove_keys, seal_environment
from tests.support.moves import Moves
from workers.llm.settings import ModelSettings


async def test_a_key_without_an_end_is_found(moves: Moves, redis_server: RedisServer) -> None:
    prefix = moves.store.settings.prefix
    await moves.submitted(idempotency_key="k")
    await moves.redis.set(f"{prefix}:{{0}}:stray", "x")
    redis: Redis = cast(Any, Redis).from_url(redis_server.url, decode_responses=True)
    with redis:
        assert endless_keys(redis, prefix) == [f"{prefix}:{{0}}:stray"]
        remove_keys(redis, prefix)
        assert redis.exists(f"{prefix}:{{0}}:stray", moves.store.keys.control(0)) == 0


def test_the_developers_settings_are_taken_away(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANTHROPIC_API_KEY", "secret")
        patch.setenv("TROUPE_MODEL", "claude-opus-5-5")
        seal_environment(patch, tmp_path)
        assert "ANTHROPIC_API_KEY" not in os.environ
        assert ModelSettings().chosen_model == "offline"
        assert ModelSettings().allow_model_requests is False
