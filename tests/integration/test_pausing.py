"""A paused job stands still on all workers, and goes on where it was."""

import asyncio
from datetime import timedelta

import pytest

from tasks.ids import AttemptRef, JobId, StepId, new_job_id
from tasks.models import StepKind
from tasks.states import StepStatus, TaskStatus
from tasks.store import Made, Notice, Refusal
from tasks.store.waits import WaitKind, WaitStore, Wanted
from tasks.usage import Usage
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


async def test_what_waits_in_a_line_is_held_too(moves: Moves) -> None:
    await moves.jobs.sweep(PARTITION, {"worker": 1})
    job = await moves.planned({"one": (), "two": ()})
    await moves.running(job, "one")
    await moves.entries()
    other = await moves.planned({"one": ()})
    await moves.jobs.pause(job)
    assert await moves.asked_for(Notice.STEP_READY) == [AttemptRef(other, StepId("one"), 1)]


async def test_a_step_that_ends_in_a_pause_has_no_clock_after_it(moves: Moves) -> None:
    job = await moves.planned({"one": (), "two": ()})
    ref = await moves.running(job, "one")
    await moves.attempts.park(ref, [Wanted("k1", WaitKind.QUESTION, "{}", timedelta(seconds=30))], Usage())
    await moves.jobs.pause(job)
    await moves.jobs.give_up(ref, BAD)
    await moves.jobs.resume(job)
    assert set(await moves.timers()) == {job}


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
    assert before > 1_000
    await asyncio.sleep(0.3)
    await moves.jobs.sweep(PARTITION)
    await moves.jobs.resume(job)
    now = await moves.redis.time()
    left = int(await moves.field(job, "deadline")) - (now[0] * 1000 + now[1] // 1000)
    assert 0 <= before - left < 250, "only what passed since it was resumed"


async def test_the_clocks_of_waiting_steps_stand_still_too(moves: Moves) -> None:
    each = {"one": {"total_ms": 60_000}, "two": {"join_ms": 60_000}, "three": {}}
    job = await moves.planned({"one": (), "three": (), "two": ("three",)}, each=each)
    ref = await moves.running(job, "one")
    ask = Wanted("k1", WaitKind.QUESTION, "{}", timedelta(seconds=30))
    await moves.attempts.park(ref, [ask], Usage())
    late = await moves.faltered(job, "three")
    await moves.jobs.postpone(late, 50_000)
    before = await moves.timers()
    (asked,) = await WaitStore(moves.store).of_step(job, StepId("one"))
    ends = int(await moves.field(job, "T:one", ":steps"))
    await moves.jobs.pause(job)
    assert set(await moves.timers()) == {job}
    stood = 3_600_000
    await moves.redis.hincrby(moves.store.keys.job(job), "paused", -stood)  # it was paused an hour ago
    await moves.jobs.sweep(PARTITION)
    assert await statuses(moves, job) == {
        "one": StepStatus.PARKED,
        "two": StepStatus.BLOCKED,
        "three": StepStatus.DELAYED,
    }
    await moves.jobs.resume(job)
    after = await moves.timers()
    assert set(after) == set(before)
    assert all(after[name] - before[name] < 60_000 for name in before), "as long from now as before the pause"
    (again,) = await WaitStore(moves.store).of_step(job, StepId("one"))
    assert again.expires_at is not None
    assert asked.expires_at is not None
    assert again.expires_at - asked.expires_at >= timedelta(milliseconds=stood)
    assert int(await moves.field(job, "T:one", ":steps")) - ends >= stood


async def test_what_was_waited_for_may_come_in_a_pause(moves: Moves) -> None:
    job = await moves.planned({"one": ()})
    ref = await moves.running(job, "one")
    await moves.attempts.park(ref, [Wanted("k1", WaitKind.QUESTION, "{}", timedelta(seconds=30))], Usage())
    await moves.entries()
    await moves.jobs.pause(job)
    await WaitStore(moves.store).outcome(job, StepId("one"), "k1", {"kind": "answer"})
    await moves.jobs.resume(job)
    assert await moves.asked_for(Notice.STEP_READY) == [AttemptRef(job, StepId("one"), 2)]
    assert set(await moves.timers()) == {job}, "it is no longer waited for"


async def test_a_retry_that_is_decided_in_a_pause_has_the_time_that_was_left(moves: Moves) -> None:
    job = await moves.planned({"one": ()}, each={"one": {"total_ms": 60_000}})
    ref = await moves.faltered(job, "one")
    await moves.entries()
    await moves.jobs.pause(job)
    key = moves.store.keys.job(job)
    await moves.redis.hincrby(key, "paused", -3_600_000)
    await moves.redis.hincrby(f"{key}:steps", "T:one", -3_600_000)
    assert await moves.jobs.postpone(ref, 0) is Made.DONE
    await moves.jobs.resume(job)
    assert await moves.asked_for(Notice.STEP_READY) == [AttemptRef(job, StepId("one"), 2)]


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
