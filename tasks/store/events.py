"""Reading a job's event stream from any sequence number on."""

import json
from datetime import timedelta
from typing import Any, Final, cast

from tasks.events import EVENT, JobEvent
from tasks.ids import JobId
from tasks.store.failures import translated
from tasks.store.reading import readable
from tasks.store.store import Store

BATCH: Final = 500
"""Events read in one round trip."""
MAX_BLOCK: Final = timedelta(seconds=2)
"""Longest wait inside Redis; stays below the socket timeout, so that a silent stream is told from a dead server."""

Rows = list[tuple[str, dict[str, str]]]


class EventStore:
    """The events of jobs."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def read(self, job: JobId, after: int, *, wait: timedelta = timedelta(0)) -> list[JobEvent]:
        """Events with a sequence number above `after`, in order, at most BATCH.

        Args:
            wait: How long to wait for the first one; capped at MAX_BLOCK.

        Returns:
            An empty list when none came. A job that is not there has none either.

        Raises:
            StoreUnavailable: no answer in time.
            DamagedRecord: no release can read one.
        """
        stream = self.store.keys.events(job)
        block = min(wait, MAX_BLOCK, timedelta(seconds=self.store.settings.store_timeout_s / 2))
        milliseconds = int(block / timedelta(milliseconds=1))
        async with translated(self.store.settings):
            reply = cast(
                "dict[str, list[Rows]] | list[tuple[str, Rows]]",
                await self.store.redis.xread({stream: f"{max(after, 0)}-0"}, count=BATCH, block=milliseconds or None),
            )
        if isinstance(reply, dict):
            rows = [row for batches in reply.values() for batch in batches for row in batch]
        else:
            rows = [row for _, batch in reply for row in batch]
        return [_read(job, entry, fields) for entry, fields in rows]


def _read(job: JobId, entry: str, fields: dict[str, str]) -> JobEvent:
    with readable(f"event {entry} of job {job}"):
        content: dict[str, Any] = json.loads(fields["data"]) if fields["data"] else {}
        content |= {"type": fields["type"], "job_id": job, "seq": int(entry.partition("-")[0]), "at": int(fields["at"])}
        if fields["step"]:
            content["step"] = fields["step"]
        if fields["attempt"]:
            content["attempt"] = int(fields["attempt"])
        if "v" in fields:
            content["v"] = int(fields["v"])
        return EVENT.validate_python(content)
