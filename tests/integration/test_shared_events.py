"""Events of a job that are read once for many readers."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from tasks.errors import StoreUnavailable
from tasks.events import JobEvent
from tasks.ids import AttemptRef, JobId
from tasks.store import EventStore
from tasks.store.shared_events import KEPT, SharedEvents
from tests.support.moves import Moves
from tests.support.waiting import wait_until

SECOND = timedelta(seconds=1)


@pytest.fixture
async def shared(moves: Moves) -> AsyncIterator[SharedEvents]:
    found = SharedEvents(moves.store)
    yield found
    await found.close()


async def at_work(moves: Moves) -> tuple[JobId, AttemptRef, int]:
    """A job with a step at work, and the number of its last event."""
    job = await moves.planned({"a": ()})
    ref = await moves.running(job, "a")
    return job, ref, (await moves.snapshots.status(job))[1]


async def talk(moves: Moves, ref: AttemptRef, count: int) -> None:
    for _ in range(0, count, 50):
        await moves.attempts.report(ref, [("step_progress", '{"message":"x"}')] * min(count, 50))


def numbers(events: list[JobEvent]) -> list[int]:
    return [event.seq for event in events]


async def test_a_hundred_readers_cost_the_store_what_one_does(
    moves: Moves, shared: SharedEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, ref, last = await at_work(moves)
    reads, whole = 0, EventStore.read

    async def counted(self: EventStore, job: JobId, after: int, *, wait: timedelta = timedelta(0)) -> list[JobEvent]:
        nonlocal reads
        reads += 1
        return await whole(self, job, after, wait=wait)

    monkeypatch.setattr(EventStore, "read", counted)
    waiting = [asyncio.create_task(shared.read(job, last, wait=SECOND * 2)) for _ in range(100)]
    await wait_until(lambda: reads > 0)
    await talk(moves, ref, 1)
    assert [numbers(await one) for one in waiting] == [[last + 1]] * 100
    assert reads <= 3


async def test_readers_at_different_places_get_each_event_once(moves: Moves, shared: SharedEvents) -> None:
    job, ref, last = await at_work(moves)

    async def follow(after: int) -> list[int]:
        seen: list[int] = []
        while not seen or seen[-1] < last + 200:
            seen += numbers(await shared.read(job, seen[-1] if seen else after, wait=SECOND))
        return seen

    following = [asyncio.create_task(follow(after)) for after in (0, 1, last, last - 1)]
    await talk(moves, ref, 200)
    late = asyncio.create_task(follow(last + 150))
    for task, after in zip([*following, late], (0, 1, last, last - 1, last + 150), strict=True):
        assert await task == list(range(after + 1, last + 201))


async def test_who_is_far_behind_reads_the_store(moves: Moves, shared: SharedEvents) -> None:
    job, ref, last = await at_work(moves)
    await shared.read(job, last, wait=SECOND / 100)  # from here on it is read for all
    await talk(moves, ref, KEPT + 500)
    seen: list[int] = []
    while not seen or seen[-1] < last + KEPT + 500:
        seen += numbers(await shared.read(job, seen[-1] if seen else 0, wait=SECOND))
    assert seen == list(range(1, last + KEPT + 501))


async def test_nobody_waits_longer_than_was_said(moves: Moves, shared: SharedEvents) -> None:
    job, _, last = await at_work(moves)
    assert await asyncio.wait_for(shared.read(job, last, wait=SECOND / 50), 5) == []


async def test_all_who_wait_are_told_that_the_store_is_away_and_may_come_again(
    moves: Moves, shared: SharedEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, ref, last = await at_work(moves)
    whole, asked = EventStore.read, asyncio.Event()

    async def away(*_: object, **__: object) -> list[JobEvent]:
        await asked.wait()
        raise StoreUnavailable("away")

    monkeypatch.setattr(EventStore, "read", away)
    waiting = [asyncio.create_task(shared.read(job, last, wait=SECOND * 2)) for _ in range(3)]
    await asyncio.sleep(0)
    asked.set()
    for error in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(error, StoreUnavailable)
    monkeypatch.setattr(EventStore, "read", whole)
    await talk(moves, ref, 1)
    assert numbers(await shared.read(job, last, wait=SECOND)) == [last + 1]


async def test_close_leaves_no_reader_behind(moves: Moves) -> None:
    shared = SharedEvents(moves.store)
    job, _, last = await at_work(moves)
    waiting = asyncio.create_task(shared.read(job, last, wait=SECOND))
    await asyncio.sleep(0)
    await shared.close()
    assert await waiting == []
