"""Who may go first, in Redis: one leader a prefix, whatever happens to it."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from tasks.errors import StoreUnavailable
from tasks.store import Store
from tasks.store.prefixes import PrefixStore, Standing
from tests.support.moves import Moves
from tests.support.waiting import wait_until

LEASE = timedelta(seconds=30)
LONG = timedelta(minutes=5)
AGENT, OTHER = ("agent",), ("other",)
JOB = ("agent", "job")


@pytest.fixture
def prefixes(store: Store) -> PrefixStore:
    return PrefixStore(store)


async def test_one_leads_and_the_others_wait_until_it_has_begun(prefixes: PrefixStore) -> None:
    asked = await asyncio.gather(*(prefixes.lead(AGENT, f"call-{at}", LEASE) for at in range(20)))
    assert sorted(asked) == [Standing.LEAD] + [Standing.WAIT] * 19
    await prefixes.warm(AGENT, f"call-{asked.index(Standing.LEAD)}", LONG)
    assert await prefixes.lead(AGENT, "late", LEASE) is Standing.WARM


async def test_a_leader_that_asks_again_stays_it_and_renews_its_lease(prefixes: PrefixStore, moves: Moves) -> None:
    assert await prefixes.lead(AGENT, "one", timedelta(seconds=5)) is Standing.LEAD
    assert await prefixes.lead(AGENT, "one", LEASE) is Standing.LEAD
    assert await moves.redis.pttl(moves.store.keys.beginning("agent")[1]) > 20_000


async def test_the_lead_of_one_that_has_died_ends(prefixes: PrefixStore) -> None:
    assert await prefixes.lead(AGENT, "dies", timedelta(milliseconds=20)) is Standing.LEAD

    async def led() -> bool:
        return await prefixes.lead(AGENT, "next", LEASE) is Standing.LEAD

    await wait_until(led)
    assert await prefixes.lead(AGENT, "third", LEASE) is Standing.WAIT


async def test_a_lead_that_came_to_nothing_goes_to_the_next(prefixes: PrefixStore) -> None:
    await prefixes.lead(AGENT, "one", LEASE)
    await prefixes.leave(AGENT, "another")
    assert await prefixes.lead(AGENT, "two", LEASE) is Standing.WAIT
    await prefixes.leave(AGENT, "one")
    assert await prefixes.lead(AGENT, "two", LEASE) is Standing.LEAD


async def test_prefixes_are_led_apart(prefixes: PrefixStore) -> None:
    assert await prefixes.lead(AGENT, "one", LEASE) is Standing.LEAD
    assert await prefixes.lead(OTHER, "two", LEASE) is Standing.LEAD


async def test_a_longer_prefix_waits_for_the_shorter_and_is_then_led_by_itself(prefixes: PrefixStore) -> None:
    assert await prefixes.lead(AGENT, "one", LEASE) is Standing.LEAD
    assert await prefixes.lead(JOB, "two", LEASE) is Standing.WAIT
    await prefixes.warm(AGENT, "one", LONG)
    assert await prefixes.lead(JOB, "two", LEASE) is Standing.LEAD
    assert await prefixes.lead(JOB, "three", LEASE) is Standing.WAIT
    assert await prefixes.lead(AGENT, "four", LEASE) is Standing.WARM
    await prefixes.warm(JOB, "two", LONG)
    assert await prefixes.lead(JOB, "three", LEASE) is Standing.WARM


async def test_warm_ends_after_its_time_and_no_use_shortens_it(prefixes: PrefixStore, moves: Moves) -> None:
    mark = moves.store.keys.beginning("agent")[0]
    await prefixes.warm(AGENT, "one", LONG)
    await prefixes.warm(AGENT, "two", timedelta(seconds=1))
    assert await moves.redis.pttl(mark) > 200_000
    await moves.redis.pexpire(mark, 1)

    async def led() -> bool:
        return await prefixes.lead(AGENT, "three", LEASE) is Standing.LEAD

    await wait_until(led)


async def test_a_store_that_is_away_says_so(moves_with: Callable[..., Moves]) -> None:
    prefixes = PrefixStore(moves_with(redis_url="redis://127.0.0.1:1/0").store)
    for call in (
        prefixes.lead(AGENT, "one", LEASE),
        prefixes.warm(AGENT, "one", LONG),
        prefixes.leave(AGENT, "one"),
    ):
        with pytest.raises(StoreUnavailable):
            await call
