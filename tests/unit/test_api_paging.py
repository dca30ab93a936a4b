"""Parts of the list of jobs: none is left out, none comes twice, whatever is filtered."""

from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from orchestrator.api import paging
from orchestrator.api.paging import Filter, page
from tasks.errors import ContractError
from tasks.ids import JobId
from tasks.results import JobSummary
from tasks.states import TaskStatus
from tasks.store.listing import Place
from tasks.store.snapshot import Snapshots

BEGIN = datetime(2026, 11, 20, tzinfo=UTC)


class Shelf:
    """A list of jobs, newest first. Of some nothing is kept but their place."""

    def __init__(self, count: int, gone: frozenset[int] = frozenset()) -> None:
        self.places = [Place(1000 * at, f"j{at:04}") for at in reversed(range(count))]
        self.gone = gone
        self.looked_at = 0

    async def page(
        self, *, tenant: str | None, before: Place | None, limit: int
    ) -> tuple[list[JobSummary], Place | None]:
        assert tenant == "acme"
        found = [place for place in self.places if before is None or place < before][:limit]
        self.looked_at += len(found)
        jobs = [summary(int(place.job[1:])) for place in found if int(place.job[1:]) not in self.gone]
        return jobs, found[-1] if len(found) == limit else None


def summary(number: int) -> JobSummary:
    """A job; each third has failed. One that was reopened stands further up than its creation says."""
    return JobSummary(
        job_id=JobId(f"j{number:04}"),
        task=f"Compare {number}",
        status=TaskStatus.FAILED if number % 3 == 0 else TaskStatus.COMPLETED,
        created_at=BEGIN + timedelta(seconds=number),
    )


async def everything(shelf: Shelf, asked: Filter, limit: int) -> list[int]:
    """All parts, one after the other."""
    found: list[int] = []
    cursor: str | None = None
    for _ in range(1000):
        part = await page(cast(Snapshots, shelf), asked, limit, cursor)
        assert len(part.jobs) <= limit
        found += [int(job.job_id[1:]) for job in part.jobs]
        cursor = part.next
        if cursor is None:
            return found
    raise AssertionError("the list has no end")


@pytest.mark.parametrize("limit", [1, 7, 50, 1000])
async def test_all_parts_together_are_the_list(limit: int) -> None:
    assert await everything(Shelf(103), Filter(tenant="acme"), limit) == list(reversed(range(103)))


@pytest.mark.parametrize("limit", [1, 7, 50])
async def test_a_filter_leaves_out_and_loses_nothing(limit: int) -> None:
    asked = Filter(tenant="acme", statuses=frozenset({TaskStatus.FAILED}))
    found = await everything(Shelf(500), asked, limit)
    assert found == [at for at in reversed(range(500)) if at % 3 == 0]


@pytest.mark.parametrize("limit", [1, 4, 9])
async def test_jobs_that_are_gone_do_not_hide_others(limit: int) -> None:
    gone = frozenset(range(100, 200)) | {3, 5}
    asked = Filter(tenant="acme", statuses=frozenset(TaskStatus))
    assert await everything(Shelf(300, gone), asked, limit) == [at for at in reversed(range(300)) if at not in gone]


async def test_one_request_looks_at_a_bounded_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "LOOKED_AT", 400)
    shelf = Shelf(1000)
    part = await page(cast(Snapshots, shelf), Filter(tenant="acme", text="compare 7 nothing"), 10, None)
    assert (part.jobs, shelf.looked_at) == ((), 400)
    assert part.next is not None


async def test_times_bound_the_list() -> None:
    asked = Filter(tenant="acme", since=BEGIN + timedelta(seconds=20), until=BEGIN + timedelta(seconds=30))
    assert await everything(Shelf(100), asked, 7) == list(reversed(range(20, 30)))


async def test_words_are_looked_for_in_any_case_and_order() -> None:
    assert await everything(Shelf(300), Filter(tenant="acme", text="217 COMPARE"), 50) == [217]


@pytest.mark.parametrize("cursor", ["", "x", "?", "a" * 99, "MTIz", "MS4", "LTEuag", "é"])
async def test_a_cursor_of_elsewhere_is_refused(cursor: str) -> None:
    with pytest.raises(ContractError, match="cursor"):
        await page(cast(Snapshots, Shelf(3)), Filter(tenant="acme"), 10, cursor)
