"""The one place where Redis' errors become ours.

| what Redis says | what it becomes |
| --- | --- |
| nothing in time, connection lost or refused, LOADING, READONLY, MASTERDOWN, CLUSTERDOWN, TRYAGAIN | StoreUnavailable |
| BUSY, UNKILLABLE, MISCONF (disk full), NOREPLICAS | StoreUnavailable |
| OOM: at `maxmemory` | StoreFull |
| WRONGPASS, NOAUTH, NOPERM, also within a script | BadSetting |
| MOVED, to a client that was told of one server | BadSetting |
| a script that it cannot compile: it is older than 7.0 | BadSetting |
| a script that met a record of another shape than it writes (WRONGTYPE, a field that is missing) | DamagedRecord |
| anything else | itself: a defect of ours |
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

from redis import exceptions

from tasks.address import Kind, hide_password
from tasks.errors import BadSetting, DamagedRecord, StoreFull, StoreUnavailable, TroupeError
from tasks.settings import StoreSettings

AWAY: Final = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.BusyLoadingError,
    exceptions.ReadOnlyError,
    exceptions.ClusterError,  # also CLUSTERDOWN and MASTERDOWN
    exceptions.TryAgainError,
    exceptions.SlotNotCoveredError,
    exceptions.InvalidResponse,  # something else listens there
    OSError,
    TimeoutError,
)
"""Errors that pass: the server is away, starting or failing over."""

REFUSED: Final = (exceptions.AuthenticationError, exceptions.NoPermissionError, exceptions.AuthorizationError)

BUSY: Final = frozenset({"BUSY", "MISCONF", "NOREPLICAS", "UNKILLABLE"})
"""Replies that pass, too: a script of somebody else's runs, the disk is full, no replica is there."""

IN_SCRIPT: Final = "on @user_script:"
"""How Redis says that a script of ours has failed."""

NOT_ALLOWED: Final = ("ACL failure in script", "The user executing the script can't")
"""How Valkey and Redis say that a script of ours did what the user that we are may not."""

FULL: Final = timedelta(seconds=10)
"""When a producer whom a full store refused may try again."""


@asynccontextmanager
async def translated(settings: StoreSettings) -> AsyncGenerator[None]:
    """Turn what redis-py raises into our errors, by the table above.

    The whole of the call ends within `store_timeout_s`: redis-py's own timeouts hold for each step of it (connect,
    greet, ask, and all once more).

    A cancellation that came while redis-py was sending is raised at the end: on Python 3.11 `asyncio.wait_for`, which
    it sends with, loses one that arrives with the answer, and a task that was told to stop would run on for ever.
    """
    cancellations = _cancellations()
    try:
        async with asyncio.timeout(settings.store_timeout_s):
            yield
    except (exceptions.RedisError, exceptions.RedisClusterException, OSError, AttributeError) as error:
        ours = failure_of(error, settings)
        if ours is None:
            raise
        raise ours from error
    if _cancellations() > cancellations:
        raise asyncio.CancelledError


def failure_of(error: Exception, settings: StoreSettings) -> TroupeError | None:
    """What an error of redis-py's means to a caller; None when it is a defect of ours."""
    where = f"Redis at {hide_password(settings.redis_url.get_secret_value())}"
    causes = list(_causes(error))
    if any(isinstance(one, REFUSED) for one in causes):  # met while connecting, it is wrapped
        return BadSetting(f"{where} refuses us: {error}")
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return BadSetting(f"{where} has a certificate that nobody vouches for: {error}; set TROUPE_REDIS_CA_FILE")
    if any(isinstance(one, exceptions.OutOfMemoryError) for one in causes):
        return StoreFull(
            f"{where} is full (maxmemory) and takes no new jobs: give it more memory, or remove old jobs; "
            f"try again in {FULL.total_seconds():g} s",
            retry_after=FULL,
        )
    if isinstance(error, exceptions.MovedError) and settings.address.kind is not Kind.CLUSTER:
        return BadSetting(f"{where} is a node of a cluster: write TROUPE_REDIS_URL as redis+cluster://host:port,…")
    if isinstance(error, AWAY) or _is_absent_cluster(error):
        reason = str(error) or f"nothing came within {settings.store_timeout_s:g} s"
        return StoreUnavailable(f"{where} does not answer: {reason}")
    if _was_closed_meanwhile(error):
        return StoreUnavailable(f"{where} does not answer: the connection was closed while it was being made")
    if isinstance(error, exceptions.ResponseError):
        return _of_reply(str(error), where)
    return None


def _of_reply(reply: str, where: str) -> TroupeError | None:
    if reply.partition(" ")[0] in BUSY:
        return StoreUnavailable(f"{where} takes no commands: {reply}")
    if any(words in reply for words in NOT_ALLOWED):
        return BadSetting(f"{where} refuses us: {reply}")
    if IN_SCRIPT in reply:
        return DamagedRecord(f"{where} holds records that are not as this release writes them: {reply}")
    if "compiling script" in reply:
        return BadSetting(f"{where} is older than 7.0 and does not understand our scripts: upgrade it")
    return None


def _is_absent_cluster(error: Exception) -> bool:
    """Whether no node of the cluster could be asked, or some of its slots have no node at present.

    A command that would touch two nodes has the same class: that is a defect.
    """
    text = str(error)
    return isinstance(error, exceptions.RedisClusterException) and (
        "cannot be connected" in text or "slots are not covered" in text
    )


def _was_closed_meanwhile(error: Exception) -> bool:
    """Whether redis-py met None where its connection was.

    Its cluster client closes all connections to a node that is away, also those that other calls are just making; they
    then fail with an AttributeError, which would end an orchestrator.
    """
    if not isinstance(error, AttributeError) or error.obj is not None:
        return False
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return frame is not None and str(frame.tb_frame.f_globals.get("__name__", "")).startswith("redis.")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _cancellations() -> int:
    task = asyncio.current_task()
    return task.cancelling() if task is not None else 0
