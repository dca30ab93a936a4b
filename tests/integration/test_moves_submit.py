"""Accepting a job and its plan."""

from collections.abc import Callable

import pytest

from tasks.errors import IdempotencyConflict, UnknownJob
from tasks.events import JobSubmitted, PlanAccepted
from tasks.ids import PLAN_STEP, AttemptRef, JobId, StepId, new_job_id
from tasks.models import MAX_TIMEOUT
from tasks.states import StepStatus, TaskStatus
from tasks.store import JobStore, Notice, Store
from tests.support.builders import COST, DIAMOND, OUT_OF_LUCK, WORKER, a_graph, a_job, a_plan, a_planning_step
from tests.support.moves import Moves
from tests.support.waiting import wait_until


async def test_a_submitted_job_is_pending_with_its_planning_step_ready(moves: Moves) -> None:
    job = await moves.submitted(task="Why?")
    record = await moves.snapshots.job(job)
    assert (record.spec.task, record.status, record.revision, record.final) == ("Why?", TaskStatus.PENDING, 0, False)
    assert [(one.step.id, one.status, one.attempt) for one in record.steps] == [("plan", StepStatus.READY, 0)]
    assert [type(event) for event in await moves.told(job)] == [JobSubmitted]
    assert await moves.asked_for(Notice.STEP_READY) == [AttemptRef(job, PLAN_STEP, 1)]


async def test_a_second_submit_of_one_id_changes_nothing(moves: Moves) -> None:
    spec = a_job()
    first = await moves.jobs.submit(spec, a_planning_step())
    before = await moves.everything(first)
    assert await moves.jobs.submit(spec, a_planning_step()) == first
    assert await moves.everything(first) == before


async def test_an_idempotency_key_brings_the_first_job_back(moves: Moves) -> None:
    first = a_job(idempotency_key="order-17")
    await moves.jobs.submit(first, a_planning_step())
    assert await moves.jobs.submit(first.model_copy(update={"id": new_job_id(0)}), a_planning_step()) == first.id
    assert [one.job_id for one in await moves.snapshots.jobs(10)] == [first.id]
    assert await moves.outbox.waiting(0) == 1


async def test_an_idempotency_key_with_another_request_is_a_conflict(moves: Moves) -> None:
    first = await moves.submitted(idempotency_key="order-17")
    with pytest.raises(IdempotencyConflict, match=f"'order-17' was used for another request, job {first}"):
        await moves.submitted(task="Something else.", idempotency_key="order-17")
    assert await moves.outbox.waiting(0) == 1


async def test_jobs_without_a_key_never_meet(moves: Moves) -> None:
    assert await moves.submitted() != await moves.submitted()


async def test_an_idempotency_key_is_remembered_in_its_partition_only(moves: Moves) -> None:
    """Producers that disagree on the number of partitions look for a key in different places: equal settings matter."""
    first = await moves.submitted(idempotency_key="order-17", partition=0)
    second = await moves.submitted(idempotency_key="order-17", partition=1)
    assert first != second


async def test_an_idempotency_key_whose_job_is_past_its_retention_is_free_again(
    moves_with: Callable[..., Moves],
) -> None:
    moves = moves_with(retention_s=0.02)
    first = await moves.submitted(idempotency_key="order-17")
    await moves.jobs.end_job(first, TaskStatus.CANCELLED, OUT_OF_LUCK)

    async def gone() -> bool:
        return await moves.redis.exists(moves.store.keys.job(first)) == 0

    await wait_until(gone)
    second = await moves.submitted(idempotency_key="order-17")
    assert second != first
    assert (await moves.snapshots.status(second))[0] is TaskStatus.PENDING


async def test_a_job_with_a_plan_has_it_proposed_and_asks_no_planner(moves: Moves) -> None:
    job = await moves.jobs.submit(a_job(plan=a_plan()), None)
    entries = await moves.entries()
    assert [(entry.notice, entry.ref) for entry in entries] == [
        (Notice.PLAN_PROPOSED, AttemptRef(job, StepId(""), 0)),
    ]
    record = await moves.snapshots.job(job)
    assert (record.steps, record.spec.plan) == ((), a_plan())


async def test_a_given_plan_stands_apart_from_what_every_claim_brings(moves: Moves) -> None:
    job = await moves.jobs.submit(a_job(plan=a_plan()), None)
    assert (await moves.snapshots.job(job)).spec.plan == a_plan()
    await moves.extend(job, a_graph({"one": []}))
    claim = await moves.claim(await moves.dispatched(job, "one"))
    assert claim is not None
    assert claim.job.plan is None
    assert not await moves.redis.hexists(moves.store.keys.job(job), "plan")


async def test_the_list_of_jobs_forgets_those_past_every_retention(moves: Moves) -> None:
    index, long_ago = moves.store.keys.index(0), 1
    await moves.redis.zadd(index, {"jold": long_ago})
    kept = await moves.submitted()
    assert await moves.redis.zrange(index, 0, -1) == [kept]


async def test_a_job_that_still_runs_stays_in_the_list(moves: Moves) -> None:
    old = await moves.submitted(timeout_ms=int(MAX_TIMEOUT.total_seconds() * 1000))
    age_ms = int((MAX_TIMEOUT.total_seconds() + moves.store.settings.retention_s - 60) * 1000)
    await moves.redis.zincrby(moves.store.keys.index(0), -age_ms, old)
    new = await moves.submitted()
    assert [one.job_id for one in await moves.snapshots.jobs(10)] == [new, old]


async def test_an_accepted_plan_makes_its_first_steps_ready_and_blocks_the_others(moves: Moves) -> None:
    job = await moves.planned(DIAMOND)
    record = await moves.snapshots.job(job)
    assert (record.status, record.revision) == (TaskStatus.IN_PROGRESS, 1)
    assert {one.step.id: one.status.value for one in record.steps} == {
        "a": "ready",
        "b": "blocked",
        "c": "blocked",
        "d": "blocked",
        "synthesis": "blocked",
    }
    assert await moves.asked_for(Notice.STEP_READY) == [AttemptRef(job, StepId("a"), 1)]
    assert isinstance((await moves.told(job))[-1], PlanAccepted)
    assert (await moves.field(job, "open"), await moves.field(job, "total")) == ("5", "5")


async def test_a_plan_is_accepted_once(moves: Moves) -> None:
    job = await moves.planned({"a": ()})
    before = await moves.everything(job)
    assert not await moves.extend(job, a_graph({"b": ()}))
    assert await moves.everything(job) == before


async def test_a_plan_for_a_job_that_ended_is_dropped(moves: Moves) -> None:
    job = await moves.jobs.submit(a_job(), None)
    await moves.jobs.end_job(job, TaskStatus.CANCELLED, OUT_OF_LUCK)
    before = await moves.everything(job)
    assert not await moves.extend(job, a_graph({"b": ()}))
    assert await moves.everything(job) == before


async def test_nothing_is_known_of_a_job_that_was_never_submitted(moves: Moves) -> None:
    job = new_job_id(0)
    for asked in (moves.snapshots.job(job), moves.snapshots.status(job), moves.snapshots.step(job, "s")):
        with pytest.raises(UnknownJob, match=job):
            await asked
    assert await moves.told(job) == []
    assert not await moves.extend(job, a_graph({"a": ()}))
    assert await moves.jobs.end_job(job, TaskStatus.CANCELLED, OUT_OF_LUCK) is None
    assert await moves.redis.keys(f"{moves.store.settings.prefix}:*{job}*") == []


async def test_the_newest_jobs_of_all_partitions_are_listed(moves: Moves) -> None:
    jobs: list[JobId] = []
    for partition in (0, 1, 2, 3):
        job = await moves.submitted(task=f"Task {partition}", partition=partition)
        await moves.redis.zadd(moves.store.keys.index(partition), {job: 10**13 + partition})
        jobs.append(job)
    listed = await moves.snapshots.jobs(3)
    assert [one.job_id for one in listed] == jobs[:0:-1]
    assert (listed[0].task, listed[0].status, listed[0].steps_total) == ("Task 3", TaskStatus.PENDING, 1)


async def test_the_settings_decide_how_long_a_job_is_kept(moves: Moves) -> None:
    settings = moves.store.settings
    job = await moves.jobs.submit(a_job(timeout_ms=5000, idempotency_key="k"), a_planning_step())
    most = 5000 + settings.retention_s * 1000
    key = moves.store.keys.job(job)
    for one in (key, f"{key}:steps", f"{key}:specs", f"{key}:events", moves.store.keys.idempotency(0, "k")):
        assert most - 5000 < await moves.redis.pttl(one) <= most


async def test_a_finished_job_is_kept_for_the_retention_from_its_end(store: Store) -> None:
    moves = Moves(store)
    job = await JobStore(store).submit(a_job(timeout_ms=3_600_000), a_planning_step())
    ref = await moves.running(job, "plan")
    await moves.attempts.fail(ref, OUT_OF_LUCK, COST)
    await moves.jobs.give_up(ref, OUT_OF_LUCK)
    key, most = store.keys.job(job), store.settings.retention_s * 1000
    for one in (key, f"{key}:steps", f"{key}:specs", f"{key}:results", f"{key}:events"):
        assert most - 10_000 < await moves.redis.pttl(one) <= most


async def left_the_index(moves: Moves, job: JobId) -> None:
    """The job's records are there, and it is not among those that were submitted: one without the right to submit
    can write so much."""
    assert await moves.redis.zrem(moves.store.keys.index(0), job) == 1


async def test_steps_of_a_job_that_nobody_submitted_are_not_dispatched(moves: Moves) -> None:
    job = await moves.submitted()
    await left_the_index(moves, job)
    assert await moves.jobs.dispatch(0, [AttemptRef(job, PLAN_STEP, 1)]) == [None]


async def test_steps_of_a_job_that_nobody_submitted_are_not_claimed(moves: Moves) -> None:
    job = await moves.submitted()
    ref = AttemptRef(job, PLAN_STEP, 1)
    assert (await moves.jobs.dispatch(0, [ref]))[0] is not None
    await left_the_index(moves, job)
    assert await moves.attempts.claim(ref, WORKER) is None


async def test_a_job_that_was_paused_for_longer_than_jobs_stand_in_the_index_goes_on(moves: Moves) -> None:
    job = await moves.submitted()
    await moves.jobs.pause(job)
    await left_the_index(moves, job)
    await moves.jobs.go_on(job, None, 60_000)
    assert (await moves.jobs.dispatch(0, [AttemptRef(job, PLAN_STEP, 1)]))[0] is not None
