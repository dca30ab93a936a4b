"""Lists of jobs, the newest first: of all, or of one tenant."""

import asyncio
from datetime import UTC, datetime
from typing import Final, NamedTuple, cast

from pydantic import BaseModel

from tasks.errors import DamagedRecord, IncompatibleVersion
from tasks.ids import JobId, partition_of
from tasks.library_log import LibraryLog
from tasks.results import JobSummary
from tasks.states import FINAL_JOB, TaskStatus
from tasks.store.failures import translated
from tasks.store.reading import known, readable
from tasks.store.scripts import LISTED, PAGE
from tasks.store.store import Store
from tasks.tenancy import DEFAULT_TENANT

log = LibraryLog("troupe.store")

FIELDS: Final = (
    *("spec", "status", "created", "finished", "total", "done", "cost", "brief"),
    *("tenant", "paused", "session"),
)
TENANT: Final = FIELDS.index("tenant")


class Place(NamedTuple):
    """Where a page of a list of jobs ends: the next one begins behind it."""

    listed_ms: int
    """When the job was submitted, or reopened, in Unix ms."""
    job: str


class _Task(BaseModel):
    """All that a list needs of a job's spec, whatever else a later release may have put there."""

    task: str


async def page(
    store: Store, tenant: str | None, before: Place | None, limit: int
) -> tuple[list[JobSummary], Place | None]:
    """See `Snapshots.page`. Two round trips a partition, all partitions at once."""
    async with translated(store.settings):
        parts = [_newest(store, number, tenant, before, limit) for number in range(store.settings.partitions)]
        found = sorted((one for part in await asyncio.gather(*parts) for one in part), reverse=True)[:limit]
        rows = await _rows(store, [JobId(place.job) for place in found])
    # A list may have been written by one who may only do jobs: what it is about is said by the job.
    own = [(job, row) for job, row in rows if row[0] is not None and tenant in {None, row[TENANT] or DEFAULT_TENANT}]
    summaries = [_summary(job, row) for job, row in own]
    return [one for one in summaries if one is not None], found[-1] if len(found) == limit else None


async def _newest(store: Store, partition: int, tenant: str | None, before: Place | None, limit: int) -> list[Place]:
    index = store.keys.index(partition) if tenant is None else store.keys.index_of(partition, tenant)
    place = ["+inf", ""] if before is None else [before.listed_ms, before.job]
    flat = cast("list[str]", await PAGE.run(store.redis, [index], [*place, limit]))
    return [Place(int(float(at)), job) for job, at in zip(flat[::2], flat[1::2], strict=True)]


async def _rows(store: Store, jobs: list[JobId]) -> "list[tuple[JobId, list[str | None]]]":
    """What lists show of these jobs, in their order."""
    by_partition: dict[int, list[JobId]] = {}
    for job in jobs:
        by_partition.setdefault(partition_of(job), []).append(job)

    async def ask(partition: int, some: list[JobId]) -> dict[JobId, list[str | None]]:
        args = [store.keys.jobs(partition), len(FIELDS), *FIELDS, *some]
        rows = cast("list[list[str | None]]", await LISTED.run(store.redis, [store.keys.index(partition)], args))
        return dict(zip(some, rows, strict=True))

    found: dict[JobId, list[str | None]] = {}
    for part in await asyncio.gather(*(ask(partition, some) for partition, some in by_partition.items())):
        found |= part
    return [(job, found[job]) for job in jobs]


def _summary(job: JobId, row: list[str | None]) -> JobSummary | None:
    spec, state, created, finished, total, done, cost, brief, tenant, paused, session = row
    try:
        with readable(f"job {job}"):
            status = known(TaskStatus, state or "")
            return JobSummary(
                job_id=job,
                task=_Task.model_validate_json(brief or spec or "").task,
                status=status,
                created_at=_time(created) or datetime.fromtimestamp(0, UTC),
                finished_at=_time(finished),
                steps_total=int(total or 0),
                steps_done=int(done or 0),
                cost_microusd=int(cost or 0),
                tenant=tenant or DEFAULT_TENANT,
                paused=paused is not None and status not in FINAL_JOB,
                session=session,
            )
    except (IncompatibleVersion, DamagedRecord) as error:
        log.warning("job_left_out", job=job, reason=str(error))
        return None


def _time(milliseconds: str | None) -> datetime | None:
    return None if not milliseconds else datetime.fromtimestamp(int(milliseconds) / 1000, UTC)
