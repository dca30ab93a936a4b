"""What ended jobs have cost takes the place of what they held: after every end, once, whoever dies in between."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest

from orchestrator.tenants.settling import Settling
from tasks.access import TenantLimits
from tasks.errors import StoreUnavailable
from tasks.ids import JobId, new_job_id
from tasks.states import TaskStatus
from tasks.store.access import AccessStore
from tasks.store.spending import SpendingStore
from tests.support.builders import BAD, COST, RESULT
from tests.support.moves import Moves
from tests.support.waiting import wait_until

LIMITS = TenantLimits(daily_microusd=1000)
NOW = timedelta(0)


@pytest.fixture
async def settling(moves: Moves) -> Settling:
    """One that is told of ends from now on."""
    settling = Settling(moves.store, "one")
    await settling.open()
    return settling


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """An end that nobody finished with comes up again at the next look."""
    monkeypatch.setattr("tasks.store.ended.TAKE_OVER", NOW)


@contextlib.asynccontextmanager
async def running(settling: Settling) -> AsyncGenerator[None]:
    task = asyncio.create_task(settling.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def held(moves: Moves, microusd: int = 500) -> JobId:
    """A job with one step, and what was held for it."""
    job = await moves.planned({"one": ()}, tenant="acme")
    await SpendingStore(moves.store).hold("acme", job, microusd, LIMITS)
    return job


async def spent(moves: Moves) -> int:
    return (await SpendingStore(moves.store).spent("acme")).microusd


async def unfinished(moves: Moves) -> int:
    return (await moves.redis.xpending(moves.store.keys.finished(0), "spending"))["pending"]


async def test_an_ended_job_is_settled_with_what_it_has_cost(moves: Moves, settling: Settling) -> None:
    job = await held(moves)
    assert await settling.look() == 0
    assert await spent(moves) == 500
    await moves.succeed(job, "one")
    await moves.succeed(job, "synthesis")
    assert await settling.look() == 1
    assert await spent(moves) == 2 * COST.cost_microusd


@pytest.mark.usefixtures("at_once")
async def test_a_cancelled_job_is_looked_at_again_for_calls_that_were_answered_late(
    moves: Moves, settling: Settling
) -> None:
    job = await held(moves)
    await moves.running(job, "one")
    await moves.jobs.end_job(job, TaskStatus.CANCELLED, BAD)
    await settling.look()
    assert (await spent(moves), await unfinished(moves)) == (0, 1)
    await moves.redis.hincrby(moves.store.keys.job(job), "cost", 41)
    await settling.look()
    assert (await spent(moves), await unfinished(moves)) == (41, 0)


@pytest.mark.usefixtures("at_once")
async def test_an_end_that_another_process_left_is_settled_by_the_next(moves: Moves, settling: Settling) -> None:
    job = await held(moves)
    await moves.jobs.end_job(job, TaskStatus.CANCELLED, BAD)
    await settling.ended.read(0, count=10)  # and dies
    await Settling(moves.store, "two").look()
    assert (await spent(moves), await unfinished(moves)) == (0, 0)


async def test_a_job_that_is_tried_again_is_held_and_settled_again(moves: Moves, settling: Settling) -> None:
    job, spending = await held(moves), SpendingStore(moves.store)
    await moves.fail(job, "one")
    await settling.look()
    assert await spent(moves) == COST.cost_microusd
    await spending.hold("acme", job, 500, LIMITS)
    await moves.reopen(job, "one")
    await settling.look()
    assert await spent(moves) == 500
    ref = await moves.running(job, "one", 3)
    await moves.attempts.succeed(ref, RESULT, COST)
    await moves.jobs.end_job(job, TaskStatus.CANCELLED, BAD)
    await settling.look()
    assert await spent(moves) == 2 * COST.cost_microusd


async def test_an_end_that_is_told_after_the_job_was_reopened_settles_nothing(moves: Moves, settling: Settling) -> None:
    job = await held(moves)
    await moves.fail(job, "one")
    await SpendingStore(moves.store).hold("acme", job, 500, LIMITS)
    await moves.reopen(job, "one")
    await settling.look()
    assert await spent(moves) == 500


async def test_a_hold_whose_job_never_came_is_released_when_it_is_old(moves: Moves, settling: Settling) -> None:
    """As after a kill between the hold and the submit."""
    orphan, open_job = new_job_id(0), await held(moves)
    await SpendingStore(moves.store).hold("acme", orphan, 300, LIMITS)
    assert await settling.look_at_holds() == 0
    assert await spent(moves) == 800
    settling.unseen = timedelta(milliseconds=-1)
    assert await settling.look_at_holds() == 2
    assert await spent(moves) == 500
    settling.unseen = timedelta(minutes=5)
    assert await settling.look_at_holds() == 0, f"{open_job} was just looked at"


async def test_an_end_that_no_stream_told_of_is_found_by_its_hold(moves: Moves, settling: Settling) -> None:
    job = await held(moves)
    await moves.fail(job, "one")
    await moves.redis.delete(moves.store.keys.finished(0))
    settling.unseen = timedelta(milliseconds=-1)
    assert await settling.look_at_holds() == 1
    assert await spent(moves) == COST.cost_microusd
    assert await settling.look_at_holds() == 0


async def test_a_job_whose_record_is_damaged_stops_no_other(moves: Moves, settling: Settling) -> None:
    bad, good = await held(moves), await held(moves, 400)
    for job in (bad, good):
        await moves.fail(job, "one")
    await moves.redis.hset(moves.store.keys.job(bad), "cost", "much")
    await settling.look()
    assert await spent(moves) == 500 + COST.cost_microusd


async def test_jobs_of_other_doors_are_settled_where_their_tenant_has_a_daily_budget(
    moves: Moves, settling: Settling
) -> None:
    await AccessStore(moves.store).set_limits("acme", LIMITS)
    for tenant in ("acme", "other"):
        await moves.fail(await moves.planned({"one": ()}, tenant=tenant), "one")
    await settling.look()
    assert await spent(moves) == COST.cost_microusd
    assert (await SpendingStore(moves.store).spent("other")).microusd == 0


async def test_a_store_that_was_away_costs_nothing(
    moves: Moves, settling: Settling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.tenants.settling.POLL_S", 0.01)
    job, away, look = await held(moves), asyncio.Event(), settling.look

    async def first_away() -> int:
        if not away.is_set():
            away.set()
            raise StoreUnavailable("away")
        return await look()

    monkeypatch.setattr(settling, "look", first_away)
    async with running(settling):
        await asyncio.wait_for(away.wait(), 10)
        await moves.fail(job, "one")

        async def settled() -> bool:
            return await spent(moves) == COST.cost_microusd

        await wait_until(settled)
