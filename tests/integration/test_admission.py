"""Admission on the real server: windows of slots, fair shares, limits of jobs and tenants, bounded open jobs."""

from collections.abc import Mapping

import pytest

from tasks.errors import FleetFull
from tasks.ids import AttemptRef, JobId
from tasks.models import Failure
from tasks.states import TaskStatus
from tasks.store import Notice, Store
from tests.support.builders import BAD, COST, OUT_OF_LUCK, PARTITION, RESULT, a_graph, a_job, a_planning_step
from tests.support.moves import Moves

QUEUE = "worker"


def wide(count: int) -> dict[str, tuple[str, ...]]:
    """So many steps side by side."""
    return {f"s{number}": () for number in range(count)}


async def load(moves: Moves) -> dict[str, str]:
    """The counters of admission."""
    found: Mapping[str, str] = await moves.redis.hgetall(f"{moves.store.keys.jobs(PARTITION)}load")
    return dict(found)


async def window(moves: Moves, slots: int, tenant_limit: int = 0) -> None:
    """Say how many steps of the queue may be in flight."""
    await moves.jobs.sweep(PARTITION, {QUEUE: slots}, tenant_limit)


async def run(moves: Moves, ref: AttemptRef) -> None:
    """Take one told step to its end."""
    assert (await moves.jobs.dispatch(PARTITION, [ref]))[0] is not None
    assert await moves.claim(ref) is not None
    assert await moves.attempts.succeed(ref, RESULT, COST) is None


async def test_no_more_steps_go_out_than_the_window_has_slots(moves: Moves) -> None:
    await window(moves, 3)
    job = await moves.jobs.submit(a_job(), None)
    await moves.outbox.done(PARTITION, await moves.entries())
    assert await moves.extend(job, a_graph(wide(10)))
    told = await moves.asked_for(Notice.STEP_READY)
    assert [ref.step for ref in told] == ["s0", "s1", "s2"]
    await run(moves, told[0])
    assert [ref.step for ref in await moves.asked_for(Notice.STEP_READY)] == ["s3"]


async def test_a_wider_window_lets_waiting_steps_in(moves: Moves) -> None:
    await window(moves, 1)
    await moves.planned(wide(5))
    assert len(await moves.asked_for(Notice.STEP_READY)) == 1
    await window(moves, 4)
    assert len(await moves.asked_for(Notice.STEP_READY)) == 3


async def test_a_narrow_job_does_not_wait_behind_a_wide_one(moves: Moves) -> None:
    await window(moves, 2)
    await moves.planned(wide(100))
    flying = await moves.asked_for(Notice.STEP_READY)
    small = await moves.planned(wide(2))
    turns: list[JobId] = []
    for _ in range(4):
        await run(moves, flying.pop(0))
        told = await moves.asked_for(Notice.STEP_READY)
        flying += told
        turns += [ref.job for ref in told]
    assert turns.count(small) == 2


async def test_priority_weighs_the_shares_and_starves_nobody(moves: Moves) -> None:
    await window(moves, 1)
    first = await moves.planned(wide(1))
    (ref,) = await moves.asked_for(Notice.STEP_READY)
    low = await moves.planned(wide(12), priority=4)
    high = await moves.planned(wide(12), priority=6)
    assert ref.job == first
    turns: list[JobId] = []
    for _ in range(11):
        await run(moves, ref)
        (ref,) = await moves.asked_for(Notice.STEP_READY)
        turns.append(ref.job)
    assert turns.count(first) == 1  # its synthesis
    assert turns.count(high) == 8
    assert turns.count(low) == 2


async def test_a_job_has_no_more_steps_in_flight_than_it_may(moves: Moves) -> None:
    job = await moves.planned(wide(6), max_in_flight=2)
    told = await moves.asked_for(Notice.STEP_READY)
    assert len(told) == 2
    other = await moves.planned(wide(1))
    assert [ref.job for ref in await moves.asked_for(Notice.STEP_READY)] == [other]
    await run(moves, told[0])
    assert [ref.job for ref in await moves.asked_for(Notice.STEP_READY)] == [job]


async def test_a_tenant_has_no_more_steps_in_flight_than_it_may(moves: Moves) -> None:
    await window(moves, 100, tenant_limit=2)
    await moves.planned(wide(3), tenant="greedy")
    told = await moves.asked_for(Notice.STEP_READY)
    await moves.planned(wide(3), tenant="greedy")
    assert await moves.asked_for(Notice.STEP_READY) == []
    assert len(told) == 2
    await moves.planned(wide(1), tenant="modest")
    assert len(await moves.asked_for(Notice.STEP_READY)) == 1
    await run(moves, told[0])
    assert len(await moves.asked_for(Notice.STEP_READY)) == 1


async def test_a_job_at_its_limit_keeps_its_turn(moves: Moves) -> None:
    """However long its step takes: when it may have the next one, it does not wait for a hundred steps of others."""
    await window(moves, 2)
    limited = await moves.planned(wide(9), max_in_flight=1)
    flying = await moves.asked_for(Notice.STEP_READY)
    for _ in range(10):
        await moves.jobs.sweep(PARTITION)
    await moves.planned(wide(30))
    flying += await moves.asked_for(Notice.STEP_READY)
    turns: list[JobId] = []
    for _ in range(6):
        await run(moves, flying.pop(0))
        told = await moves.asked_for(Notice.STEP_READY)
        flying += told
        turns += [ref.job for ref in told]
    assert turns.count(limited) >= 2


async def test_a_failed_attempt_gives_its_slot_away_and_its_retry_waits_its_turn(moves: Moves) -> None:
    await window(moves, 1)
    await moves.planned(wide(2))
    (ref,) = await moves.asked_for(Notice.STEP_READY)
    await moves.jobs.dispatch(PARTITION, [ref])
    await moves.claim(ref)
    await moves.attempts.fail(ref, BAD, COST)
    (other,) = await moves.asked_for(Notice.STEP_READY)
    assert other.step == "s1"
    assert await moves.jobs.postpone(ref, 0)
    assert await moves.asked_for(Notice.STEP_READY) == []
    await run(moves, other)
    assert await moves.asked_for(Notice.STEP_READY) == [AttemptRef(ref.job, ref.step, 2)]


async def test_a_job_that_ends_leaves_the_line_and_its_slots(moves: Moves) -> None:
    await window(moves, 1)
    job = await moves.planned(wide(50))
    await moves.asked_for(Notice.STEP_READY)
    other = await moves.planned(wide(1))
    await moves.jobs.end_job(job, TaskStatus.CANCELLED, OUT_OF_LUCK)
    assert [ref.job for ref in await moves.asked_for(Notice.STEP_READY)] == [other]
    await moves.jobs.end_job(other, TaskStatus.CANCELLED, OUT_OF_LUCK)
    left = {key: value for key, value in (await load(moves)).items() if key[0] in "FNTJj" and key != "TL"}
    assert left == {}, "a count of nothing takes no room"
    assert await moves.redis.exists(f"{moves.store.keys.jobs(PARTITION)}{QUEUE}:line") == 0


@pytest.mark.parametrize(("whole", "each"), [(2, 0), (10, 2)])
async def test_more_open_jobs_than_may_be_are_refused_with_a_time(store: Store, whole: int, each: int) -> None:
    settings = store.settings.model_copy(update={"max_open_jobs": whole, "max_open_jobs_of_tenant": each})
    moves = Moves(Store(settings, store.redis))
    first = await moves.submitted(tenant="a")
    await moves.submitted(tenant="a")
    with pytest.raises(FleetFull, match="open jobs") as refused:
        await moves.submitted(tenant="a")
    assert refused.value.retry_after.total_seconds() > 0
    await moves.jobs.end_job(first, TaskStatus.CANCELLED, Failure(code="x", message="x"))
    await moves.submitted(tenant="a")


async def test_a_refused_submit_leaves_nothing_and_its_key_free(store: Store) -> None:
    moves = Moves(Store(store.settings.model_copy(update={"max_open_jobs": 1}), store.redis))
    first = await moves.submitted()
    refused = a_job(idempotency_key="k")
    with pytest.raises(FleetFull):
        await moves.jobs.submit(refused, a_planning_step())
    await moves.jobs.end_job(first, TaskStatus.CANCELLED, OUT_OF_LUCK)
    assert await moves.jobs.submit(refused, a_planning_step()) == refused.id
