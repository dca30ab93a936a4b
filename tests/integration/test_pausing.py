"""A paused job stands still on all workers, and goes on where it was."""

import asyncio

import pytest

from tasks.ids import AttemptRef, JobId, StepId, new_job_id
from tasks.models import StepKind
from tasks.states import StepStatus, TaskStatus
from tasks.store import Notice, Refusal
from tests.support.builders import BAD, COST, PARTITION, RESULT
from tests.support.moves import Moves

PLAN = {"one": (), "two": (), "three": ("two",), "four": ("one",)}


async def statuses(moves: Moves, job: JobId) -> dict[str, StepStatus]:
    record = await moves.snapshots.job(job)
    return {one.step.id: one.status for one in record.steps if one.step.kind is StepKind.WORK}


async def test_what_runs_is_stopped_and_what_waits_is_held(moves: Moves) -> None:
    job = await moves.planned(PLAN)
    running, dispatched = await moves.running(job, "one"), await moves.dispatched(job, "two")
    assert await moves.jobs.pause(job) is TaskStatus.IN_PROGRESS
    ready, blocked = StepStatus.READY, StepStatus.BLOCKED
    assert await statuses(moves, job) == {"one": ready, "two": ready, "three": blocked, "four": blocked}
    assert await moves.attempts.heartbeat(PARTITION, [running]) == {running: Refusal.OVER}
    assert await moves.attempts.succeed(running, RESULT, COST) is Refusal.OVER
    assert await moves.claim(dispatched) is None
    assert set(await moves.timers()) == {job}
    assert (await moves.snapshots.job(job)).paused


async def test_control_entries_of_before_the_pause_begin_nothing(moves: Moves) -> None:
    job = await moves.planned(PLAN)
    await moves.jobs.pause(job)
    refs = [AttemptRef(job, StepId(name), 1) for name in ("one", "two")]
    assert await moves.jobs.dispatch(PARTITION, refs) == [None, None]
    await moves.jobs.resume(job)
    assert all(await moves.jobs.dispatch(PARTITION, refs))


async def test_slots_of_a_paused_job_are_free_for_others(moves: Moves) -> None:
    await moves.jobs.sweep(PARTITION, {"worker": 1})
    job = await moves.planned({"one": ()})
    await moves.running(job, "one")
    await moves.entries()
    other = await moves.planned({"one": ()})
    assert await moves.asked_for(Notice.STEP_READY) == []
    await moves.jobs.pause(job)
    assert await moves.asked_for(Notice.STEP_READY) == [AttemptRef(other, StepId("one"), 1)]
    await moves.jobs.resume(job)
    assert await moves.asked_for(Notice.STEP_READY) == []
    await moves.succeed(other, "one")
    assert await moves.asked_for(Notice.STEP_READY) == [AttemptRef(job, StepId("one"), 2)]


async def test_it_goes_on_with_later_attempts_and_what_was_stopped_counts_for_nothing(moves: Moves) -> None:
    job = await moves.planned(PLAN)
    await moves.running(job, "one")
    await moves.dispatched(job, "two")
    await moves.asked_for(Notice.STEP_READY)
    await moves.jobs.pause(job)
    await moves.jobs.resume(job)
    assert sorted(await moves.asked_for(Notice.STEP_READY)) == [
        AttemptRef(job, StepId("one"), 2),
        AttemptRef(job, StepId("two"), 2),
    ]
    one, two = (await moves.snapshots.job(job)).steps[:2]
    assert [(one.failures, one.losses) for one in (one, two)] == [(0, 0), (0, 0)]
    assert [(each.outcome.value, each.number) for each in one.attempts] == [("returned", 1)]
    assert (two.attempt - two.left_out, two.attempts) == (0, ())


async def test_a_retry_that_falls_due_and_an_answer_that_comes_are_held(moves: Moves) -> None:
    job = await moves.planned({"one": ()})
    ref = await moves.faltered(job, "one")
    await moves.jobs.pause(job)
    await moves.entries()
    await moves.jobs.postpone(ref, 0)
    assert await statuses(moves, job) == {"one": StepStatus.READY}
    assert await moves.asked_for(Notice.STEP_READY) == []
    await moves.jobs.resume(job)
    assert await moves.asked_for(Notice.STEP_READY) == [AttemptRef(job, StepId("one"), 2)]


async def test_its_clocks_stand_still(moves: Moves) -> None:
    job = await moves.planned({"one": ()}, timeout_ms=2_000)
    await moves.jobs.pause(job)
    before = int(await moves.field(job, "left"))
    await asyncio.sleep(0.3)
    await moves.jobs.sweep(PARTITION)
    await moves.jobs.resume(job)
    now = await moves.redis.time()
    left = int(await moves.field(job, "deadline")) - (now[0] * 1000 + now[1] // 1000)
    assert 0 <= before - left < 250, "only what passed since it was resumed"


async def test_pausing_twice_and_resuming_twice_change_nothing(moves: Moves) -> None:
    job = await moves.planned(PLAN)
    for _ in range(2):
        await moves.jobs.pause(job)
    assert (await moves.kinds(job)).count("job_paused") == 1
    for _ in range(2):
        assert await moves.jobs.resume(job) is TaskStatus.IN_PROGRESS
    assert (await moves.kinds(job)).count("job_continued") == 1


async def test_a_paused_job_can_be_cancelled(moves: Moves) -> None:
    job = await moves.planned(PLAN)
    await moves.running(job, "one")
    await moves.jobs.pause(job)
    assert await moves.jobs.end_job(job, TaskStatus.CANCELLED, BAD) is TaskStatus.CANCELLED
    assert await moves.jobs.pause(job) is await moves.jobs.resume(job) is TaskStatus.CANCELLED
    assert set(await moves.timers()) == set()


async def test_of_a_job_that_is_not_there_nothing_is_said(moves: Moves) -> None:
    job = new_job_id(PARTITION)
    assert await moves.jobs.pause(job) is None
    assert await moves.jobs.resume(job) is None


@pytest.mark.parametrize("steps", [1, None])
async def test_a_job_that_is_told_to_go_on_is_no_longer_paused(moves: Moves, steps: int | None) -> None:
    job = await moves.planned(PLAN)
    await moves.jobs.pause(job)
    await moves.jobs.go_on(job, steps, 1000)
    record = await moves.snapshots.job(job)
    assert not record.paused
