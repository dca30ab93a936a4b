"""What kind of server the store is: what a doctor wants to know."""

from dataclasses import dataclass
from typing import Any, cast

from redis.exceptions import ResponseError

from tasks.store.failures import translated
from tasks.store.store import Store


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """Facts about the server."""

    version: str
    """`redis 7.4.1` or `valkey 9.1.2`."""
    policy: str
    """`maxmemory-policy`; empty when the server does not tell."""
    persistent: bool
    """Whether an append-only file or snapshots are on."""
    used_memory: int
    """Bytes."""
    unix_ms: int
    """Its clock."""


async def read_server(store: Store) -> ServerFacts:
    """Ask the server.

    Raises:
        StoreUnavailable: no answer in time.
        BadSetting: it refuses us.
    """
    redis = cast(Any, store.redis)
    async with translated(store.settings):
        info: dict[str, Any] = await redis.info()
        seconds, micros = await redis.time()
        snapshots = await _config(redis, "save")
    name = "valkey" if "valkey_version" in info else "redis"
    return ServerFacts(
        version=f"{name} {info.get(f'{name}_version', info.get('redis_version', '?'))}",
        policy=str(info.get("maxmemory_policy", "")),
        persistent=bool(int(info.get("aof_enabled", 0))) or bool(snapshots),
        used_memory=int(info.get("used_memory", 0)),
        unix_ms=int(seconds) * 1000 + int(micros) // 1000,
    )


async def _config(redis: Any, name: str) -> str:
    try:
        return str((await redis.config_get(name)).get(name, ""))
    except ResponseError:  # managed services refuse CONFIG
        return ""
