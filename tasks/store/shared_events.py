"""The events of jobs for many readers in one process: each job is read once, however many follow it."""

import asyncio
import time
from bisect import bisect_right
from datetime import timedelta
from typing import Final

from tasks.errors import TroupeError
from tasks.events import JobEvent
from tasks.ids import JobId
from tasks.store.events import MAX_BLOCK, EventStore
from tasks.store.store import Store

KEPT: Final = 1_000
"""Newest events of a job that are held; readers that are further behind read the store themselves."""
IDLE_S: Final = 5.0
"""How long a job is read on after nobody asked."""


class _Feed:
    """One job, read for all who follow it."""

    def __init__(self, after: int) -> None:
        self.begin = after
        """Number of the last event before those that are held."""
        self.events: list[JobEvent] = []
        self.changed = asyncio.Event()
        self.asked = time.monotonic()
        self.failed: TroupeError | None = None

    @property
    def last(self) -> int:
        return self.events[-1].seq if self.events else self.begin

    def add(self, events: list[JobEvent]) -> None:
        """Hold further events, and wake who waits for them."""
        self.events += events
        if len(self.events) > KEPT:
            self.begin = self.events[-KEPT - 1].seq
            del self.events[:-KEPT]
        self.wake()

    def wake(self) -> None:
        """Let all who wait look again."""
        self.changed.set()
        self.changed = asyncio.Event()

    def after(self, seen: int) -> list[JobEvent] | None:
        """Events behind a number; None: not all of them are held."""
        if seen < self.begin:
            return None
        return self.events[bisect_right(self.events, seen, key=lambda event: event.seq) :]


class SharedEvents(EventStore):
    """Reads as `EventStore` does. Use it in one event loop, and close it there."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._feeds: dict[JobId, _Feed] = {}
        self._readers: dict[JobId, asyncio.Task[None]] = {}

    async def read(self, job: JobId, after: int, *, wait: timedelta = timedelta(0)) -> list[JobEvent]:
        """As `EventStore.read`. May give more than a batch, and waits no longer than that does."""
        if wait <= timedelta(0):
            return await super().read(job, after)
        feed = self._feed(job, after)
        found = feed.after(after)
        if found is None or (feed.events and after > feed.last):  # far behind; or past a store that lost something
            return await super().read(job, after, wait=wait)
        if found:
            return found
        changed = feed.changed
        try:
            await asyncio.wait_for(changed.wait(), min(wait, MAX_BLOCK).total_seconds())
        except TimeoutError:
            return []
        if feed.failed is not None:
            raise feed.failed
        return feed.after(after) or []

    async def close(self) -> None:
        """Stop reading."""
        for reader in self._readers.values():
            reader.cancel()
        await asyncio.gather(*self._readers.values(), return_exceptions=True)

    def _feed(self, job: JobId, after: int) -> _Feed:
        feed = self._feeds.get(job)
        if feed is None:
            feed = self._feeds[job] = _Feed(after)
            self._readers[job] = asyncio.create_task(self._follow(job, feed))
        feed.asked = time.monotonic()
        return feed

    async def _follow(self, job: JobId, feed: _Feed) -> None:
        try:
            while time.monotonic() < feed.asked + IDLE_S:
                events = await super().read(job, feed.last, wait=MAX_BLOCK)
                if events:
                    feed.add(events)
        except TroupeError as error:
            feed.failed = error
        finally:
            del self._feeds[job], self._readers[job]
            feed.wake()
