"""Time limits of steps: in the queue, in the admission line, of the whole step; and when the next timer is due."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

import pytest

from tasks.ids import AttemptRef, StepId
from tasks.models import Failure, Plan, PlannedStep
from tasks.states import StepStatus
from tasks.store import Made, Notice
from tests.support.builders import BAD, COST, PARTITION, a_graph, a_job
from tests.support.deciding import Deciding
from tests.support.moves import Moves
from tests.support.waiting import wait_until

ONE = {"a": ()}
LONG_MS = 3_600_000
SEARCH = PlannedStep(id="one", description="Do it.", agent="search")


def a_plan(**fields: object) -> Plan:
    return Plan(steps=[SEARCH.model_copy(update=fields)])


async def expires(deciding: Deciding, ref: AttemptRef) -> Failure:
    """Sweep until the step is given up; why."""

    async def given_up() -> bool:
        await deciding.sweep()
        return await deciding.moves.status(ref.job, ref.step) is StepStatus.FAILED

    await wait_until(given_up)
    record = await deciding.moves.snapshots.step(ref.job, ref.step)
    assert record is not None
    assert record.failure is not None
    return record.failure


async def test_a_step_without_limits_has_no_timer_while_it_is_ready(moves: Moves) -> None:
    job = await moves.planned(ONE)
    assert f"{job}:a" not in await moves.timers()


@pytest.mark.parametrize("limit", ["queue_ms", "total_ms"])
async def test_a_limit_is_a_timer_from_ready_to_claimed(moves: Moves, limit: str) -> None:
    job = await moves.jobs.submit(a_job(), None)
    assert await moves.extend(job, a_graph(ONE, **cast(Any, {limit: 100})))
    due = (await moves.timers())[f"{job}:a"]
    ref = await moves.dispatched(job, "a")
    assert (await moves.timers())[f"{job}:a"] == due, "the limit is before the look for the message"
    assert await moves.claim(ref) is not None
    assert (await moves.timers())[f"{job}:a"] > due, "a lease now"


async def test_a_message_is_looked_for_before_a_limit_that_is_later(moves: Moves) -> None:
    job = await moves.jobs.submit(a_job(), None)
    assert await moves.extend(job, a_graph(ONE, queue_ms=LONG_MS))
    due = (await moves.timers())[f"{job}:a"]
    await moves.dispatched(job, "a")
    assert (await moves.timers())[f"{job}:a"] < due


async def test_the_whole_time_does_not_begin_anew_with_an_attempt(moves: Moves) -> None:
    job = await moves.jobs.submit(a_job(), None)
    assert await moves.extend(job, a_graph(ONE, total_ms=LONG_MS))
    due = (await moves.timers())[f"{job}:a"]
    assert await moves.jobs.postpone(await moves.faltered(job, "a"), 0) is Made.DONE
    assert (await moves.timers())[f"{job}:a"] == due


async def test_an_attempt_gets_no_more_than_the_rest_of_the_whole_time(moves: Moves) -> None:
    job = await moves.jobs.submit(a_job(), None)
    assert await moves.extend(job, a_graph(ONE, total_ms=50_000))
    claim = await moves.claim(await moves.dispatched(job, "a"))
    assert claim is not None
    assert 0 < claim.deadline_ms <= 50_000


async def test_a_retry_that_would_come_too_late_is_not_waited_for(moves: Moves) -> None:
    job = await moves.jobs.submit(a_job(), None)
    assert await moves.extend(job, a_graph(ONE, total_ms=50_000))
    ref = await moves.faltered(job, "a")
    before = await moves.everything(job)
    assert await moves.jobs.postpone(ref, 60_000) is Made.TOO_LATE
    assert await moves.everything(job) == before
    assert await moves.jobs.postpone(ref, 1) is Made.DONE


async def test_a_retry_after_the_end_of_the_job_is_not_waited_for(moves: Moves) -> None:
    job = await moves.planned(ONE, timeout_ms=50_000)
    assert await moves.jobs.postpone(await moves.faltered(job, "a"), 60_000) is Made.TOO_LATE


async def test_no_retry_follows_when_the_whole_time_is_over(moves: Moves) -> None:
    job = await moves.jobs.submit(a_job(), None)
    assert await moves.extend(job, a_graph(ONE, total_ms=LONG_MS))
    ref = await moves.faltered(job, "a")
    await moves.redis.hset(f"{moves.store.keys.job(job)}:steps", "T:a", 1)
    assert await moves.jobs.postpone(ref, 0) is Made.OVER
    assert await moves.status(job, "a") is StepStatus.DELAYED


async def test_a_step_that_nobody_takes_in_time_is_given_up(moves: Moves) -> None:
    deciding = Deciding(moves)
    job = await deciding.submitted(a_job(plan=a_plan(queue_ms=30)))
    failure = await expires(deciding, AttemptRef(job, StepId("one"), 1))
    assert (failure.code, failure.retryable) == ("queue_timeout", False)
    assert "'search'" in failure.message


async def test_a_step_in_the_admission_line_is_given_up_in_time(moves: Moves) -> None:
    await moves.jobs.sweep(PARTITION, {"search": 1})
    deciding = Deciding(moves)
    other = SEARCH.model_copy(update={"id": "other"})
    job = await deciding.submitted(a_job(plan=Plan(steps=[other, *a_plan(queue_ms=30).steps])))
    assert deciding.publisher.ids == ["other:1"]
    assert (await expires(deciding, AttemptRef(job, StepId("one"), 0))).code == "queue_timeout"
    assert await moves.status(job, "other") is StepStatus.DISPATCHED


async def test_the_whole_time_ends_a_step_that_waits(moves: Moves) -> None:
    deciding = Deciding(moves, step_total_s=0.03)
    job = await deciding.submitted(a_job(plan=a_plan()))
    assert (await expires(deciding, AttemptRef(job, StepId("one"), 1))).code == "deadline_passed"


async def test_a_failure_without_time_for_a_retry_ends_the_step(moves: Moves) -> None:
    deciding = Deciding(moves)
    job = await deciding.submitted(a_job(plan=a_plan(total_ms=50_000)))
    ref = AttemptRef(job, StepId("one"), 1)
    assert await moves.claim(ref) is not None
    await moves.attempts.fail(ref, BAD.model_copy(update={"retry_after_ms": 60_000}), COST)
    await deciding.turn()
    record = await moves.snapshots.step(job, "one")
    assert record is not None
    assert record.failure is not None
    assert record.failure.code == "deadline_passed"
    assert "bad: it went wrong" in record.failure.message


async def test_a_late_word_of_a_wait_does_not_end_a_later_one(moves: Moves) -> None:
    """The entry was told while the message waited; it was claimed, failed, and waits for its second attempt."""
    deciding = Deciding(moves)
    job = await deciding.submitted(a_job(plan=a_plan(queue_ms=LONG_MS)))
    ref = AttemptRef(job, StepId("one"), 1)
    steps = f"{moves.store.keys.job(job)}:steps"
    await moves.redis.hset(steps, "e:one", 1)
    await moves.make_due(job, "one")
    await moves.jobs.sweep(PARTITION)
    (overdue,) = await moves.entries()
    assert overdue.notice is Notice.STEP_OVERDUE
    assert await moves.claim(ref) is not None
    assert await moves.attempts.fail(ref, BAD, COST) is None
    assert await moves.jobs.postpone(ref, 0) is Made.DONE
    await deciding.actor.act(PARTITION, [overdue])
    assert await moves.status(job, "one") is StepStatus.READY


async def test_an_overdue_step_is_told_of_until_somebody_acts(moves_with: Callable[..., Moves]) -> None:
    moves = moves_with(republish_s=0.01)
    job = await moves.jobs.submit(a_job(), None)
    assert await moves.extend(job, a_graph(ONE, queue_ms=1))
    told: list[AttemptRef] = []

    async def twice() -> bool:
        await moves.jobs.sweep(PARTITION)
        told.extend(await moves.asked_for(Notice.STEP_OVERDUE))
        return len(told) >= 2

    await wait_until(twice)
    assert set(told) == {AttemptRef(job, StepId("a"), 0)}


async def test_a_sweep_says_when_the_next_timer_is_due(moves: Moves) -> None:
    assert (await moves.jobs.sweep(PARTITION)).next_due is None
    await moves.planned(ONE, timeout_ms=60_000)
    following = (await moves.jobs.sweep(PARTITION)).next_due
    assert following is not None
    assert timedelta(seconds=10) < following <= timedelta(seconds=60)
