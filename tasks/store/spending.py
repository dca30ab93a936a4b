"""What tenants spend in a day (UTC, by the clock of Redis): held when a job is taken in, settled when it has ended.

A process that dies between a hold and the submit leaves a hold without a job. `due` finds it when it is HELD_UNSEEN
old, and whoever settles lets it go; at the latest it ends with its day.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Final, cast

from tasks.access import TenantLimits
from tasks.ids import JobId
from tasks.models import MAX_TIMEOUT
from tasks.refusals import DailyBudgetSpent
from tasks.results import MICROUSD
from tasks.store.failures import translated
from tasks.store.scripts import DUE_HOLDS, HOLD_DAY, SETTLE_DAY, SPENT_DAY, Arg
from tasks.store.store import Store

HELD_UNSEEN: Final = timedelta(minutes=5)
"""How long nobody looks at a hold. A submit must have come until then; it takes seconds."""
DAY: Final = timedelta(days=1)
MOST_DAYS: Final = 60


@dataclass(frozen=True, slots=True)
class Spent:
    """A tenant's day, so far."""

    microusd: int
    """Spent, and held by jobs that are open."""
    rest: timedelta
    """Until the next day begins."""


class SpendingStore:
    """The days of all tenants. One round trip a call; each raises StoreUnavailable when no answer comes in time."""

    def __init__(self, store: Store) -> None:
        self.store = store
        kept = MAX_TIMEOUT + timedelta(seconds=min(store.settings.retention_s, MOST_DAYS * 86_400))
        self._days = min(ceil(kept / DAY) + 1, MOST_DAYS)

    async def hold(self, tenant: str, job: JobId, microusd: int, limits: TenantLimits) -> None:
        """Hold the most that a job may cost, all of it, from today; for one that is tried again, what is left of that.

        Before the submit, or the retry. A second time changes nothing. Nothing is held for a tenant without a daily
        budget.

        Raises:
            DailyBudgetSpent: there is not as much left; carries the time until the day ends.
        """
        most = limits.daily_microusd
        if most is None:
            return
        async with translated(self.store.settings):
            reply = await HOLD_DAY.run(self.store.redis, self._of(tenant), [tenant, job, self._days, microusd, most])
        left_ms = cast(int, reply)
        if left_ms >= 0:
            raise DailyBudgetSpent(
                f"tenant {tenant!r} may spend ${most / MICROUSD:g} a day, and has not ${microusd / MICROUSD:g} left;"
                " the next day begins at midnight UTC",
                timedelta(milliseconds=max(left_ms, 1)),
            )

    async def release(self, tenant: str, job: JobId) -> None:
        """Let go what is held for a job that was not begun. A second time changes nothing."""
        await self._settle(tenant, job, "", None)

    async def settle(self, tenant: str, job: JobId, microusd: int, ended: datetime | None = None) -> bool:
        """Put what a job has cost, all of it, in place of what it held, on the day that it was held. Jobs that nobody
        held are counted on the day of the call, where their tenant has a daily budget. A second time changes nothing.

        Args:
            ended: When; what was held for it since then, because it is being tried again, stays. Now unless given.

        Returns:
            Whether it was counted.
        """
        return await self._settle(tenant, job, microusd, ended)

    async def spent(self, tenant: str) -> Spent:
        """What is spent and held of a tenant's day."""
        async with translated(self.store.settings):
            reply = await SPENT_DAY.run(self.store.redis, [self.store.keys.days(tenant)], [])
        total, rest_ms = cast("tuple[str, int]", reply)
        return Spent(int(total), timedelta(milliseconds=rest_ms))

    async def due(self, most: int, unseen: timedelta = HELD_UNSEEN) -> Sequence[tuple[str, JobId]]:
        """Tenants and jobs of holds that nobody has looked at for that long, at most so many; now somebody does."""
        args = [int(unseen / timedelta(milliseconds=1)), most]
        async with translated(self.store.settings):
            reply = await DUE_HOLDS.run(self.store.redis, [self.store.keys.holds()], args)
        pairs = (member.partition(":") for member in cast("list[str]", reply))
        return [(tenant, JobId(job)) for tenant, _, job in pairs]

    async def _settle(self, tenant: str, job: JobId, cost: Arg, ended: datetime | None) -> bool:
        at = "" if ended is None else int(ended.timestamp() * 1000)
        keys = [*self._of(tenant), self.store.keys.access()[1]]
        async with translated(self.store.settings):
            reply = await SETTLE_DAY.run(self.store.redis, keys, [tenant, job, self._days, cost, at])
        return reply == 1

    def _of(self, tenant: str) -> list[str]:
        return [self.store.keys.days(tenant), self.store.keys.holds()]
