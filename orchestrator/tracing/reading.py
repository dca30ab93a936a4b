"""Reads what a trace is put together from."""

from datetime import UTC, datetime

from orchestrator.tracing.assemble import assemble
from tasks.errors import DamagedRecord, IncompatibleVersion
from tasks.events import JobEvent
from tasks.ids import JobId
from tasks.library_log import LibraryLog
from tasks.states import StepStatus
from tasks.store import EventStore, Snapshots, Store
from tasks.store.calls import CallStore
from tasks.store.waits import WaitStore
from tasks.trace import Trace

log = LibraryLog("troupe.trace")


async def read_trace(store: Store, job: JobId) -> Trace:
    """What a job did until now. O(steps + events + calls).

    Raises:
        UnknownJob: never submitted here, or past its retention.
        IncompatibleVersion: its record was written by a release that this one cannot read.
        DamagedRecord: no release can read its record.
        StoreUnavailable: no answer in time.
    """
    # The record comes last: then it knows all attempts that events and calls tell of.
    events = await _events(EventStore(store), job)
    calls = await CallStore(store).read(job)
    record = await Snapshots(store).job(job)
    parked = any(one.status is StepStatus.PARKED for one in record.steps)
    waits = await WaitStore(store).of_job(job) if parked else ()
    return assemble(record, events, calls, datetime.now(UTC), waits)


async def _events(store: EventStore, job: JobId) -> list[JobEvent]:
    """All events; as many as there are before one that cannot be read."""
    found: list[JobEvent] = []
    try:
        while batch := await store.read(job, found[-1].seq if found else 0):
            found += batch
    except (DamagedRecord, IncompatibleVersion) as error:
        log.warning("events_left_out", job=job, reason=str(error))
    return found
