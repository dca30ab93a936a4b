"""Tenants' days on the real server: held, settled, tried again, on the right day, and never more than there is."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from tasks.access import TenantLimits
from tasks.ids import JobId, new_job_id
from tasks.refusals import DailyBudgetSpent
from tasks.store import Store
from tasks.store.access import AccessStore
from tasks.store.spending import SpendingStore

TEN = TenantLimits(daily_microusd=10)


@pytest.fixture
def spending(store: Store) -> SpendingStore:
    """The days of the test's own store."""
    return SpendingStore(store)


def a_job() -> JobId:
    return new_job_id(0)


async def total(spending: SpendingStore, tenant: str = "acme") -> int:
    return (await spending.spent(tenant)).microusd


async def day_passes(spending: SpendingStore, tenant: str = "acme") -> None:
    """What was counted until now was counted a day earlier."""
    redis, base = cast(Any, spending.store.redis), spending.store.keys.days(tenant)
    for key in sorted([key async for key in redis.scan_iter(match=f"{base}:*")]):
        await redis.rename(key, f"{base}:{int(key.rpartition(':')[2]) - 1}")


async def yesterday(spending: SpendingStore) -> int:
    redis, base = cast(Any, spending.store.redis), spending.store.keys.days("acme")
    keys = sorted([key async for key in redis.scan_iter(match=f"{base}:*")])
    return int(await redis.hget(keys[0], "total"))


async def test_no_race_of_holds_takes_more_than_the_day_has(spending: SpendingStore) -> None:
    others = [SpendingStore(Store(spending.store.settings)) for _ in range(3)]
    doors = [spending, *others]
    calls = [doors[number % 4].hold("acme", a_job(), 3, TenantLimits(daily_microusd=100)) for number in range(64)]
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert found.count(None) == 33
    assert sum(isinstance(one, DailyBudgetSpent) for one in found) == 31
    assert await total(spending) == 99
    for other in others:
        await other.store.close()


async def test_a_refusal_says_when_the_next_day_begins(spending: SpendingStore) -> None:
    with pytest.raises(DailyBudgetSpent, match=r"\$1e-05 a day") as refused:
        await spending.hold("acme", a_job(), 11, TEN)
    assert timedelta(0) < refused.value.retry_after <= timedelta(days=1)
    assert refused.value.retry_after == pytest.approx((await spending.spent("acme")).rest, abs=timedelta(seconds=5))
    assert await total(spending) == 0


async def test_what_a_job_did_not_cost_is_there_for_the_next_one(spending: SpendingStore) -> None:
    first = a_job()
    await spending.hold("acme", first, 10, TEN)
    with pytest.raises(DailyBudgetSpent):
        await spending.hold("acme", a_job(), 1, TEN)
    await spending.hold("other", a_job(), 10, TEN)
    assert await spending.settle("acme", first, 4)
    assert await total(spending) == 4
    await spending.hold("acme", a_job(), 6, TEN)
    assert await total(spending) == 10


async def test_holding_releasing_and_settling_twice_changes_nothing(spending: SpendingStore) -> None:
    kept, dropped = a_job(), a_job()
    for _ in range(2):
        await spending.hold("acme", kept, 6, TEN)
    assert await total(spending) == 6
    await spending.hold("acme", dropped, 4, TEN)
    for _ in range(2):
        await spending.release("acme", dropped)
        assert await total(spending) == 6
    for _ in range(2):
        await spending.settle("acme", kept, 7)
        assert await total(spending) == 7
    await spending.release("acme", kept)
    assert await total(spending) == 7


async def test_a_job_is_settled_on_the_day_that_it_was_held(spending: SpendingStore) -> None:
    job = a_job()
    await spending.hold("acme", job, 10, TEN)
    await day_passes(spending)
    await spending.hold("acme", a_job(), 10, TEN)
    await spending.settle("acme", job, 3)
    assert (await yesterday(spending), await total(spending)) == (3, 10)
    await day_passes(spending)
    await spending.settle("acme", job, 3)
    assert (await yesterday(spending), await total(spending)) == (3, 0)


async def test_a_job_that_is_tried_again_holds_what_is_left_of_its_budget(spending: SpendingStore) -> None:
    job = a_job()
    await spending.hold("acme", job, 8, TEN)
    await spending.settle("acme", job, 3)
    await spending.hold("acme", job, 8, TEN)
    assert await total(spending) == 8
    await spending.release("acme", job)
    assert await total(spending) == 3
    await spending.hold("acme", job, 8, TEN)
    await spending.settle("acme", job, 7)
    assert await total(spending) == 7


async def test_each_day_bears_what_a_job_cost_on_it(spending: SpendingStore) -> None:
    job = a_job()
    await spending.hold("acme", job, 8, TEN)
    await spending.settle("acme", job, 3)
    await day_passes(spending)
    await spending.hold("acme", job, 8, TEN)
    assert (await yesterday(spending), await total(spending)) == (3, 5)
    await spending.settle("acme", job, 7)
    assert (await yesterday(spending), await total(spending)) == (3, 4)


async def test_one_that_nobody_held_when_it_was_tried_again_costs_the_day_that_it_ends(spending: SpendingStore) -> None:
    job = a_job()
    await spending.hold("acme", job, 8, TEN)
    await spending.settle("acme", job, 3)
    await day_passes(spending)
    await spending.settle("acme", job, 5)
    assert (await yesterday(spending), await total(spending)) == (3, 2)


async def test_an_end_that_is_told_late_leaves_what_is_held_for_the_next_try(spending: SpendingStore) -> None:
    job, ended = a_job(), datetime.now(UTC) - timedelta(hours=1)
    await spending.hold("acme", job, 8, TEN)
    await spending.hold("acme", job, 8, TEN)
    await spending.settle("acme", job, 3, ended)
    assert await total(spending) == 8
    await spending.settle("acme", job, 3, ended)
    assert await total(spending) == 8
    await spending.settle("acme", job, 5, datetime.now(UTC) + timedelta(hours=1))
    assert await total(spending) == 5


async def test_jobs_of_other_doors_count_where_a_tenant_has_a_daily_budget(spending: SpendingStore) -> None:
    first, second = a_job(), a_job()
    assert not await spending.settle("acme", first, 4)
    assert await total(spending) == 0
    await AccessStore(spending.store).set_limits("acme", TEN)
    assert await spending.settle("acme", second, 4)
    assert await spending.settle("acme", second, 4)
    assert await total(spending) == 4
    with pytest.raises(DailyBudgetSpent):
        await spending.hold("acme", a_job(), 7, TEN)


async def test_what_costs_nothing_is_free_when_the_day_is_spent(spending: SpendingStore) -> None:
    await spending.hold("acme", a_job(), 10, TEN)
    await spending.hold("acme", a_job(), 0, TEN)
    await spending.hold("acme", a_job(), 99, TenantLimits())
    assert await total(spending) == 10


async def test_holds_that_nobody_looks_at_are_told_once(spending: SpendingStore) -> None:
    job, unseen = a_job(), timedelta(0)
    await spending.hold("acme", job, 1, TEN)
    assert await spending.due(10) == []
    await cast(Any, spending.store.redis).zadd(spending.store.keys.holds(), {f"acme:{job}": 1})
    assert await spending.due(10) == [("acme", job)]
    assert await spending.due(10) == []
    await spending.settle("acme", job, 1)
    assert await spending.due(10, unseen) == []


async def test_days_are_kept_as_long_as_a_job_may_be(spending: SpendingStore) -> None:
    await spending.hold("acme", a_job(), 1, TEN)
    redis, keys = cast(Any, spending.store.redis), spending.store.keys
    (day,) = [key async for key in redis.scan_iter(match=f"{keys.days('acme')}:*")]
    for key in (day, keys.holds()):
        assert 14 < await redis.pttl(key) / 86_400_000 <= 17
