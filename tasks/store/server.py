"""What kind of server the store is: what a doctor wants to know."""

from dataclasses import dataclass
from typing import Any, cast

from redis.exceptions import ResponseError

from tasks.address import Kind
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
    maxmemory: int = 0
    """Bytes; 0: no limit."""
    release: tuple[int, int] = (7, 0)
    """Which Redis it is compatible with."""
    replica: bool = False
    """Whether it only follows another server."""
    node: str = ""
    """Which node of a cluster; else empty."""


async def read_servers(store: Store) -> list[ServerFacts]:
    """Ask the server; of a cluster, every node that writes.

    Raises:
        StoreUnavailable: no answer in time.
        BadSetting: it refuses us.
    """
    redis = cast(Any, store.redis)
    async with translated(store.settings):
        if store.settings.address.kind is not Kind.CLUSTER:
            return [await _ask(redis, "", {})]
        await redis.initialize()
        return [await _ask(redis, str(node.name), {"target_nodes": [node]}) for node in redis.get_primaries()]


async def read_clock(store: Store) -> int:
    """Unix ms by the clock that judges leases; of a cluster, by one of its masters.

    Raises:
        StoreUnavailable: no answer in time.
    """
    redis, target = cast(Any, store.redis), dict[str, Any]()
    async with translated(store.settings):
        if store.settings.address.kind is Kind.CLUSTER:
            await redis.initialize()
            target = {"target_nodes": [redis.get_primaries()[0]]}
        seconds, micros = await redis.time(**target)
    return int(seconds) * 1000 + int(micros) // 1000


async def _ask(redis: Any, node: str, target: dict[str, Any]) -> ServerFacts:
    info: dict[str, Any] = await redis.info(**target)
    seconds, micros = await redis.time(**target)
    snapshots = await _config(redis, "save", target)
    name = "valkey" if "valkey_version" in info else "redis"
    release = [int(part) for part in str(info.get("redis_version", "0.0")).split(".")[:2]]
    return ServerFacts(
        version=f"{name} {info.get(f'{name}_version', info.get('redis_version', '?'))}",
        policy=str(info.get("maxmemory_policy", "")),
        persistent=bool(int(info.get("aof_enabled", 0))) or bool(snapshots),
        used_memory=int(info.get("used_memory", 0)),
        unix_ms=int(seconds) * 1000 + int(micros) // 1000,
        maxmemory=int(info.get("maxmemory", 0)),
        release=(release[0], release[1]),
        replica=str(info.get("role", "master")) == "slave",
        node=node,
    )


async def _config(redis: Any, name: str, target: dict[str, Any]) -> str:
    try:
        return str((await redis.config_get(name, **target)).get(name, ""))
    except ResponseError:  # managed services refuse CONFIG
        return ""
