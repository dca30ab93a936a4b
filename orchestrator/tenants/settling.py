"""Books what ended jobs have cost on their tenants' days, in place of what was held for them.

Every process that serves a door does this; they read the streams of ended jobs as one group. An end is booked at once,
and again some thirty seconds later, when it comes up as one that nobody finished with: calls that were under way may
have been answered by then, also for a job that was cancelled to save their cost. Only then it is marked as told. So who
dies in between leaves it to another one, and booking twice changes nothing. What no stream told of, because nobody read
for long, is found by the age of its hold; so is a hold whose job never came.
"""

import asyncio
import os
import secrets
import socket
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from tasks.errors import DamagedRecord, IncompatibleVersion, TroupeError
from tasks.ids import JobId
from tasks.library_log import LibraryLog
from tasks.store import Store
from tasks.store.bills import bill
from tasks.store.ended import End, EndedJobs
from tasks.store.spending import HELD_UNSEEN, SpendingStore

log = LibraryLog("troupe.tenants")

GROUP: Final = "spending"
POLL_S: Final = 1.0
AT_ONCE: Final = 100


class Settling:
    """Settles jobs that have ended."""

    def __init__(self, store: Store, name: str | None = None, *, unseen: timedelta = HELD_UNSEEN) -> None:
        """Connects to nothing.

        Args:
            name: Of this process among those that settle; a fresh one unless given.
            unseen: Age of a hold at which somebody looks for its job.
        """
        self.store = store
        self.spending = SpendingStore(store)
        self.ended = EndedJobs(store, GROUP, name or f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}")
        self.unseen = unseen
        self.partitions = range(store.settings.partitions)

    async def run(self) -> None:
        """Settle, for ever. While the store is away nothing is lost: it is done when that is back."""
        opened = False
        while True:
            try:
                if not opened:
                    await self.open()
                    opened = True
                while AT_ONCE in (await self.look(), await self.look_at_holds()):
                    pass
            except TroupeError as error:
                log.warning("spending_not_settled", reason=str(error))
            await asyncio.sleep(POLL_S)

    async def open(self) -> None:
        """Be told of ends from now on, unless some process was before.

        Raises:
            StoreUnavailable: no answer in time.
        """
        for partition in self.partitions:
            await self.ended.open(partition)

    async def look(self) -> int:
        """Settle what has ended since the last look, and for the last time what had ended a while before that.

        Returns:
            How many have ended in the partition that had most; at most AT_ONCE of either kind are taken.

        Raises:
            StoreUnavailable: no answer in time; it is done later.
        """
        most = 0
        for partition in self.partitions:
            ends = await self.ended.read(partition, count=AT_ONCE)
            await self._settle_all(ends)
            await self.ended.done(partition, [end for end in ends if end.again])
            most = max(most, min(len(ends), AT_ONCE))
        return most

    async def look_at_holds(self) -> int:
        """Settle and release what is held for jobs that have ended or never came.

        Returns:
            How many holds were looked at; at most AT_ONCE.

        Raises:
            StoreUnavailable: no answer in time; each is looked at again.
        """
        due = await self.spending.due(AT_ONCE, self.unseen)
        for tenant, job in due:
            if await self._settle(job) is None:
                await self.spending.release(tenant, job)
                log.info("hold_released", tenant=tenant, job=job)
        return len(due)

    async def _settle_all(self, ends: Sequence[End]) -> None:
        jobs = dict.fromkeys(end.job for end in ends)
        found = await asyncio.gather(*(self._settle(job) for job in jobs), return_exceptions=True)
        for one in found:  # after all of them: what could be settled is
            if isinstance(one, BaseException):
                raise one

    async def _settle(self, job: JobId) -> bool | None:
        """Whether it has ended and is settled; None when there is no such job."""
        try:
            found = await bill(self.store, job)
        except (IncompatibleVersion, DamagedRecord) as error:
            log.warning("job_not_settled", job=job, reason=str(error))
            return False
        if found is None:
            return None
        if found.ended is None:
            return False  # it was reopened: its next end is told
        await self.spending.settle(found.tenant, job, found.microusd, found.ended)
        return True
