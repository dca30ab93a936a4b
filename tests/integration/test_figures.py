"""What the fleet counts in the moves themselves, and how its queues stand."""

from datetime import timedelta

import pytest

from tasks.errors import BudgetSpent, ContractError
from tasks.histogram import bucket_of
from tasks.ids import JobId
from tasks.models import StepResult
from tasks.states import TaskStatus
from tasks.store import Estimate, JournalEntry, Pruning, Scope, Unbooked
from tasks.store.figures import FigureStore
from tasks.usage import Budget, Usage
from tests.support.builders import BAD, DIAMOND, OUT_OF_LUCK, PARTITION
from tests.support.moves import Moves

PAID = Usage(input_tokens=80, output_tokens=9, cache_read_tokens=5, requests=1, cost_microusd=20)
HOUR = timedelta(hours=1)


@pytest.fixture
def figures(moves: Moves) -> FigureStore:
    """The figures of the test's own fleet."""
    return FigureStore(moves.store)


async def finished(moves: Moves) -> JobId:
    job = await moves.planned(DIAMOND)
    for step in (*DIAMOND, "synthesis"):
        await moves.succeed(job, step)
    return job


async def test_a_fleet_that_did_nothing_has_counted_nothing(figures: FigureStore) -> None:
    found = await figures.totals()
    assert (found.jobs, found.steps, found.usage, found.unanswered) == ({}, {}, {}, 0)
    assert (await figures.window(HOUR)).jobs == {}
    assert await figures.queues() == []


async def test_jobs_steps_and_attempts_are_counted(moves: Moves, figures: FigureStore) -> None:
    await finished(moves)
    job = await moves.planned({"a": ()})
    await moves.faltered(job, "a")
    await moves.jobs.end_job(job, TaskStatus.CANCELLED, OUT_OF_LUCK)
    found = await figures.totals()
    assert found.jobs == {"submitted": 2, "completed": 1, "cancelled": 1}
    assert found.job_times.count == 2
    assert sum(count for (_, status), count in found.steps.items() if status == "succeeded") == 5
    assert sum(count for (_, status), count in found.steps.items() if status == "cancelled") == 2
    assert sum(count for (_, outcome), count in found.attempts.items() if outcome == "failed") == 1
    assert found.attempts == {pair: times.count for pair, times in found.running.items()}


async def test_waits_are_counted_by_queue(moves: Moves, figures: FigureStore) -> None:
    await finished(moves)
    found = await figures.totals()
    assert sum(times.count for times in found.dispatch.values()) == 5
    assert sum(times.count for times in found.pickup.values()) == 5
    assert all(times.total_ms < 60_000 for times in (*found.dispatch.values(), *found.pickup.values()))


async def test_retries_losses_and_stale_messages_are_counted(moves: Moves, figures: FigureStore) -> None:
    job = await moves.planned({"a": ()})
    ref = await moves.running(job, "a")
    assert await moves.claim(ref) is None
    await moves.lost(job, "a")
    await moves.jobs.postpone(ref, 0)
    await moves.jobs.postpone(ref, 0)
    found = await figures.totals()
    assert list(found.retries.values()) == [1]
    assert list(found.dropped.values()) == [1]
    assert [count for (_, outcome), count in found.attempts.items() if outcome == "lost"] == [1]


async def test_steps_of_several_jobs_that_end_at_once_count_for_their_own_agents(
    moves: Moves, figures: FigureStore
) -> None:
    for agent in ("search", "summary"):
        job = await moves.planned({"a": ()}, each={"a": {"agent": agent}})
        await moves.running(job, "a")
        await moves.make_due(job, "a")
    await moves.jobs.sweep(PARTITION)
    assert (await figures.totals()).attempts == {("search", "lost"): 1, ("summary", "lost"): 1}


async def test_usage_is_what_the_ledgers_say(moves: Moves, figures: FigureStore) -> None:
    job = await moves.planned({"a": (), "b": ()}, tenant="acme")
    for step, model in (("a", "claude-sonnet-5-5"), ("b", "claude-haiku-5-5")):
        ref = await moves.running(job, step)
        for call in ("m1", "m2"):
            await moves.accounts.reserve(ref, call, Estimate(requests=1), [Scope("job", Budget())])
            await moves.accounts.book(ref, call, f"search {model}", PAID, JournalEntry(call, "{}"))
            await moves.accounts.book(ref, call, f"search {model}", PAID, JournalEntry(call, "{}"))
        rest = Unbooked(Usage(tool_calls=3), "search")
        await moves.attempts.succeed(ref, StepResult(text="done"), PAID + PAID, rest)
    found, ledger = await figures.totals(), await moves.accounts.ledger(job)
    leaves: dict[tuple[str, str], Usage] = {}
    for line in ledger.lines:
        leaves[line.agent, line.model] = leaves.get((line.agent, line.model), Usage()) + line.usage
    assert found.usage == leaves
    assert found.tenants == {"acme": ledger.total}
    assert found.tenant_jobs == {("acme", "submitted"): 1}


async def test_calls_without_an_answer_are_counted_until_it_comes(moves: Moves, figures: FigureStore) -> None:
    ref = await moves.running(await moves.planned({"a": ()}), "a")
    for call in ("m1", "m2"):
        await moves.accounts.reserve(ref, call, Estimate(requests=1), [Scope("job", Budget())])
    await moves.lost(ref.job, "a")
    assert (await figures.totals()).unanswered == 2
    await moves.accounts.book(ref, "m1", "search claude", PAID, JournalEntry("m1", "{}"))
    assert (await figures.totals()).unanswered == 1


async def test_calls_that_a_budget_does_not_allow_are_counted(moves: Moves, figures: FigureStore) -> None:
    ref = await moves.running(await moves.planned({"a": ()}), "a")
    with pytest.raises(BudgetSpent):
        await moves.accounts.reserve(ref, "m1", Estimate(cost_microusd=2), [Scope("job", Budget(cost_microusd=1))])
    assert (await figures.totals()).refused == {"cost": 1}


async def test_a_window_has_what_was_counted_in_it_alone(moves: Moves, figures: FigureStore) -> None:
    await finished(moves)
    totals = moves.store.keys.totals(PARTITION)
    # As if all that had been five hours ago: the page that it was written on, and what stretches began with, are older.
    for key in [key async for key in moves.redis.scan_iter(match=f"{totals}:*".replace("{", r"\{"))]:
        await moves.redis.delete(key)
    await moves.redis.hincrby(totals, "@", -60)
    await finished(moves)
    await finished(moves)
    assert (await figures.totals()).jobs["completed"] == 3
    assert (await figures.window(HOUR)).jobs["completed"] == 2
    assert (await figures.window(timedelta(minutes=5))).steps == (await figures.window(HOUR)).steps
    found = await figures.window(timedelta(hours=2))
    assert found.jobs == {"submitted": 2, "completed": 2}
    assert found.since is not None
    assert found.until - found.since < timedelta(hours=3)


async def test_a_window_since_which_nothing_happened_is_empty(moves: Moves, figures: FigureStore) -> None:
    await finished(moves)
    totals = moves.store.keys.totals(PARTITION)
    for key in [key async for key in moves.redis.scan_iter(match=f"{totals}:*".replace("{", r"\{"))]:
        await moves.redis.delete(key)
    assert (await figures.window(HOUR)).jobs == {}


@pytest.mark.parametrize("since", [timedelta(0), timedelta(days=8)])
async def test_a_window_has_its_bounds(since: timedelta, figures: FigureStore) -> None:
    with pytest.raises(ContractError, match="at most 7 days"):
        await figures.window(since)


async def test_what_stretches_began_with_ends_by_itself(moves: Moves) -> None:
    await finished(moves)
    pages = [key async for key in moves.redis.scan_iter(match=f"{moves.store.settings.prefix}:*:totals:*")]
    assert len(pages) == 3
    assert all([0 < await moves.redis.ttl(key) <= 669_600 for key in pages])


async def test_buckets_are_those_of_the_histogram(moves: Moves, figures: FigureStore) -> None:
    ref = await moves.running(await moves.planned({"a": ()}), "a")
    steps = f"{moves.store.keys.job(ref.job)}:steps"
    for took in (7, 430, 61_000, 1_000_000_000):
        began = int(await moves.redis.hget(steps, "t:a"))
        await moves.redis.hset(steps, "t:a", began - took)
        before = (await figures.totals()).running.get(("worker", "failed"))
        await moves.attempts.fail(ref, BAD, Usage())
        (after,) = [times for (_, outcome), times in (await figures.totals()).running.items() if outcome == "failed"]
        (bucket,) = (after.buckets - before.buckets) if before else after.buckets
        assert 0 <= bucket - bucket_of(took) <= 10  # some time passes in the test itself
        await moves.jobs.postpone(ref, 0)
        ref = await moves.running(ref.job, "a", ref.attempt + 1)


async def test_names_that_are_too_many_are_counted_together(moves: Moves, figures: FigureStore) -> None:
    totals = moves.store.keys.totals(PARTITION)
    await moves.redis.hset(totals, mapping={f"r q{number}": 1 for number in range(8_000)})
    ref = await moves.running(await moves.planned({"a": ()}), "a")
    await moves.accounts.reserve(ref, "m1", Estimate(requests=1), [Scope("job", Budget())])
    await moves.accounts.book(ref, "m1", "search claude", PAID, JournalEntry("m1", "{}"))
    assert (await figures.totals()).usage == {("(other)", "(other)"): PAID}
    assert await moves.redis.hlen(totals) <= 8_100


async def test_tenants_that_are_too_many_leave_room_for_agents(moves: Moves, figures: FigureStore) -> None:
    totals = moves.store.keys.totals(PARTITION)
    await moves.redis.hset(totals, mapping={f"tj:submitted t{number}": 1 for number in range(3_000)})
    job = await moves.planned({"a": ()}, tenant="one-more")
    ref = await moves.running(job, "a")
    await moves.attempts.fail(ref, BAD, Usage())
    found = await figures.totals()
    assert (found.tenant_jobs["(other)", "submitted"], found.tenant_jobs["one-more", "submitted"]) == (1, 0)
    assert found.attempts == {("worker", "failed"): 1}


async def test_a_step_is_in_its_queue_by_what_it_is(moves: Moves, figures: FigureStore) -> None:
    job = await moves.planned({"a": (), "b": (), "c": ()}, max_in_flight=1)
    await moves.jobs.sweep(PARTITION, {"worker": 10})

    async def counts() -> tuple[int, int, int]:
        (one,) = [one for one in await figures.queues() if one.ready + one.dispatched + one.running]
        assert (one.oldest_ready is None) == (one.ready == 0)
        assert (one.oldest_dispatched is None) == (one.dispatched == 0)
        return one.ready, one.dispatched, one.running

    assert await counts() == (3, 0, 0)
    first = await moves.dispatched(job, "a")
    assert await counts() == (2, 1, 0)
    await moves.claim(first)
    assert await counts() == (2, 0, 1)
    await moves.attempts.fail(first, BAD, Usage())
    assert await counts() == (2, 0, 0)
    await moves.jobs.pause(job)
    assert [one for one in await figures.queues() if one.ready] == []
    await moves.jobs.resume(job)
    assert (await counts())[0] == 2
    await moves.jobs.end_job(job, TaskStatus.CANCELLED, OUT_OF_LUCK)
    assert [one for one in await figures.queues() if one.ready + one.dispatched + one.running] == []


async def test_a_step_that_is_in_a_list_by_mistake_is_taken_off(moves: Moves, figures: FigureStore) -> None:
    job = await moves.planned({"a": (), "b": ()})
    await moves.running(job, "a")
    gone = await moves.planned({"a": ()})
    await moves.redis.hset(f"{moves.store.keys.job(job)}:steps", "s:a", "succeeded")  # as an older release would
    await moves.redis.delete(f"{moves.store.keys.job(gone)}:steps", moves.store.keys.job(gone))
    assert [(one.ready, one.running) for one in await figures.queues() if one.ready] == [(2, 1)]
    await Pruning(moves.store).unlist(PARTITION)
    assert [(one.ready, one.running) for one in await figures.queues() if one.ready] == [(1, 0)]


async def test_a_member_of_a_list_that_is_no_step_is_taken_off(moves: Moves) -> None:
    await moves.running(await moves.planned({"a": ()}), "a")
    present = f"{moves.store.keys.jobs(PARTITION)}worker:present"
    await moves.redis.zadd(present, {"nonsense": 1, "": 2})
    await Pruning(moves.store).unlist(PARTITION)
    assert await moves.redis.zcard(present) == 1


async def test_attempts_that_end_with_their_job_are_counted(moves: Moves, figures: FigureStore) -> None:
    job = await moves.planned({"a": (), "b": ()})
    await moves.running(job, "a")
    await moves.jobs.end_job(job, TaskStatus.CANCELLED, OUT_OF_LUCK)
    found = await figures.totals()
    assert [count for (_, outcome), count in found.attempts.items() if outcome == "cancelled"] == [1]
