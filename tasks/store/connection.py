"""The connection to Redis: one server, a master behind Sentinels, or a cluster."""

from typing import Any, Final, cast

from redis import exceptions
from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import ExponentialBackoff

from tasks.address import Address, Kind, hide_password
from tasks.errors import BadSetting
from tasks.settings import StoreSettings

POOL_SIZE: Final = 512
"""Connections of one process to one server; calls past it wait for one."""
CLUSTER_POOL_SIZE: Final = 5000
"""The same for each node of a cluster, whose client refuses calls past it: as many as a process may have attempts."""


class SentinelPool(SentinelConnectionPool, BlockingConnectionPool):
    """Connections to the master that Sentinels name; calls past the pool's size wait, as with a single server."""


def connect(settings: StoreSettings) -> Redis:
    """A client for the store; connects with its first command.

    One quick second try hides a connection that the server or a proxy has closed while idle. Every script may be
    sent twice: moves are fenced, so the second one changes nothing.

    Raises:
        BadSetting: the URL is not one.
    """
    address = settings.address
    try:
        match address.kind:
            case Kind.SENTINEL:
                return _behind_sentinels(settings, address)
            case Kind.CLUSTER:
                # The cluster's client has the same commands; what differs is met in tasks/store/server.py.
                return cast(Redis, _cluster(settings, address))
            case Kind.SERVER | Kind.SOCKET:
                return _server(settings, address)
    except (ValueError, TypeError, exceptions.RedisError, exceptions.RedisClusterException) as error:
        raise BadSetting(f"TROUPE_REDIS_URL: {hide_password(address.url)!r} is not a Redis URL: {error}") from error


async def disconnect(redis: Redis) -> None:
    """Give all connections back, also those to the Sentinels."""
    await redis.aclose()
    pool: object = getattr(redis, "connection_pool", None)  # a cluster has one for each node
    if isinstance(pool, SentinelPool):
        await cast(Any, pool).sentinel_manager.aclose()


def _server(settings: StoreSettings, address: Address) -> Redis:
    options = {**_options(settings, address), "max_connections": POOL_SIZE, "timeout": settings.store_timeout_s}
    return Redis.from_pool(cast(Any, BlockingConnectionPool).from_url(address.url, **options))


def _behind_sentinels(settings: StoreSettings, address: Address) -> Redis:
    options = {**_options(settings, address), **_from_url(address), "ssl": address.tls}
    sentinels = {name: value for name, value in options.items() if name.startswith(("socket_", "ssl"))}
    if settings.sentinel_password.get_secret_value():
        sentinels["username"] = settings.sentinel_username or None
        sentinels["password"] = settings.sentinel_password.get_secret_value()
    finder = Sentinel(address.hosts, sentinel_kwargs=sentinels)
    # master_for gives the client the keys of its pool as they are, and the pool, which blocks, its size and patience.
    return cast(
        Redis,
        cast(Any, finder).master_for(
            address.service,
            connection_pool_class=SentinelPool,
            max_connections=POOL_SIZE,
            timeout=settings.store_timeout_s,
            **options,
        ),
    )


def _cluster(settings: StoreSettings, address: Address) -> RedisCluster:
    options = {**_options(settings, address), **_from_url(address), "ssl": address.tls}
    options.pop("db")
    nodes = [ClusterNode(host, port) for host, port in address.hosts]
    return cast(Any, RedisCluster)(startup_nodes=nodes, max_connections=CLUSTER_POOL_SIZE, **options)


def _options(settings: StoreSettings, address: Address) -> dict[str, Any]:
    options: dict[str, Any] = {
        "decode_responses": True,
        "socket_timeout": settings.store_timeout_s,
        "socket_connect_timeout": settings.store_timeout_s,
        "health_check_interval": 10,
        "retry": Retry(ExponentialBackoff(cap=0.2, base=0.05), 1),
    }
    return {**options, **(settings.tls if address.tls else {})}


def _from_url(address: Address) -> dict[str, Any]:
    """Login, database and options of a URL whose form redis-py does not know, as it would read them."""
    query = address.url.partition("?")[2]
    options: dict[str, Any] = {**parse_url(f"redis://host/?{query}"), "db": address.database}
    options.pop("host")
    login = {"username": address.username, "password": address.password}
    return options | {name: value for name, value in login.items() if value}
