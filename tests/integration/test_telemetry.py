"""What the store keeps and tells for OpenTelemetry, and what orchestrators make of it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, cast

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import StatusCode

from orchestrator import AsyncTroupe, Troupe
from orchestrator.scheduling.dispatch import Publisher
from orchestrator.telemetry import workflows as module
from orchestrator.telemetry.headers import TraceHeaders
from orchestrator.telemetry.workflows import Workflows
from tasks.app import make_app
from tasks.errors import StoreUnavailable
from tasks.ids import SYNTHESIS_STEP, AttemptRef, JobId, StepId
from tasks.messages import Dispatch
from tasks.models import StepResult
from tasks.settings import StoreSettings
from tasks.states import TaskStatus
from tasks.store import Store
from tasks.store import ended as ended_module
from tasks.store.ended import EndedJobs
from tasks.telemetry.propagation import read_traceparent
from tasks.trace_ids import span_id_of, trace_id_of
from tests.support.builders import COST, OUT_OF_LUCK, PARTITION, a_step
from tests.support.moves import Moves
from tests.support.telemetry import Memory, attributes, parent_id, seconds, span_id, trace_id

PRODUCER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def ended(moves: Moves, **fields: Any) -> JobId:
    """A job of two steps that has its answer."""
    job = await moves.planned({"one": ()}, **fields)
    for step in ("one", SYNTHESIS_STEP):
        await moves.succeed(job, step)
    return job


async def opened(store: Store, memory: Memory, name: str = "o1") -> Workflows:
    workflows = Workflows(memory.telemetry, store, name)
    for partition in workflows.partitions:
        await workflows.ended.open(partition)
    return workflows


@pytest.fixture
async def troupe(store_settings: StoreSettings) -> AsyncIterator[AsyncTroupe]:
    async with AsyncTroupe(settings=store_settings) as troupe:
        yield troupe


async def test_a_claim_says_which_attempts_its_inputs_are_of(moves: Moves) -> None:
    job = await moves.planned({"a": (), "b": (), "c": ("a", "b")})
    await moves.succeed(job, "a")
    ref = await moves.faltered(job, "b")
    await moves.jobs.postpone(ref, 0)
    await moves.jobs.sweep(PARTITION)
    again = await moves.running(job, "b", 2)
    await moves.attempts.succeed(again, StepResult(text="found"), COST)
    claim = await moves.claim(await moves.dispatched(job, "c"))
    assert claim is not None
    assert {item.step: item.attempt for item in claim.inputs} == {"a": 1, "b": 2}
    assert claim.parent_attempt == 0


async def test_a_producers_trace_goes_into_its_job(troupe: AsyncTroupe, moves: Moves) -> None:
    with TracerProvider(shutdown_on_exit=False).get_tracer("shop").start_as_current_span("order") as span:
        job = (await troupe.submit("Why?", idempotency_key="k")).id
    here = read_traceparent((await moves.snapshots.job(job)).spec.traceparent)
    assert here is not None
    assert int(here.span, 16) == span.get_span_context().span_id
    assert await moves.snapshots.traceparent(job) == here.traceparent
    assert (await troupe.submit("Why?", idempotency_key="k")).id == job  # the same request, whatever trace it is in
    other = (await troupe.submit("Why?")).id
    assert (await moves.snapshots.job(other)).spec.traceparent is None
    assert await moves.snapshots.traceparent(other) is None


def test_a_blocking_producers_trace_does_too(store_settings: StoreSettings) -> None:
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("shop")
    with Troupe(settings=store_settings) as troupe, tracer.start_as_current_span("order") as span:
        job = JobId(troupe.submit("Why?").id)
    found = asyncio.run(_traceparent(store_settings, job))
    assert found is not None
    assert f"{span.get_span_context().span_id:016x}" in found


async def _traceparent(settings: StoreSettings, job: JobId) -> str | None:
    store = Store(settings)
    try:
        return await Moves(store).snapshots.traceparent(job)
    finally:
        await store.close()


async def test_a_job_that_has_ended_is_told_once_by_one_replica(moves: Moves, store: Store) -> None:
    memory = Memory()
    replicas = [await opened(store, memory, name) for name in ("o1", "o2")]
    job = await ended(moves, tenant="shop")
    for replica in (*replicas, *replicas):
        await replica.look()
    span = memory.span
    assert (span.name, trace_id(span), span_id(span)) == (
        "invoke_workflow troupe.job",
        trace_id_of(job),
        span_id_of(job),
    )
    assert parent_id(span) is None
    record = await moves.snapshots.job(job)
    assert record.finished_at is not None
    assert seconds(span) == pytest.approx((record.finished_at - record.created_at).total_seconds())
    assert attributes(span) == {
        "gen_ai.operation.name": "invoke_workflow",
        "gen_ai.workflow.name": "troupe.job",
        "gen_ai.aggregated_usage.input_tokens": 20,
        "gen_ai.aggregated_usage.output_tokens": 4,
        "troupe.job.id": job,
        "troupe.job.status": "completed",
        "troupe.tenant": "shop",
        "troupe.steps": 2,
        "troupe.model_calls": 2,
        "troupe.tool_calls": 0,
        "troupe.cost_microusd": 14,
    }
    (point,) = memory.points("gen_ai.workflow.duration")
    assert dict(point.attributes) == {"gen_ai.workflow.name": "troupe.job"}
    assert list(point.explicit_bounds) == [1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200]


async def test_a_job_is_told_below_its_producer_and_with_its_conversation(moves: Moves, store: Store) -> None:
    memory = Memory()
    workflows = await opened(store, memory)
    await ended(moves, traceparent=PRODUCER, session="customer-17.0")
    await workflows.look()
    assert trace_id(memory.span) == PRODUCER.split("-")[1]
    assert parent_id(memory.span) == PRODUCER.split("-")[2]
    assert attributes(memory.span)["gen_ai.conversation.id"] == "customer-17.0"


@pytest.mark.parametrize(("status", "error"), [(TaskStatus.FAILED, "bad"), (TaskStatus.CANCELLED, None)])
async def test_a_job_that_fails_says_so_by_its_code(
    status: TaskStatus, error: str | None, moves: Moves, store: Store
) -> None:
    memory = Memory()
    workflows = await opened(store, memory)
    job = await moves.submitted()
    await moves.jobs.end_job(job, status, OUT_OF_LUCK)
    await workflows.look()
    assert attributes(memory.span).get("error.type") == error
    assert (memory.span.status.status_code is StatusCode.ERROR) is (error is not None)
    assert memory.points("gen_ai.workflow.duration")[0].attributes.get("error.type") == error


async def test_an_attempt_whose_worker_died_is_told_with_its_job(moves: Moves, store: Store) -> None:
    memory = Memory()
    workflows = await opened(store, memory)
    job = await moves.planned({"one": ()})
    ref = await moves.running(job, "one")
    redis = cast(Any, store.redis)
    await redis.zadd(store.keys.timers(PARTITION), {f"{job}:one": 1})
    await moves.jobs.sweep(PARTITION)
    await moves.jobs.postpone(ref, 0)
    await moves.jobs.sweep(PARTITION)
    again = await moves.running(job, "one", 2)
    await moves.attempts.succeed(again, StepResult(text="found"), COST)
    await moves.succeed(job, SYNTHESIS_STEP)
    await workflows.look()
    root, lost = memory.spans
    assert (lost.name, span_id(lost), parent_id(lost)) == (
        "invoke_agent worker",
        span_id_of(job, "one", "1"),
        span_id(root),
    )
    about = attributes(lost)
    assert (about["error.type"], about["troupe.outcome"], about["troupe.attempt"]) == ("worker_lost", "lost", 1)
    assert about["troupe.worker"] == "worker@test"


async def test_an_end_whose_teller_died_is_told_by_another(
    moves: Moves, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Memory()
    workflows = await opened(store, memory)
    await ended(moves)
    dead = EndedJobs(store, module.GROUP, "dead")
    assert len(await dead.read(PARTITION, count=10)) == 1
    await workflows.look()
    assert memory.spans == []
    monkeypatch.setattr(ended_module, "TAKE_OVER", timedelta(0))
    await workflows.look()
    assert len(memory.spans) == 1


async def test_names_of_readers_that_are_long_gone_are_forgotten(
    moves: Moves, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def names() -> set[str]:
        rows = await cast(Any, store.redis).xinfo_consumers(store.keys.finished(PARTITION), module.GROUP)
        return {row["name"] for row in rows}

    idle, busy = (EndedJobs(store, module.GROUP, name) for name in ("idle", "busy"))
    await idle.open(PARTITION)
    await idle.read(PARTITION, count=10)
    await ended(moves)
    assert len(await busy.read(PARTITION, count=10)) == 1
    await idle.open(PARTITION)
    assert await names() == {"idle", "busy"}
    monkeypatch.setattr(ended_module, "FORGET", timedelta(0))
    await EndedJobs(store, module.GROUP, "another").open(PARTITION)
    assert await names() == {"busy"}  # what it has read is not finished


async def test_ends_of_long_ago_and_of_jobs_that_are_gone_or_open_again_are_left_out(
    moves: Moves, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Memory()
    workflows = await opened(store, memory)
    gone, reopened = await ended(moves), await moves.planned({"one": ()})
    redis = cast(Any, store.redis)
    await redis.delete(store.keys.job(gone))
    await moves.fail(reopened, "one")
    await moves.reopen(reopened, "one")
    await redis.xadd(store.keys.finished(PARTITION), {"job": reopened})
    await workflows.look()
    monkeypatch.setattr(module, "OLD", timedelta(0))
    await ended(moves)
    await workflows.look()
    assert memory.spans == []


async def test_a_server_that_comes_back_without_its_data_is_asked_anew(moves: Moves, store: Store) -> None:
    memory = Memory()
    workflows = await opened(store, memory)
    await cast(Any, store.redis).delete(store.keys.finished(PARTITION))
    await workflows.look()
    await ended(moves)
    await workflows.look()
    assert len(memory.spans) == 1


async def test_what_has_ended_until_a_replica_stops_is_told(moves: Moves, store: Store) -> None:
    memory = Memory()
    workflows = await opened(store, memory)
    await ended(moves)
    await workflows.close()
    assert len(memory.spans) == 1


async def test_a_replica_that_tells_goes_on_after_an_outage(
    moves: Moves, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Memory()
    workflows = Workflows(memory.telemetry, store, "o1")
    tried, read = asyncio.Event(), workflows.ended.read
    failures = [StoreUnavailable("away")]

    async def reading(partition: int, *, count: int) -> Any:
        if failures:
            tried.set()
            raise failures.pop()
        return await read(partition, count=count)

    monkeypatch.setattr(workflows.ended, "read", reading)
    monkeypatch.setattr(module, "POLL_S", 0.01)
    keeping = asyncio.create_task(workflows.keep())
    await asyncio.wait_for(tried.wait(), 30)
    await ended(moves)
    async with asyncio.timeout(30):
        while not memory.spans:  # noqa: ASYNC110 - it is told by another task
            await asyncio.sleep(0.01)
    keeping.cancel()
    failures.append(StoreUnavailable("away"))
    await workflows.close()


async def test_messages_carry_the_span_of_their_job(moves: Moves, store: Store, store_settings: StoreSettings) -> None:
    memory = Memory()
    plain, traced = await moves.submitted(), await moves.submitted(traceparent=PRODUCER)
    headers = TraceHeaders(memory.tracing, moves.snapshots)
    dispatches = [Dispatch.of(job, a_step(), 1) for job in (plain, traced, plain)]
    expected = [
        {"traceparent": f"00-{trace_id_of(plain)}-{span_id_of(plain)}-01"},
        {"traceparent": f"00-{PRODUCER.split('-')[1]}-{span_id_of(traced)}-01"},
    ]
    assert await headers.of(dispatches) == [*expected, expected[0]]
    assert len(headers.known) == 2
    app = make_app(store_settings)
    publisher = Publisher(app, headers.of)
    try:
        await publisher.publish([dispatches[1]])
        with cast(Any, app).connection_for_read() as connection:
            message: Any = connection.SimpleQueue("worker").get(timeout=30)
        assert message.headers["traceparent"] == expected[1]["traceparent"]
        assert message.headers["id"] == AttemptRef(traced, StepId("s"), 1).task_id
    finally:
        await publisher.close()


async def test_messages_go_without_where_it_cannot_be_looked_up(moves: Moves, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(_: JobId) -> str | None:
        raise StoreUnavailable("away")

    headers = TraceHeaders(Memory().tracing, moves.snapshots)
    monkeypatch.setattr(moves.snapshots, "traceparent", away)
    assert await headers.of([Dispatch.of(await moves.submitted(), a_step(), 1)]) == [{}]


async def test_only_so_many_jobs_are_remembered(moves: Moves, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = TraceHeaders(Memory().tracing, moves.snapshots)
    monkeypatch.setattr("orchestrator.telemetry.headers.REMEMBERED", 2)
    jobs = [await moves.submitted() for _ in range(3)]
    assert all(await headers.of([Dispatch.of(job, a_step(), 1) for job in jobs]))
    assert len(headers.known) == 2
