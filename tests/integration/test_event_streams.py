"""Following a job's events: each comes once, and what is not there any more is said."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from orchestrator import AsyncTroupe
from orchestrator.handle import AsyncJobHandle
from tasks.errors import ContractError, DamagedRecord, StoreUnavailable
from tasks.events import EventsTrimmed, JobEvent, JobFinished, JobReopened, OtherEvent, StepFaltered, StepProgress
from tasks.ids import AttemptRef, JobId
from tasks.states import TaskStatus
from tests.support.builders import BAD
from tests.support.moves import Moves
from tests.support.waiting import wait_until


@pytest.fixture(params=["each for itself", "shared"])
async def troupe(moves: Moves, request: pytest.FixtureRequest) -> AsyncIterator[AsyncTroupe]:
    async with AsyncTroupe(settings=moves.store.settings) as troupe:
        if request.param == "shared":
            troupe.share_events()
        yield troupe


class Following:
    """A reader of a job's events, at work."""

    def __init__(self, job: AsyncJobHandle, since: int = 0) -> None:
        self.seen: list[JobEvent] = []
        self.reading = asyncio.create_task(self._read(job, since))

    async def _read(self, job: AsyncJobHandle, since: int) -> None:
        async for event in job.events(since):
            self.seen.append(event)

    async def has(self, seq: int) -> None:
        """Wait until it has seen that event."""
        await wait_until(lambda: bool(self.seen) and self.seen[-1].seq >= seq)


async def ended(moves: Moves, job: JobId) -> int:
    """End a job; the number of its last event."""
    await moves.jobs.end_job(job, TaskStatus.CANCELLED, BAD)
    return (await moves.snapshots.status(job))[1]


async def talks(moves: Moves, ref: AttemptRef, count: int, kind: str = "step_progress", data: str = "") -> None:
    """Let an attempt report so many events."""
    await moves.attempts.report(ref, [(kind, data or '{"message":"x"}')] * count)


async def test_events_that_are_not_kept_are_said_to_be_missing(moves_with: Callable[..., Moves]) -> None:
    moves = moves_with(events_max=100)
    await moves.outbox.open(0)
    job = await moves.planned({"a": ()})
    ref = await moves.running(job, "a")
    for _ in range(10):
        await talks(moves, ref, 50)
    last = await ended(moves, job)
    async with AsyncTroupe(settings=moves.store.settings) as troupe:
        first, *kept = [event async for event in troupe.job(job).events(since=2)]
        assert isinstance(first, EventsTrimmed)
        assert (first.first, first.seq, first.at) == (3, kept[0].seq - 1, kept[0].at)
        assert [event.seq for event in kept] == list(range(first.seq + 1, last + 1))
        assert [event async for event in troupe.job(job).events(since=first.seq)] == kept


async def test_a_reader_that_is_slower_than_the_trimming_is_told_in_the_middle(
    moves: Moves, troupe: AsyncTroupe
) -> None:
    job = await moves.planned({"a": ()})
    ref = await moves.running(job, "a")
    await talks(moves, ref, 20)
    last = await ended(moves, job)
    await moves.redis.xdel(moves.store.keys.events(job), "5-0", "6-0", "9-0")
    seen = [event async for event in troupe.job(job).events()]
    gaps = [(one.first, one.seq) for one in seen if isinstance(one, EventsTrimmed)]
    assert gaps == [(5, 6), (9, 9)]
    assert [one.seq for one in seen] == [*range(1, 5), *range(6, last + 1)]


async def test_a_stream_that_is_gone_is_said_to_be_and_waited_for_no_longer(moves: Moves, troupe: AsyncTroupe) -> None:
    job = await moves.planned({"a": ()})
    last = await ended(moves, job)
    await moves.redis.delete(moves.store.keys.events(job))
    (only,) = [event async for event in troupe.job(job).events(since=1)]
    assert isinstance(only, EventsTrimmed)
    assert (only.first, only.seq) == (2, last)


async def test_a_reader_goes_on_where_another_stopped_and_the_job_was_reopened(
    moves: Moves, troupe: AsyncTroupe
) -> None:
    job = await moves.planned({"a": ()})
    await moves.jobs.give_up(await moves.faltered(job, "a"), BAD)
    before = [event async for event in troupe.job(job).events()]
    assert isinstance(before[-1], JobFinished)
    await troupe.dead.retry(job, "a")
    last = await ended(moves, job)
    after = [event async for event in troupe.job(job).events(since=before[-1].seq)]
    assert isinstance(after[0], JobReopened)
    assert [event.seq for event in before + after] == list(range(1, last + 1))


async def test_a_reader_stays_with_a_job_that_is_reopened_before_it_has_read_the_end(
    moves: Moves, troupe: AsyncTroupe
) -> None:
    job = await moves.planned({"a": ()})
    await moves.jobs.give_up(await moves.faltered(job, "a"), BAD)
    await troupe.dead.retry(job, "a")
    following = Following(troupe.job(job))
    await following.has((await moves.snapshots.status(job))[1])
    assert not following.reading.done()
    last = await ended(moves, job)
    await asyncio.wait_for(following.reading, 10)
    assert [event.seq for event in following.seen] == list(range(1, last + 1))


async def test_a_reader_sits_out_a_store_that_is_away(
    moves: Moves, troupe: AsyncTroupe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.handle.PAUSE_S", 0.01)
    job = await moves.planned({"a": ()})
    ref = await moves.running(job, "a")
    following = Following(troupe.job(job))
    seq = (await moves.snapshots.status(job))[1]
    await following.has(seq)
    real, failing = troupe._events.read, [StoreUnavailable("away")] * 3  # pyright: ignore[reportPrivateUsage]

    async def read(*args: object, **options: object) -> list[JobEvent]:
        if failing:
            raise failing.pop()
        return await real(*args, **options)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(troupe._events, "read", read)  # pyright: ignore[reportPrivateUsage]
    await talks(moves, ref, 3)
    last = await ended(moves, job)
    await asyncio.wait_for(following.reading, 10)
    assert failing == []
    assert [event.seq for event in following.seen] == list(range(1, last + 1))


async def test_a_reader_learns_that_what_it_saw_is_lost(moves: Moves, troupe: AsyncTroupe) -> None:
    """As after a failover to a replica that did not have the newest events."""
    job = await moves.planned({"a": ()})
    ref = await moves.running(job, "a")
    await talks(moves, ref, 5)
    following = Following(troupe.job(job))
    last = (await moves.snapshots.status(job))[1]
    await following.has(last)
    await moves.redis.hincrby(moves.store.keys.job(job), "seq", -2)
    with pytest.raises(ContractError, match=f"{last} is past the last event of job {job}, which is {last - 2}"):
        await asyncio.wait_for(following.reading, 10)


async def test_events_of_a_later_release_stop_nobody(moves: Moves, troupe: AsyncTroupe) -> None:
    job = await moves.planned({"a": ()})
    ref = await moves.running(job, "a")
    await talks(moves, ref, 1, "step_dreamt", '{"of":"sheep"}')
    await talks(moves, ref, 1, data='{"message":"x","mood":"new"}')
    failure = '{"failure":{"code":"x","message":"y","mood":"new"}}'
    await talks(moves, ref, 1, "step_faltered", failure)
    last = await ended(moves, job)
    key = moves.store.keys.events(job)
    seen = [event async for event in troupe.job(job).events()]
    assert [event.seq for event in seen] == list(range(1, last + 1))
    (other,) = [event for event in seen if isinstance(event, OtherEvent)]
    assert (other.type, other.step, other.attempt, other.data) == ("step_dreamt", "a", 1, {"of": "sheep"})
    assert [event.message for event in seen if isinstance(event, StepProgress)] == ["x"]
    assert [event.failure.code for event in seen if isinstance(event, StepFaltered)] == ["x"]
    await moves.redis.xadd(key, {"type": "job_finished", "at": "1", "step": "", "attempt": "", "data": "{}", "v": "2"})
    (newer,) = await moves.events.read(job, last)
    assert isinstance(newer, OtherEvent)
    assert newer.v == 2


async def test_a_damaged_event_is_refused_in_words(moves: Moves, troupe: AsyncTroupe) -> None:
    job = await moves.planned({"a": ()})
    ref = await moves.running(job, "a")
    await talks(moves, ref, 1, data='{"mess":"x"}')
    with pytest.raises(DamagedRecord, match=f"event .* of job {job}"):
        [event async for event in troupe.job(job).events()]
