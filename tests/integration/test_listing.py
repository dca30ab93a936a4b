"""Lists of jobs on the real server: of all, of one tenant, page by page; what leaves one leaves the other."""

from datetime import timedelta

import pytest

from tasks.errors import FleetFull
from tasks.ids import JobId, new_job_id
from tasks.results import JobSummary
from tasks.states import TaskStatus
from tasks.store import Pruning
from tasks.store.listing import Place
from tests.support.builders import BAD, a_job, a_planning_step
from tests.support.moves import Moves


async def paged(moves: Moves, tenant: str | None, limit: int) -> list[list[JobSummary]]:
    """All pages, until there is none."""
    pages: list[list[JobSummary]] = []
    place: Place | None = None
    while True:
        page, place = await moves.snapshots.page(tenant=tenant, before=place, limit=limit)
        pages.append(page)
        if place is None:
            return pages


def ids(pages: list[list[JobSummary]]) -> list[str]:
    return [one.job_id for page in pages for one in page]


async def of_tenant(moves: Moves, tenant: str) -> list[str]:
    return await moves.redis.zrange(moves.store.keys.index_of(0, tenant), 0, -1)


async def test_pages_follow_each_other_without_gap_or_repetition(moves: Moves) -> None:
    jobs = [await moves.submitted(partition=number % 4) for number in range(10)]
    found = await paged(moves, None, 3)
    assert [len(page) for page in found] == [3, 3, 3, 1]
    assert sorted(ids(found)) == sorted(jobs)
    assert [one.created_at for page in found for one in page] == sorted(
        (one.created_at for page in found for one in page), reverse=True
    )


async def test_jobs_of_the_same_millisecond_are_each_on_one_page(moves: Moves) -> None:
    jobs = [await moves.submitted(partition=number % 2) for number in range(9)]
    for number, job in enumerate(jobs):
        await moves.redis.zadd(moves.store.keys.index(number % 2), {job: 10**13})
    assert ids(await paged(moves, None, 2)) == sorted(jobs, reverse=True)


async def test_a_job_that_comes_meanwhile_moves_no_page(moves: Moves) -> None:
    jobs = [await moves.submitted() for _ in range(4)]
    first, place = await moves.snapshots.page(tenant=None, before=None, limit=2)
    await moves.submitted()
    second, _ = await moves.snapshots.page(tenant=None, before=place, limit=2)
    assert sorted(ids([first, second])) == sorted(jobs)


async def test_a_tenant_has_a_list_of_its_own(moves: Moves) -> None:
    mine = [await moves.submitted(tenant="acme", partition=number % 4) for number in range(5)]
    for number in range(7):
        await moves.submitted(tenant="other", partition=number % 4)
    found = await paged(moves, "acme", 2)
    assert sorted(ids(found)) == sorted(mine)
    assert {one.tenant for page in found for one in page} == {"acme"}
    assert await paged(moves, "nobody", 5) == [[]]
    assert len(ids(await paged(moves, None, 5))) == 12


async def test_a_tenant_named_as_a_list_of_a_queue_meets_nobody(moves: Moves) -> None:
    """Queue `index` has a line and steps at work; the names of tenants are free."""
    for tenant in ("line", "present", "of", "index"):
        job = await moves.submitted(tenant=tenant)
        assert ids(await paged(moves, tenant, 5)) == [job]
    assert len(ids(await paged(moves, None, 9))) == 4


async def test_a_list_says_whose_a_job_is_its_session_and_whether_it_is_paused(moves: Moves) -> None:
    job = await moves.submitted(tenant="acme")
    await moves.jobs.pause(job)
    ((one,),) = await paged(moves, "acme", 5)
    assert (one.tenant, one.paused, one.session) == ("acme", True, None)
    await moves.jobs.end_job(job, TaskStatus.CANCELLED, BAD)
    ((one,),) = await paged(moves, "acme", 5)
    assert (one.paused, one.status) == (False, TaskStatus.CANCELLED)
    assert await moves.snapshots.tenant(job) == "acme"
    assert await moves.snapshots.tenant(new_job_id(0)) is None


async def test_a_list_that_somebody_wrote_into_shows_no_job_of_others(moves: Moves) -> None:
    """Who may only do jobs can write some lists, by the names of some tenants."""
    theirs, mine = await moves.submitted(tenant="other"), await moves.submitted(tenant="acme")
    await moves.redis.zadd(moves.store.keys.index_of(0, "acme"), {theirs: 10**13})
    assert ids(await paged(moves, "acme", 5)) == [mine]


async def test_a_job_that_was_paused_for_long_is_listed_again_when_it_goes_on(moves: Moves) -> None:
    job = await moves.submitted(tenant="acme")
    await moves.jobs.pause(job)
    await moves.redis.delete(moves.store.keys.index(0), moves.store.keys.index_of(0, "acme"))
    await moves.jobs.resume(job)
    assert ids(await paged(moves, "acme", 5)) == [job]


async def test_a_job_that_is_gone_leaves_a_page_short_and_the_next_one_there(moves: Moves) -> None:
    jobs = [await moves.submitted(tenant="acme") for _ in range(4)]
    order = ids(await paged(moves, "acme", 9))
    await moves.redis.delete(moves.store.keys.job(JobId(order[0])))
    found = await paged(moves, "acme", 2)
    assert [len(page) for page in found[:2]] == [1, 2]
    assert sorted(ids(found)) == sorted(set(jobs) - {order[0]})


async def test_what_is_forgotten_leaves_its_tenants_list_too(moves: Moves) -> None:
    over, stays = [await moves.submitted(tenant="acme") for _ in range(2)]
    await moves.jobs.end_job(over, TaskStatus.CANCELLED, BAD)
    assert [one.forgotten async for one in Pruning(moves.store).run(timedelta(0))] == [1]
    assert await of_tenant(moves, "acme") == [stays]


async def test_jobs_past_their_retention_leave_their_tenants_list_and_the_tenant_with_the_last(moves: Moves) -> None:
    jobs = [await moves.submitted(tenant="acme") for _ in range(3)]
    kept = await moves.submitted(tenant="other")
    await moves.redis.delete(*[moves.store.keys.job(job) for job in jobs])
    await Pruning(moves.store).unlist(0)
    assert await of_tenant(moves, "acme") == []
    assert await of_tenant(moves, "other") == [kept]
    assert await moves.redis.zrange(moves.store.keys.tenants(0), 0, -1) == ["other"]


async def test_a_tenants_list_ends_when_nothing_on_it_can_be_kept_and_forgets_what_is_older(moves: Moves) -> None:
    key = moves.store.keys.index_of(0, "acme")
    await moves.redis.zadd(key, {"jold": 1})
    job = await moves.submitted(tenant="acme")
    assert await of_tenant(moves, "acme") == [job]
    days = (await moves.redis.pttl(key)) / 86_400_000
    assert days == pytest.approx(7 + moves.store.settings.retention_s / 86_400, abs=0.01)


async def test_a_job_that_is_tried_again_is_the_newest_of_its_tenant(moves: Moves) -> None:
    first = await moves.planned({"one": ()}, tenant="acme")
    await moves.fail(first, "one")
    second = await moves.submitted(tenant="acme")
    for index in (moves.store.keys.index(0), moves.store.keys.index_of(0, "acme")):
        await moves.redis.zadd(index, {first: 10**12, second: 10**12 + 1})
    await moves.redis.persist(moves.store.keys.index_of(0, "acme"))
    assert ids(await paged(moves, "acme", 9)) == [second, first]
    await moves.reopen(first, "one")
    assert ids(await paged(moves, "acme", 9)) == [first, second]
    assert await moves.redis.pttl(moves.store.keys.index_of(0, "acme")) > 0


async def test_a_tenants_own_limit_stands_in_place_of_the_setting(moves: Moves) -> None:
    async def submit(most: int | None) -> JobId:
        return await moves.jobs.submit(a_job(tenant="acme"), a_planning_step(), open_jobs=most)

    await submit(1)
    with pytest.raises(FleetFull, match="tenant 'acme'"):
        await submit(1)
    await submit(2)
    await submit(0)
    await submit(None)
