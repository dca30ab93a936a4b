"""Counts of tool calls of the whole fleet."""

import asyncio
import random
import sys
from collections.abc import Mapping
from datetime import timedelta
from itertools import count

import pytest

from tasks.errors import ContractError
from tasks.settings import StoreSettings
from tasks.store import ToolStats
from tasks.store.tool_stats import LONGEST, MAX_PAIRS, WINDOWS, Pair
from tasks.tool_counts import MAX_CODES, OTHER, ToolCounts
from tasks.tool_figures import ToolFigures
from tests.support.moves import Moves

HOUR = timedelta(hours=1)
NUMBERS = count(1)
ADDING = """
import asyncio, sys
from pydantic import SecretStr
from tasks.settings import StoreSettings
from tasks.store import Store, ToolStats
from tasks.tool_counts import ToolCounts

async def main():
    store = Store(StoreSettings(redis_url=SecretStr(sys.argv[1]), prefix=sys.argv[2]))
    for number in range(1, 21):
        counts = ToolCounts()
        for at in range(10):
            counts.note(float(number + at), code=None, success=True)
        await ToolStats(store).add(sys.argv[3], number, {("search", "look"): counts})
    await store.close()

asyncio.run(main())
"""


def counts_of(*durations: float, code: str | None = None) -> ToolCounts:
    counts = ToolCounts()
    for duration in durations:
        counts.note(duration, code=code, success=code is None)
    return counts


@pytest.fixture
def stats(moves: Moves) -> ToolStats:
    return ToolStats(moves.store)


async def add(stats: ToolStats, counts: Mapping[Pair, ToolCounts], counter: str = "w1") -> bool:
    return await stats.add(counter, next(NUMBERS), counts)


async def test_batches_are_added_up(stats: ToolStats) -> None:
    assert await add(stats, {("search", "look"): counts_of(1.0, 2.0), ("analysis", "query"): counts_of(5.0)})
    assert await add(stats, {("search", "look"): counts_of(3.0, code="timeout")}, "w2")
    found = (await stats.read(HOUR)).pairs
    assert set(found) == {("search", "look"), ("analysis", "query")}
    figures = ToolFigures.of([found["search", "look"]])
    assert (figures.calls, figures.succeeded, figures.success_rate) == (3, 2, 0.6667)
    assert (figures.mean_ms, figures.errors) == (2.0, {"timeout": 1})


async def test_percentiles_over_many_batches_are_within_five_percent(stats: ToolStats) -> None:
    chance = random.Random(7)
    values = [chance.lognormvariate(3, 1.5) for _ in range(2000)]
    for at in range(0, 2000, 100):
        await add(stats, {("search", "look"): counts_of(*values[at : at + 100])})
    figures = ToolFigures.of([(await stats.read(HOUR)).pairs["search", "look"]])
    values.sort()
    assert figures.p50_ms == pytest.approx(values[999], rel=0.05)
    assert figures.p95_ms == pytest.approx(values[1899], rel=0.05)
    assert figures.mean_ms == pytest.approx(sum(values) / 2000, rel=0.001)


async def test_a_batch_that_is_sent_twice_is_added_once(stats: ToolStats) -> None:
    counts = {("search", "look"): counts_of(1.0)}
    assert await stats.add("w1", 1, counts)
    assert not await stats.add("w1", 1, counts)
    assert await stats.add("w1", 2, counts)
    assert await stats.add("w2", 1, counts)
    assert (await stats.read(HOUR)).pairs["search", "look"].calls == 3


async def test_several_processes_count_at_once(store_settings: StoreSettings, stats: ToolStats) -> None:
    where = [store_settings.redis_url.get_secret_value(), store_settings.prefix]
    start = asyncio.create_subprocess_exec
    running = [await start(sys.executable, "-c", ADDING, *where, f"w{at}") for at in range(3)]
    assert await asyncio.gather(*(one.wait() for one in running)) == [0, 0, 0]
    found = (await stats.read(HOUR)).pairs["search", "look"]
    assert (found.calls, found.succeeded, found.buckets.total()) == (600, 600, 600)


async def test_every_count_has_an_end_and_the_windows_are_few(moves: Moves, stats: ToolStats) -> None:
    await add(stats, {("search", "look"): counts_of(1.0)})
    found = await moves.redis.keys(f"{moves.store.keys.calls()}:*")
    assert len(found) == len(WINDOWS) + 1
    assert all([0 < await moves.redis.ttl(key) <= LONGEST.total_seconds() + 43_200 for key in found])


async def old_window(moves: Moves, kind: int, back: int) -> None:
    """Count a call as of so many windows ago."""
    seconds = int(WINDOWS[kind][0].total_seconds())
    now = int((await moves.redis.time())[0])
    key = f"{moves.store.keys.calls()}:{seconds}:{now // seconds - back}"
    await moves.redis.hset(key, mapping={"search:old:n": 1, "search:old:z": 5, "pairs": 1})
    await moves.redis.expire(key, 60)


@pytest.mark.parametrize(
    ("kind", "since", "back"), [(0, HOUR, 12), (1, timedelta(days=1), 24), (2, timedelta(days=7), 28)]
)
async def test_what_is_older_than_asked_for_is_left_out(
    moves: Moves, stats: ToolStats, kind: int, since: timedelta, back: int
) -> None:
    await old_window(moves, kind, back - 1)
    await old_window(moves, kind, back + 1)
    found = await stats.read(since)
    assert found.pairs["search", "old"].calls == 1
    assert since <= found.until - found.since <= since * 13 / 12


@pytest.mark.parametrize("since", [timedelta(0), timedelta(seconds=-1), LONGEST + timedelta(seconds=1)])
async def test_a_time_that_is_not_counted_is_refused(stats: ToolStats, since: timedelta) -> None:
    with pytest.raises(ContractError, match="at most 7 days"):
        await stats.read(since)


async def test_pairs_and_codes_beyond_a_number_are_counted_together(stats: ToolStats) -> None:
    many = {("search", f"tool_{at}"): counts_of(1.0) for at in range(MAX_PAIRS)}
    await add(stats, many)
    await add(stats, {("search", f"more_{at}"): counts_of(1.0) for at in range(3)})
    for at in range(MAX_CODES + 2):
        await add(stats, {("search", "tool_0"): counts_of(1.0, code=f"code_{at}")})
    found = (await stats.read(HOUR)).pairs
    assert len(found) == MAX_PAIRS + 1
    assert (found[OTHER, OTHER].calls, found[OTHER, OTHER].succeeded) == (3, 3)
    assert found["search", "tool_0"].errors[OTHER] == 2
    assert len(found["search", "tool_0"].errors) == MAX_CODES + 1


async def test_a_window_stays_small_whatever_is_counted(moves: Moves, stats: ToolStats) -> None:
    chance = random.Random(1)
    counts = counts_of(*(10 ** chance.uniform(-3, 9) for _ in range(20_000)))
    await add(stats, {("search", "look"): counts})
    key = next(iter(await moves.redis.keys(f"{moves.store.keys.calls()}:300:*")))
    assert await moves.redis.hlen(key) < 250
