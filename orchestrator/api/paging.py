"""Lists of jobs, a part at a time, with filters that look at more than they show."""

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from orchestrator.api.replies import JobPage
from tasks.errors import ContractError
from tasks.results import JobSummary
from tasks.states import TaskStatus
from tasks.store.snapshot import Place, Snapshots

LOOKED_AT: Final = 2_000
"""Jobs that one request looks at, at most: a filter that fits few has several short parts."""
CHUNK: Final = 200


@dataclass(frozen=True, slots=True)
class Filter:
    """Which jobs are asked for; None: any."""

    tenant: str | None = None
    statuses: frozenset[TaskStatus] = frozenset()
    text: str | None = None
    """Words of the task, or its id, in any case."""
    session: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def narrow(self) -> bool:
        """Whether it leaves out some of what is looked at."""
        return bool(self.statuses or self.text or self.session or self.since or self.until)

    def fits(self, job: JobSummary) -> bool:
        """Whether a job is asked for."""
        words = (self.text or "").casefold().split()
        text = f"{job.task} {job.job_id}".casefold()
        return (
            (not self.statuses or job.status in self.statuses)
            and all(word in text for word in words)
            and (self.session is None or job.session == self.session)
            and (self.since is None or job.created_at >= self.since)
            and (self.until is None or job.created_at < self.until)
        )


async def page(snapshots: Snapshots, asked: Filter, limit: int, cursor: str | None) -> JobPage:
    """The next part of the list.

    Raises:
        ContractError: the cursor is none.
        StoreUnavailable: no answer in time.
    """
    found: list[JobSummary] = []
    place, left = _read(cursor), LOOKED_AT
    oldest_ms = 0 if asked.since is None else asked.since.timestamp() * 1000
    while left > 0:
        count = min(CHUNK if asked.narrow else limit - len(found), left)
        jobs, after = await snapshots.page(tenant=asked.tenant, before=place, limit=count)
        left -= count
        for number, job in enumerate(jobs, start=1):
            if asked.fits(job):
                found.append(job)
            if len(found) == limit:
                if number < len(jobs):
                    after = await _behind(snapshots, asked, place, job, number)
                return JobPage(jobs=tuple(found), next=None if after is None else _write(after))
        place = after
        if place is None or place.listed_ms < oldest_ms:
            return JobPage(jobs=tuple(found), next=None)
    return JobPage(jobs=tuple(found), next=None if place is None else _write(place))


async def _behind(snapshots: Snapshots, asked: Filter, before: Place | None, last: JobSummary, count: int) -> Place:
    """The place behind a job in the middle of what was looked at: only the list knows where a job stands in it.

    Jobs that are gone take room in a page and are not in its list: so it may take a few looks.
    """
    jobs, after = await snapshots.page(tenant=asked.tenant, before=before, limit=count)
    while after is not None and last.job_id not in {job.job_id for job in jobs}:
        before = after
        jobs, after = await snapshots.page(tenant=asked.tenant, before=before, limit=1)
    return after or Place(0, last.job_id)


def _write(place: Place) -> str:
    return base64.urlsafe_b64encode(f"{place.listed_ms}.{place.job}".encode()).decode().rstrip("=")


def _read(cursor: str | None) -> Place | None:
    if cursor is None:
        return None
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
        at, _, job = text.partition(".")
        if not (at.isascii() and at.isdigit() and len(at) < 16 and job.isalnum()):
            raise ValueError("not a place")
    except (ValueError, binascii.Error) as error:
        raise ContractError("cursor: it is none that this API has given") from error
    return Place(int(at), job)
