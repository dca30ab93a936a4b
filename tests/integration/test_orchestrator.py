"""The orchestrator process as a whole: it reads, sweeps, shares the work, drains. And its publisher."""

import asyncio
import json
import socket
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import SecretStr
from redis import Redis
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from orchestrator.local.redis_server import RedisServer
from orchestrator.process import Orchestrator
from orchestrator.scheduling.dispatch import Publisher
from orchestrator.settings import OrchestratorSettings
from tasks.app import make_app
from tasks.errors import BrokerUnavailable
from tasks.ids import AttemptRef, JobId, StepId
from tasks.messages import Dispatch
from tasks.models import StepResult
from tasks.settings import StoreSettings
from tasks.states import StepStatus, TaskStatus
from tests.support.builders import BAD, COST, DIAMOND, a_job, a_plan, a_planning_step, a_step
from tests.support.deciding import RememberingPublisher
from tests.support.moves import Moves
from tests.support.waiting import wait_until

Start = Callable[..., AbstractAsyncContextManager[Orchestrator]]
QUICK = {"sweep_s": 0.02, "lease_s": 0.4, "heartbeat_s": 0.1}


@pytest.fixture
def publisher() -> RememberingPublisher:
    return RememberingPublisher()


@pytest.fixture
def start(store_settings: StoreSettings, publisher: RememberingPublisher, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Starts a replica; it is stopped, and must have drained, at the end of the block."""
    monkeypatch.setattr("orchestrator.process.BLOCK", timedelta(milliseconds=50))  # a stop waits for it

    @asynccontextmanager
    async def start(name: str = "replica", **settings: Any) -> AsyncGenerator[Orchestrator]:
        values: dict[str, Any] = {**store_settings.model_dump(), **QUICK, **settings}
        replica = Orchestrator(StoreSettings(**values), OrchestratorSettings())
        await replica.publisher.close()
        replica.publisher = replica.actor.publisher = publisher
        replica.outbox.consumer = name
        running = asyncio.create_task(replica.run())
        try:
            yield replica
        finally:
            replica.stop()
            await asyncio.wait_for(running, 10)

    return start


def play(publisher: RememberingPublisher, moves: Moves, faults: Sequence[str] = ()) -> None:
    """Let workers claim and settle what is published at once; the first attempts of steps in `faults` fail."""

    async def work(dispatches: Sequence[Dispatch]) -> None:
        for dispatch in dispatches:
            ref = dispatch.message.ref
            if await moves.claim(ref) is None:
                continue
            plan = a_plan(DIAMOND).model_dump(mode="json") if ref.step == "plan" else None
            if ref.step in faults and ref.attempt == 1:
                await moves.attempts.fail(ref, BAD, COST)
            else:
                await moves.attempts.succeed(ref, StepResult(text=ref.step, data=plan), COST)

    publisher.on_publish = work


async def ended(moves: Moves, *jobs: JobId) -> None:
    """Wait until the jobs are final."""

    async def all_final() -> bool:
        return all([(await moves.snapshots.job(job)).final for job in jobs])

    await wait_until(all_final)


async def test_a_job_goes_from_submit_to_its_answer(
    start: Start, moves: Moves, publisher: RememberingPublisher
) -> None:
    play(publisher, moves, faults=["b"])
    async with start():
        job = await moves.submitted()
        await ended(moves, job)
    record = await moves.snapshots.job(job)
    assert record.status is TaskStatus.COMPLETED
    assert {one.step.id: one.attempt for one in record.steps} == {
        "plan": 1,
        "a": 1,
        "b": 2,
        "c": 1,
        "d": 1,
        "synthesis": 1,
    }
    assert publisher.closed


async def test_jobs_of_all_partitions_are_served(start: Start, moves: Moves, publisher: RememberingPublisher) -> None:
    play(publisher, moves)
    async with start():
        jobs = [await moves.submitted(partition=partition) for partition in range(4)]
        await ended(moves, *jobs)


async def test_two_replicas_share_the_work_without_doubling(
    start: Start, moves: Moves, publisher: RememberingPublisher
) -> None:
    play(publisher, moves, faults=["c"])
    async with start("one"), start("two"):
        jobs = [await moves.submitted() for _ in range(10)]
        await ended(moves, *jobs)
    assert {(await moves.snapshots.job(job)).status for job in jobs} == {TaskStatus.COMPLETED}
    sent = Counter(one.message.ref for one in publisher.sent)
    assert set(sent.values()) == {1}
    assert len(sent) == len(jobs) * 7


async def test_a_lost_worker_is_noticed(start: Start, moves_with: Callable[..., Moves]) -> None:
    moves = moves_with(**QUICK)
    async with start():
        job = await moves.submitted()
        await moves.wait_for(job, "plan", StepStatus.DISPATCHED)
        assert await moves.claim(AttemptRef(job, StepId("plan"), 1)) is not None
        await moves.wait_for(job, "plan", StepStatus.DISPATCHED, attempt=2)
    record = await moves.snapshots.step(job, "plan")
    assert record is not None
    assert record.losses == 1


async def test_a_broker_that_comes_back_gets_what_was_waiting(
    start: Start, moves: Moves, publisher: RememberingPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.store.outbox.TAKE_OVER", timedelta(milliseconds=20))
    play(publisher, moves)
    publisher.away = True
    async with start():
        job = await moves.submitted()
        await moves.wait_for(job, "plan", StepStatus.DISPATCHED)
        publisher.away = False
        await ended(moves, job)
    assert await moves.outbox.waiting(0) == 0


async def test_a_replica_announces_itself_until_it_stops(start: Start, moves: Moves) -> None:
    async with start() as replica:

        async def alive() -> bool:
            return [one.name for one in await moves.fleet.orchestrators()] == [replica.name]

        await wait_until(alive)
    assert await moves.fleet.orchestrators() == []


async def test_stopping_finishes_what_was_read(start: Start, moves: Moves, publisher: RememberingPublisher) -> None:
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_: Sequence[Dispatch]) -> None:
        reached.set()
        await go_on.wait()

    publisher.on_publish = slow
    async with start() as replica:
        await moves.submitted()
        await reached.wait()
        replica.stop()
        assert await moves.outbox.waiting(0) == 1
        go_on.set()
    assert publisher.ids == ["plan:1"]
    assert await moves.outbox.waiting(0) == 0


async def test_what_was_submitted_while_nobody_ran_is_done_later(
    start: Start, moves: Moves, publisher: RememberingPublisher
) -> None:
    job = await moves.submitted()
    play(publisher, moves)
    async with start():
        await ended(moves, job)


async def test_an_idle_replica_stops_when_its_read_ends(start: Start, moves: Moves) -> None:
    async with start() as replica:
        await wait_until(lambda: moves.redis.exists(moves.store.keys.control(3)))
        begun = time.monotonic()
        replica.stop()
    assert time.monotonic() - begun < 2


# The publisher, on a real broker


@pytest.fixture
def broker(redis_server: RedisServer) -> Iterator[Any]:
    """The broker's database."""
    client = cast(Any, Redis).from_url(redis_server.url.replace("db=0", "db=1"), decode_responses=True)
    with client:
        yield client
        client.flushdb()


@pytest.fixture
async def real_publisher(store_settings: StoreSettings, broker: Any) -> AsyncIterator[Publisher]:
    publisher = Publisher(make_app(store_settings))
    yield publisher
    await publisher.close()


async def test_a_message_is_short_readable_and_where_it_belongs(real_publisher: Publisher, broker: Any) -> None:
    job = a_job()
    dispatch = Dispatch.of(job.id, a_step("look", queue="pond", agent="heron"), 2)
    assert await real_publisher.depth("pond") == 0
    await real_publisher.publish([dispatch, Dispatch.of(job.id, a_planning_step(), 1)])
    assert (await real_publisher.depth("pond"), await real_publisher.depth("planner")) == (1, 1)
    headers = json.loads(broker.lindex("pond", 0))["headers"]
    assert (headers["task"], headers["id"]) == ("heron", f"{job.id}:look:2")
    assert (headers["root_id"], headers["parent_id"]) == (f"{job.id}:plan:1", f"{job.id}:plan:1")
    assert "'goal': 'Do look.'" in headers["kwargsrepr"]


async def test_a_broker_that_is_not_there_is_a_transient_error(store_settings: StoreSettings) -> None:
    settings = store_settings.model_copy(update={"broker_url": SecretStr("redis://127.0.0.1:1/0")})
    publisher = Publisher(make_app(settings))
    with pytest.raises(BrokerUnavailable, match="does not take messages"):
        await publisher.publish([Dispatch.of(a_job().id, a_step(), 1)])
    await publisher.close()


async def test_a_broker_that_never_answers_is_given_up_in_time(store_settings: StoreSettings) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        url = SecretStr(f"redis://127.0.0.1:{listener.getsockname()[1]}/0")
        settings = store_settings.model_copy(update={"broker_url": url, "store_timeout_s": 0.3})
        publisher = Publisher(make_app(settings))
        begun = time.monotonic()
        with pytest.raises(BrokerUnavailable, match="does not answer"):
            await publisher.depth("pond")
        assert time.monotonic() - begun < 3
        await publisher.close()


async def test_a_broker_that_is_full_is_away_and_no_defect(tmp_path: Path) -> None:
    """Its reply is no connection error; taken for a defect, it would fail the job."""
    server = RedisServer.start(tmp_path, append_only=False)
    publisher = Publisher(make_app(StoreSettings(redis_url=SecretStr(server.url), store_timeout_s=1)))
    dispatch = Dispatch.of(a_job().id, a_step("one"), 1)
    redis: Any = cast(Any, Redis).from_url(server.url)
    try:
        await publisher.publish([dispatch])
        redis.config_set("maxmemory", 1)
        with pytest.raises(BrokerUnavailable):
            await publisher.publish([dispatch])
        redis.config_set("maxmemory", 0)
        await publisher.publish([dispatch])
        assert await publisher.depth("worker") == 2
    finally:
        await publisher.close()
        redis.close()
        server.stop()


@pytest.mark.parametrize("part", ["", ":steps"])
async def test_a_replica_outlives_damaged_records_and_names_their_job(start: Start, moves: Moves, part: str) -> None:
    waiting, due, fine = [await moves.submitted() for _ in range(3)]
    for job in (waiting, due):
        await moves.redis.set(moves.store.keys.job(job) + part, "no hash", px=60_000)
    await moves.make_due(due)
    with capture_logs([merge_contextvars]) as logs:
        async with start():

            async def acted() -> bool:
                return await moves.status(fine, "plan") is StepStatus.DISPATCHED and not await moves.outbox.waiting(0)

            await wait_until(acted)
    named = {(one["event"], one["job"]) for one in logs if one["log_level"] == "error" and "job" in one}
    assert ("damaged_record", due) in named
    assert {job for event, job in named if event == "job_cannot_end"} & {waiting, due}


async def test_a_partition_whose_own_keys_are_damaged_does_not_stop_the_others(start: Start, moves: Moves) -> None:
    await moves.redis.set(moves.store.keys.timers(1), "no set", px=60_000)
    job = await moves.planned({"a": ()})
    await moves.running(job, "a")
    await moves.make_due(job, "a")
    with capture_logs() as logs:
        async with start():
            await moves.wait_for(job, "a", StepStatus.DISPATCHED, attempt=2)
    assert {one["partition"] for one in logs if one["event"] == "sweep_failed"} == {1}
