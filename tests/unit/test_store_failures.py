"""What Redis' errors mean to a caller."""

from typing import Any, cast

import pytest
from pydantic import SecretStr
from redis import exceptions
from redis.asyncio.connection import Connection

from tasks.errors import BadSetting, DamagedRecord, StoreFull, StoreUnavailable, TroupeError
from tasks.settings import StoreSettings
from tasks.store.failures import failure_of, translated

ONE = StoreSettings(redis_url=SecretStr("redis://u:geheim@h"))
MANY = StoreSettings(redis_url=SecretStr("redis+cluster://h"))
MOVED = exceptions.MovedError("1 h:2")


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (exceptions.ConnectionError("gone"), StoreUnavailable),
        (exceptions.BusyLoadingError("LOADING"), StoreUnavailable),
        (exceptions.ReadOnlyError("READONLY"), StoreUnavailable),
        (exceptions.MasterDownError("MASTERDOWN"), StoreUnavailable),
        (exceptions.ClusterDownError("CLUSTERDOWN"), StoreUnavailable),
        (exceptions.TryAgainError("TRYAGAIN"), StoreUnavailable),
        (exceptions.SlotNotCoveredError("slot"), StoreUnavailable),
        (exceptions.RedisClusterException("Redis Cluster cannot be connected. Please"), StoreUnavailable),
        (exceptions.RedisClusterException("All slots are not covered after query"), StoreUnavailable),
        (exceptions.ResponseError("NOREPLICAS Not enough good replicas to write."), StoreUnavailable),
        (exceptions.ResponseError("BUSY Redis is busy"), StoreUnavailable),
        (exceptions.ResponseError("MISCONF Errors writing"), StoreUnavailable),
        (ConnectionResetError("reset"), StoreUnavailable),
        (TimeoutError(), StoreUnavailable),
        (exceptions.OutOfMemoryError("command not allowed"), StoreFull),
        (exceptions.AuthenticationError("WRONGPASS"), BadSetting),
        (exceptions.NoPermissionError("NOPERM"), BadSetting),
        (
            exceptions.ResponseError("ERR ACL failure in script: No permissions … script: 1f, on @user_script:1."),
            BadSetting,
        ),
        (caused(exceptions.ConnectionError("x"), exceptions.AuthenticationError("NOAUTH")), BadSetting),
        (caused(exceptions.RedisClusterException("x"), exceptions.AuthenticationError("WRONGPASS")), BadSetting),
        (exceptions.ConnectionError("[SSL: CERTIFICATE_VERIFY_FAILED]"), BadSetting),
        (exceptions.ResponseError("Error compiling script (new function): near '#'"), BadSetting),
        (MOVED, BadSetting),
        (exceptions.ResponseError("WRONGTYPE Operation … script: 1f, on @user_script:4."), DamagedRecord),
    ],
)
def test_an_error_of_redis_becomes_ours(error: Exception, kind: type[TroupeError]) -> None:
    ours = failure_of(error, ONE)
    assert type(ours) is kind
    assert "geheim" not in str(ours)


@pytest.mark.parametrize(
    ("error", "settings"),
    [
        (exceptions.ResponseError("ERR unknown command"), ONE),
        (exceptions.RedisClusterException("EVAL - all keys must map to the same key slot"), MANY),
        (exceptions.DataError("wrong"), ONE),
        (MOVED, MANY),
        (AttributeError("ours", name="x", obj=None), ONE),
        (AttributeError("ours", name="x", obj=1), ONE),
    ],
)
def test_a_defect_of_ours_stays_what_it_is(error: Exception, settings: StoreSettings) -> None:
    assert failure_of(error, settings) is None


async def test_a_connection_that_is_closed_while_it_is_made_is_a_transient_error() -> None:
    """redis-py's cluster client does that when a node goes away, and lets the AttributeError through."""
    connection: Any = cast(Any, Connection)()
    with pytest.raises(StoreUnavailable, match="closed while it was being made"):
        async with translated(ONE):
            await connection._send_packed_command(b"PING")


async def test_an_attribute_error_of_our_own_is_not_taken_for_one() -> None:
    nothing: Any = None
    with pytest.raises(AttributeError):
        async with translated(ONE):
            nothing.wrong()
