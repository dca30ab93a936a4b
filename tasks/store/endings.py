"""Waiting for jobs to end: one blocking read a partition serves all waiters of a process.

A stream a partition names the jobs that have ended. It is a hint and is trimmed: who waits looks at the job itself too.
"""

import asyncio
from collections import defaultdict
from contextlib import suppress
from datetime import timedelta
from typing import Final, cast

from tasks.errors import TroupeError
from tasks.ids import JobId, partition_of
from tasks.store.failures import translated
from tasks.store.store import Store

BLOCK: Final = timedelta(seconds=2)
"""Longest single wait inside Redis; below the socket timeout."""
PAUSE_S: Final = 0.5
"""Wait after the store was away."""

Rows = list[tuple[str, dict[str, str]]]


class Endings:
    """Tells who waits that a job has ended. Use it in one event loop."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._waiting: dict[int, dict[JobId, set[asyncio.Future[None]]]] = defaultdict(dict)
        self._readers: dict[int, asyncio.Task[None]] = {}
        self._placed: dict[int, asyncio.Event] = {}

    def watch(self, job: JobId) -> "asyncio.Future[None]":
        """A future that is done once the job's end was seen. Cancel it when nobody waits any more."""
        partition = partition_of(job)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting[partition].setdefault(job, set())
        waiting.add(future)
        future.add_done_callback(lambda done: self._forget(partition, job, done))
        reader = self._readers.get(partition)
        if reader is None or reader.done():
            self._placed[partition] = asyncio.Event()
            self._readers[partition] = asyncio.create_task(self._read(partition))
        return future

    async def placed(self, job: JobId) -> None:
        """Wait until no end from now on is missed; look at the job's status after this."""
        await self._placed[partition_of(job)].wait()

    async def close(self) -> None:
        """Stop reading."""
        for reader in self._readers.values():
            reader.cancel()
        await asyncio.gather(*self._readers.values(), return_exceptions=True)

    def _forget(self, partition: int, job: JobId, future: "asyncio.Future[None]") -> None:
        waiting = self._waiting[partition].get(job)
        if waiting is not None:
            waiting.discard(future)
            if not waiting:
                del self._waiting[partition][job]

    async def _read(self, partition: int) -> None:
        stream, last = self.store.keys.finished(partition), ""
        while self._waiting[partition]:
            try:
                if not last:
                    last = await self._newest(stream)
                    self._placed[partition].set()
                for entry, fields in await self._after(stream, last):
                    last = entry
                    for future in list(self._waiting[partition].get(JobId(fields["job"]), ())):
                        if not future.done():
                            future.set_result(None)
            except TroupeError:
                self._placed[partition].set()  # who waits looks at the job, and meets the error there
                await asyncio.sleep(PAUSE_S)

    async def _newest(self, stream: str) -> str:
        async with translated(self.store.settings):
            rows = cast("Rows", await self.store.redis.xrevrange(stream, count=1))
        return rows[0][0] if rows else "0-0"

    async def _after(self, stream: str, last: str) -> Rows:
        block = min(BLOCK, timedelta(seconds=self.store.settings.store_timeout_s / 2))
        milliseconds = int(block / timedelta(milliseconds=1)) or None
        async with translated(self.store.settings):
            reply = cast(
                "dict[str, list[Rows]] | list[tuple[str, Rows]]",
                await self.store.redis.xread({stream: last}, count=1000, block=milliseconds),
            )
        if isinstance(reply, dict):
            return [row for batches in reply.values() for batch in batches for row in batch]
        return [row for _, batch in reply for row in batch]


async def until(future: "asyncio.Future[None]", within: timedelta) -> None:
    """Wait for a watched end, or for `within`; the future stays usable."""
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(future), within.total_seconds())
