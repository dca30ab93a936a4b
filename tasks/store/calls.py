"""The calls of a job, kept for its trace in the moves that book them."""

import json
from typing import Any, cast

from tasks.ids import JobId
from tasks.store.failures import translated
from tasks.store.reading import readable
from tasks.store.store import Store
from tasks.trace import CallRecord, Calls


class CallStore:
    """Reads what attempts have called."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def read(self, job: JobId) -> Calls:
        """All calls of a job that are kept, in the order in which they ended; none of a job that is not there.

        Raises:
            StoreUnavailable: no answer in time.
            IncompatibleVersion: one was written by a release that this one cannot read.
            DamagedRecord: no release can read one.
        """
        async with translated(self.store.settings):
            rows = cast("list[tuple[str, dict[str, str]]]", await self.store.redis.xrange(self.store.keys.trace(job)))
        calls = tuple(_read(job, entry, fields) for entry, fields in rows)
        return Calls(calls=calls, cut=_number(rows[0][0]) - 1 if rows else 0)


def _number(entry: str) -> int:
    return int(entry.partition("-")[0])


def _read(job: JobId, entry: str, fields: dict[str, str]) -> CallRecord:
    with readable(f"call {entry} of job {job}"):
        content: dict[str, Any] = json.loads(fields["call"])
        content |= {"step": fields["step"], "attempt": int(fields["attempt"]), "at": int(fields["at"])}
        return CallRecord.model_validate(content)
