"""Forgetting jobs that have ended before their retention is over."""

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, cast

from tasks.errors import ContractError
from tasks.states import FINAL_JOB, TaskStatus
from tasks.store.failures import translated
from tasks.store.scripts import PRUNE, RECHECK, UNLIST
from tasks.store.store import Store

PAGE: Final = 100
"""Jobs looked at in one script call: bounds how long Redis is busy with it."""
LISTED: Final = 500
"""Members of a list looked at in one script call."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """How far a pruning has come."""

    looked_at: int
    forgotten: int
    bytes: int = 0
    """What those took in Redis, about; 0 where the user may not ask."""


class Pruning:
    """Goes through the jobs of all partitions, oldest first."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def run(
        self, older_than: timedelta, statuses: Collection[TaskStatus] = FINAL_JOB, *, dry_run: bool = False
    ) -> AsyncIterator[Pruned]:
        """Forget jobs that ended at least `older_than` ago; open jobs always stay.

        Args:
            dry_run: Only count.

        Yields:
            How far it has come, after every page.

        Raises:
            ContractError: a status that is not final, or a negative age.
            StoreUnavailable: no answer in time; what was forgotten until then is gone.
        """
        strange = sorted(set(statuses) - FINAL_JOB)
        if strange or older_than < timedelta(0):
            raise ContractError(f"only jobs that have ended are pruned, of a positive age, not: {', '.join(strange)}")
        wanted = f"|{'|'.join(sorted(statuses))}|"
        age_ms = int(older_than / timedelta(milliseconds=1))
        looked_at = forgotten = size = 0
        for partition in range(self.store.settings.partitions):
            start = 0
            while jobs := await self._page(partition, start):
                args = [age_ms, wanted, "1" if dry_run else "", *jobs]
                count, gone, freed = cast("list[int]", await self.store.move(PRUNE, partition, args))
                looked_at, forgotten, size = looked_at + len(jobs), forgotten + count, size + freed
                start += len(jobs) - gone - (0 if dry_run else count)  # those that went have left the index
                yield Pruned(looked_at, forgotten, size)

    async def unlist(self, partition: int) -> int:
        """Take jobs that are past their retention, and their dead steps, off the partition's lists; how many. Off the
        lists of queues go steps that stand there by mistake.

        Raises:
            StoreUnavailable: no answer in time; what was taken off until then is gone.
        """
        total = sum([await self._unlist(partition, name) for name in ("index", "dead", "damaged")])
        async with translated(self.store.settings):
            tenants = self.store.keys.tenants(partition)
            names = cast("list[str]", await cast(Any, self.store.redis).zrange(tenants, 0, -1))
        for name in names:
            await self._unlist(partition, f"index:of:{name}")
        await self._unlist(partition, "tenants")
        await self.store.move(RECHECK, partition, [LISTED])
        return total

    async def _unlist(self, partition: int, name: str) -> int:
        place = total = 0
        while place >= 0:
            place, gone = cast("list[int]", await self.store.move(UNLIST, partition, [name, place, LISTED]))
            total += gone
        return total

    async def _page(self, partition: int, start: int) -> list[str]:
        index = self.store.keys.index(partition)
        async with translated(self.store.settings):
            return cast("list[str]", await cast(Any, self.store.redis).zrange(index, start, start + PAGE - 1))
