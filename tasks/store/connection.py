"""The connection to Redis, and the one place where its errors become ours."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final, cast

from redis import exceptions
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff

from tasks.errors import BadSetting, StoreUnavailable
from tasks.settings import StoreSettings, hide_password

POOL_SIZE: Final = 512
"""Connections of one process; calls past it wait for one."""

AWAY: Final = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.BusyLoadingError,
    exceptions.ReadOnlyError,
    exceptions.OutOfMemoryError,
    exceptions.ClusterDownError,
    exceptions.MasterDownError,
    exceptions.TryAgainError,
    exceptions.InvalidResponse,  # something else listens there
    OSError,
    TimeoutError,
)
"""Errors that pass: the server is away, starting, failing over or full."""

REFUSED: Final = (exceptions.AuthenticationError, exceptions.NoPermissionError)

BUSY: Final = frozenset({"BUSY", "MISCONF", "NOREPLICAS", "UNKILLABLE"})
"""Replies that pass, too: a script of somebody else's runs, the disk is full, no replica is there."""


def connect(settings: StoreSettings) -> Redis:
    """A client for the store; connects with its first command.

    One quick second try hides a connection that the server or a proxy has closed while idle. Every script may be
    sent twice: moves are fenced, so the second one changes nothing.

    Raises:
        BadSetting: the URL is not one.
    """
    url = settings.redis_url.get_secret_value()
    try:
        pool = cast(Any, BlockingConnectionPool).from_url(
            url,
            decode_responses=True,
            timeout=settings.store_timeout_s,
            socket_timeout=settings.store_timeout_s,
            socket_connect_timeout=settings.store_timeout_s,
            health_check_interval=10,
            max_connections=POOL_SIZE,
            retry=Retry(ExponentialBackoff(cap=0.2, base=0.05), 1),
        )
    except (ValueError, exceptions.RedisError) as error:
        raise BadSetting(f"TROUPE_REDIS_URL: {hide_password(url)!r} is not a Redis URL: {error}") from error
    return Redis.from_pool(pool)


@asynccontextmanager
async def translated(settings: StoreSettings) -> AsyncGenerator[None]:
    """Turn an absent server into `StoreUnavailable`, and refused credentials into `BadSetting`.

    The whole of the call ends within `store_timeout_s`: redis-py's own timeouts hold for each step of it (connect,
    greet, ask, and all once more).

    A cancellation that came while redis-py was sending is raised at the end: on Python 3.11 `asyncio.wait_for`, which
    it sends with, loses one that arrives with the answer, and a task that was told to stop would run on for ever.
    """
    cancellations = _cancellations()
    try:
        async with asyncio.timeout(settings.store_timeout_s):
            yield
    except REFUSED as error:
        raise BadSetting(f"Redis at {_where(settings)} refuses us: {error}") from error
    except AWAY as error:
        if isinstance(error.__cause__, REFUSED):  # met while connecting, where redis-py wraps it
            raise BadSetting(f"Redis at {_where(settings)} refuses us: {error}") from error
        reason = str(error) or f"nothing came within {settings.store_timeout_s:g} s"
        raise StoreUnavailable(f"Redis at {_where(settings)} does not answer: {reason}") from error
    except exceptions.ResponseError as error:
        if str(error).partition(" ")[0] not in BUSY:
            raise
        raise StoreUnavailable(f"Redis at {_where(settings)} takes no commands: {error}") from error
    if _cancellations() > cancellations:
        raise asyncio.CancelledError


def _cancellations() -> int:
    task = asyncio.current_task()
    return task.cancelling() if task is not None else 0


def _where(settings: StoreSettings) -> str:
    return hide_password(settings.redis_url.get_secret_value())
