"""What a job has cost, and whose it is: all that is wanted to settle it."""

from dataclasses import dataclass
from datetime import UTC, datetime

from tasks.ids import JobId
from tasks.states import FINAL_JOB, TaskStatus
from tasks.store.failures import translated
from tasks.store.reading import known, readable
from tasks.store.store import Store
from tasks.tenancy import DEFAULT_TENANT


@dataclass(frozen=True, slots=True)
class Bill:
    """A job's cost until now."""

    tenant: str
    microusd: int
    ended: datetime | None
    """None: it is open, and may cost more."""


async def bill(store: Store, job: JobId) -> Bill | None:
    """The bill of a job; None when there is no such job. One short read.

    Raises:
        IncompatibleVersion, DamagedRecord: it cannot be read.
        StoreUnavailable: no answer in time.
    """
    async with translated(store.settings):
        found = await store.redis.hmget(store.keys.job(job), ["status", "tenant", "cost", "finished"])
    status, tenant, cost, finished = [None if one is None else str(one) for one in found]
    if status is None:
        return None
    with readable(f"job {job}"):
        over = known(TaskStatus, status) in FINAL_JOB
        ended = datetime.fromtimestamp(int(finished or 0) / 1000, UTC) if over else None
        return Bill(tenant or DEFAULT_TENANT, int(cost or 0), ended)
