"""A store that is away, silent, busy or of another mind: one error, in time."""

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis import exceptions

from orchestrator import AsyncJobHandle, AsyncTroupe
from orchestrator.local.redis_server import RedisServer, free_port
from tasks.errors import BadSetting, StoreUnavailable
from tasks.ids import new_job_id
from tasks.settings import StoreSettings
from tasks.states import TaskStatus
from tasks.store.failures import translated
from tests.support.builders import a_worker
from tests.support.moves import Moves
from tests.support.waiting import wait_until


@pytest.fixture
def silent_url() -> Iterator[str]:
    """A server that accepts connections and never answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "unix:///nonexistent/redis.sock?db=0"])
async def test_a_server_that_is_not_there_is_a_transient_error(url: str, moves_with: Callable[..., Moves]) -> None:
    moves = moves_with(redis_url=SecretStr(url))
    for call in (moves.submitted(), moves.entries(), moves.fleet.workers(), moves.snapshots.job(new_job_id(0))):
        with pytest.raises(StoreUnavailable, match="does not answer"):
            await call


async def test_a_server_that_never_answers_is_given_up_in_time(
    silent_url: str, moves_with: Callable[..., Moves]
) -> None:
    moves = moves_with(redis_url=SecretStr(silent_url), store_timeout_s=0.2)
    begun = time.monotonic()
    with pytest.raises(StoreUnavailable, match="does not answer"):
        await moves.submitted()
    assert 0.2 <= time.monotonic() - begun < 0.4


async def test_a_server_that_stops_answering_is_given_up_in_time_and_used_again_after(
    moves_with: Callable[..., Moves], moves: Moves
) -> None:
    hasty = moves_with(store_timeout_s=0.2)
    await hasty.store.ping()
    await moves.redis.client_pause(500)
    begun = time.monotonic()
    with pytest.raises(StoreUnavailable, match="does not answer"):
        await hasty.fleet.announce(a_worker())
    assert time.monotonic() - begun < 0.4

    async def answers() -> bool:
        try:
            await hasty.submitted()
        except StoreUnavailable:
            return False
        return True

    await wait_until(answers, within=5)


async def test_waiting_for_entries_and_events_never_outlasts_the_timeout(moves_with: Callable[..., Moves]) -> None:
    """An idle stream must not look like a dead server."""
    hasty = moves_with(store_timeout_s=0.5)
    await hasty.outbox.open(0)
    job = await hasty.submitted()
    await hasty.entries()
    seq = (await hasty.snapshots.job(job)).seq
    assert await hasty.outbox.read(0, count=1, block=timedelta(seconds=1)) == []
    assert await hasty.events.read(job, seq, wait=timedelta(seconds=1)) == []


async def test_a_server_with_other_credentials_is_a_bad_setting(
    redis_server: RedisServer, moves_with: Callable[..., Moves]
) -> None:
    moves = moves_with(redis_url=SecretStr(f"{redis_server.url}&username=nobody&password=wrong"))
    with pytest.raises(BadSetting, match="refuses us"):
        await moves.store.ping()


@pytest.mark.parametrize("reply", ["BUSY Redis is busy running a script.", "MISCONF Redis cannot persist on disk."])
async def test_a_server_that_takes_no_commands_for_a_while_is_a_transient_error(reply: str) -> None:
    with pytest.raises(StoreUnavailable, match="takes no commands"):
        async with translated(StoreSettings()):
            raise exceptions.ResponseError(reply)


async def test_a_defect_of_ours_is_not_taken_for_an_absent_server() -> None:
    with pytest.raises(exceptions.ResponseError, match="user_script"):
        async with translated(StoreSettings()):
            raise exceptions.ResponseError("ERR user_script:1: attempt to index a nil value")


async def test_a_call_that_is_cancelled_is_cancelled(moves: Moves) -> None:
    job = await moves.submitted()
    seq = (await moves.snapshots.job(job)).seq
    reading = asyncio.create_task(moves.events.read(job, seq, wait=timedelta(seconds=2)))
    await asyncio.sleep(0.02)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert (await moves.snapshots.job(job)).seq == seq


async def test_scripts_that_the_server_has_lost_are_sent_again(moves: Moves) -> None:
    await moves.submitted()
    await moves.redis.script_flush()
    assert await moves.submitted()


async def test_a_waiting_client_sits_out_a_restart_of_the_server(tmp_path: Path) -> None:
    port = free_port()
    server = RedisServer.start(tmp_path, port=port)
    settings = StoreSettings(redis_url=SecretStr(server.url), store_timeout_s=1)
    try:
        async with AsyncTroupe(settings=settings) as troupe:
            job = await troupe.submit("Find out.")
            waiting = asyncio.create_task(job.wait(30))
            following = asyncio.create_task(_last_event(job))
            while not await troupe.jobs():
                pass
            await asyncio.to_thread(server.stop)
            server = RedisServer.start(tmp_path, port=port)
            await job.cancel()
            assert (await waiting).status is TaskStatus.CANCELLED
            assert await following == "job_finished"
    finally:
        server.stop()


async def _last_event(job: AsyncJobHandle) -> str:
    return [event.type async for event in job.events()][-1]
