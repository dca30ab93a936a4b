"""What no test may do: call a real model, read the developer's own settings, leave a key without an end."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import pytest
from redis import Redis

from tasks.store.keys import PERMANENT

OURS = ("TROUPE_", "ANTHROPIC_", "OTEL_")
KEPT = "TROUPE_REDIS_SERVER"
"""Which server the tests run on is whoever starts them to say."""


def seal_environment(patch: pytest.MonkeyPatch, home: Path) -> None:
    """Take the developer's keys and settings away; forbid model calls that leave this machine."""
    for name in [name for name in os.environ if name.startswith(OURS) and name != KEPT]:
        patch.delenv(name)
    patch.setenv("TROUPE_ALLOW_MODEL_REQUESTS", "false")
    patch.setenv("TROUPE_HOME", str(home))
    patch.setenv("TROUPE_CONFIG", os.devnull)


def endless_keys(redis: "Redis", prefix: str) -> list[str]:
    """Keys under a prefix that have no TTL and are not on the permanent list."""
    client = cast(Any, redis)
    found = sorted(cast("Iterable[str]", client.scan_iter(match=f"{prefix}:*", count=1000)))
    lasting = [key for key in found if not key.endswith(tuple(f":{end}" for end in PERMANENT))]
    return [key for key in lasting if client.pttl(key) == -1]


def remove_keys(redis: "Redis", prefix: str) -> None:
    """Delete every key under a prefix."""
    client = cast(Any, redis)
    keys = list(client.scan_iter(match=f"{prefix}:*", count=1000))
    if keys:
        client.delete(*keys)
