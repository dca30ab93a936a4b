"""Forgetting ended jobs, and what a finished job costs while it is kept."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final

import pytest

from orchestrator import AsyncTroupe
from tasks.errors import ContractError
from tasks.ids import JobId
from tasks.states import TaskStatus
from tasks.store import Pruned, Pruning
from tasks.store.pruning import PAGE
from tests.support.builders import BAD, DIAMOND
from tests.support.moves import Moves

AT_ONCE: Final = timedelta(0)
MOST_BYTES: Final = 12_000
"""Of a finished diamond with small results, all its keys. Measured 8,300."""
ROUNDING: Final = 64
"""Bytes that the same content may take more, as its digits and Redis' allocator have it."""


@pytest.fixture
async def troupe(moves: Moves) -> AsyncIterator[AsyncTroupe]:
    """A client of the same store."""
    async with AsyncTroupe(settings=moves.store.settings) as client:
        yield client


async def finished(moves: Moves) -> JobId:
    """A diamond that has run."""
    job = await moves.planned(DIAMOND)
    for step in (*DIAMOND, "synthesis"):
        await moves.succeed(job, step)
    return job


async def keys_of(moves: Moves, job: JobId) -> list[str]:
    return [key async for key in moves.redis.scan_iter(match=f"*{job}*", count=1000)]


async def test_ended_jobs_are_forgotten_and_open_ones_stay(moves: Moves, troupe: AsyncTroupe) -> None:
    over, open_job = await finished(moves), await moves.planned(DIAMOND)
    cancelled = await moves.submitted()
    await troupe.job(cancelled).cancel()
    told: list[Pruned] = []
    assert await troupe.prune(AT_ONCE, progress=told.append) == 2
    assert (told[-1].looked_at, told[-1].forgotten) == (3, 2)
    assert [job.job_id for job in await troupe.jobs()] == [open_job]
    assert await keys_of(moves, over) == await keys_of(moves, cancelled) == []
    assert await troupe.prune(AT_ONCE) == 0


async def test_only_the_wanted_endings_and_ages_are_forgotten(moves: Moves, troupe: AsyncTroupe) -> None:
    over = await finished(moves)
    assert await troupe.prune(3600) == 0
    assert await troupe.prune(AT_ONCE, [TaskStatus.FAILED, TaskStatus.CANCELLED]) == 0
    assert await troupe.prune(AT_ONCE, [TaskStatus.COMPLETED], dry_run=True) == 1
    assert [job.job_id for job in await troupe.jobs()] == [over]


@pytest.mark.parametrize(("age", "status"), [(AT_ONCE, TaskStatus.PENDING), (timedelta(-1), TaskStatus.FAILED)])
async def test_what_cannot_be_pruned_is_refused(age: timedelta, status: TaskStatus, troupe: AsyncTroupe) -> None:
    with pytest.raises(ContractError, match="only jobs that have ended"):
        await troupe.prune(age, [status])


async def test_many_jobs_are_forgotten_page_by_page(moves: Moves, troupe: AsyncTroupe) -> None:
    jobs = [await moves.submitted() for _ in range(PAGE + PAGE // 2)]
    kept = set(jobs[::3])
    for job in jobs:
        if job not in kept:
            await troupe.job(job).cancel()
    told: list[Pruned] = []
    assert await troupe.prune(AT_ONCE, dry_run=True) == len(jobs) - len(kept)
    assert await troupe.prune(AT_ONCE, progress=told.append) == len(jobs) - len(kept)
    assert len(told) == 2
    assert {job.job_id for job in await troupe.jobs(1000)} == kept


async def test_a_job_of_which_only_the_list_knows_leaves_it(moves: Moves, troupe: AsyncTroupe) -> None:
    gone, over = await moves.submitted(), await finished(moves)
    await moves.redis.delete(*await keys_of(moves, gone))
    assert await troupe.prune(AT_ONCE) == 1
    assert await moves.redis.zcard(moves.store.keys.index(0)) == 0
    assert await keys_of(moves, over) == []


async def test_a_forgotten_job_is_off_the_dead_list(moves: Moves, troupe: AsyncTroupe) -> None:
    job = await moves.planned({"one": []})
    ref = await moves.faltered(job, "one")
    await moves.jobs.give_up(ref, BAD)
    assert len(await troupe.dead.list()) == 1
    await troupe.job(job).cancel()
    await troupe.prune(AT_ONCE)
    assert await troupe.dead.list() == []


async def test_a_finished_job_takes_little_memory(moves: Moves) -> None:
    job = await finished(moves)
    sizes = {key: await moves.redis.memory_usage(key, samples=0) for key in await keys_of(moves, job)}
    assert sum(sizes.values()) <= MOST_BYTES, sizes


async def test_jobs_that_are_gone_leave_nothing_that_grows(moves: Moves, troupe: AsyncTroupe) -> None:
    async def left() -> dict[str, int]:
        """Bytes of every key of this test. The server has keys of other tests too."""
        keys = [key async for key in moves.redis.scan_iter(match=f"{moves.store.settings.prefix}:*", count=1000)]
        return {key: await moves.redis.memory_usage(key, samples=0) for key in keys}

    async def round_of(count: int) -> dict[str, int]:
        for _ in range(count):
            await finished(moves)
        await moves.outbox.done(0, await moves.entries())
        await troupe.prune(AT_ONCE)
        bounded = re.compile(r":job:(finished|totals)")  # by themselves
        return {key: size for key, size in (await left()).items() if not bounded.search(key)}

    first = await round_of(20)
    await asyncio.sleep(0)
    later = await round_of(60)
    assert set(later) == set(first)
    assert all(later[key] <= first[key] + ROUNDING for key in first), (first, later)
    assert not [key for key in first if re.search(r":job:j[0-9a-z]{10}", key)]


async def test_a_forgotten_job_gives_its_idempotency_key_free(moves: Moves, troupe: AsyncTroupe) -> None:
    first = await moves.submitted(idempotency_key="monday")
    await troupe.job(first).cancel()
    await troupe.prune(AT_ONCE)
    key = moves.store.keys.idempotency(0, "monday")
    assert not await moves.redis.exists(key)
    assert await moves.submitted(idempotency_key="monday", task="Something else.") != first


async def test_a_key_that_has_gone_to_another_job_stays_with_it(moves: Moves, troupe: AsyncTroupe) -> None:
    first = await moves.submitted(idempotency_key="monday")
    await troupe.job(first).cancel()
    key = moves.store.keys.idempotency(0, "monday")
    await moves.redis.set(key, f"{first}x another", px=60_000)
    await troupe.prune(AT_ONCE)
    assert await moves.redis.get(key) == f"{first}x another"


async def test_an_idempotency_key_is_kept_as_long_as_its_job(moves: Moves) -> None:
    job = await moves.submitted(idempotency_key="monday", timeout_ms=3_600_000)
    await moves.jobs.end_job(job, TaskStatus.CANCELLED, BAD)
    left = await moves.redis.pttl(moves.store.keys.idempotency(0, "monday"))
    assert abs(left - await moves.redis.pttl(moves.store.keys.job(job))) < 1000


async def test_jobs_past_their_retention_leave_the_lists(moves: Moves) -> None:
    pruning, control = Pruning(moves.store), moves.store.keys.control(0)
    jobs = [await moves.planned({"one": []}) for _ in range(3)]
    for job in jobs:
        await moves.jobs.give_up(await moves.faltered(job, "one"), BAD)
    for job in (jobs[0], jobs[2]):
        await moves.redis.delete(*[key for key in await keys_of(moves, job) if key != control])
    assert await pruning.unlist(0) == 4, "each from the list of jobs, and from that of dead steps"
    assert await moves.redis.zrange(moves.store.keys.index(0), 0, -1) == [jobs[1]]
    assert await moves.redis.zrange(moves.store.keys.dead(0), 0, -1) == [f"{jobs[1]}:one"]
    assert await pruning.unlist(0) == 0


async def test_long_lists_are_looked_through_page_by_page(moves: Moves, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.store.pruning.LISTED", 2)
    jobs = [await moves.submitted() for _ in range(7)]
    for job in jobs[:5]:
        await moves.redis.delete(*await keys_of(moves, job))
    assert await Pruning(moves.store).unlist(0) == 5
    assert set(await moves.redis.zrange(moves.store.keys.index(0), 0, -1)) == set(jobs[5:])


async def test_the_bytes_that_go_are_counted(moves: Moves, troupe: AsyncTroupe) -> None:
    job = await finished(moves)
    size = sum([await moves.redis.memory_usage(key) for key in await keys_of(moves, job)])
    told: list[Pruned] = []
    await troupe.prune(AT_ONCE, dry_run=True, progress=told.append)
    assert told[-1].bytes == pytest.approx(size, rel=0.05)


async def test_two_thousand_jobs_of_many_tenants_leave_what_one_leaves(moves: Moves) -> None:
    """With their keys, which Redis lets expire, nothing about them stays: no counter of a tenant, no pointer."""

    async def through(count: int, tenants: int) -> dict[str, list[str]]:
        for number in range(count):
            tenant = f"tenant{number % tenants}"
            job = await moves.submitted(tenant=tenant, idempotency_key=f"{count}-{number}")
            await moves.jobs.end_job(job, TaskStatus.CANCELLED, BAD)
            if number % 100 == 99:
                await moves.outbox.done(0, await moves.entries())
        await moves.outbox.done(0, await moves.entries())
        keys = [key async for key in moves.redis.scan_iter(match=f"{moves.store.settings.prefix}:*", count=1000)]
        gone = [key for key in keys if await moves.redis.pttl(key) > 0]
        await moves.redis.delete(*gone)
        await Pruning(moves.store).unlist(0)
        left = [key async for key in moves.redis.scan_iter(match=f"{moves.store.settings.prefix}:*", count=1000)]
        hashes = [key for key in left if await moves.redis.type(key) == "hash"]
        return {key: sorted(await moves.redis.hkeys(key)) if key in hashes else [] for key in sorted(left)}

    assert await through(2000, 500) == await through(1, 1)
