"""The calls of a job, kept for its trace in the moves that book them."""

import json
from typing import Any, cast

from tasks.errors import DamagedRecord, IncompatibleVersion
from tasks.ids import JobId
from tasks.library_log import LibraryLog
from tasks.store.failures import translated
from tasks.store.reading import readable
from tasks.store.store import Store
from tasks.trace import CallRecord, Calls

log = LibraryLog("troupe.trace")


class CallStore:
    """Reads what attempts have called."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def read(self, job: JobId) -> Calls:
        """All calls of a job that are kept, in the order in which they ended; none of a job that is not there. What
        cannot be read is left out: it is not to hide the others.

        Raises:
            StoreUnavailable: no answer in time.
        """
        async with translated(self.store.settings):
            rows = cast("list[tuple[str, dict[str, str]]]", await self.store.redis.xrange(self.store.keys.trace(job)))
        calls = (_readable(job, entry, fields) for entry, fields in rows)
        return Calls(
            calls=tuple(call for call in calls if call is not None), cut=_number(rows[0][0]) - 1 if rows else 0
        )


def _number(entry: str) -> int:
    return int(entry.partition("-")[0])


def _readable(job: JobId, entry: str, fields: dict[str, str]) -> CallRecord | None:
    try:
        return _read(job, entry, fields)
    except (IncompatibleVersion, DamagedRecord) as error:
        log.warning("call_left_out", job=job, reason=str(error))
        return None


def _read(job: JobId, entry: str, fields: dict[str, str]) -> CallRecord:
    with readable(f"call {entry} of job {job}"):
        content: dict[str, Any] = json.loads(fields["call"])
        content |= {"step": fields["step"], "attempt": int(fields["attempt"]), "at": int(fields["at"])}
        return CallRecord.model_validate(content)
