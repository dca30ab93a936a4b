"""Steps that were given up, whichever door somebody comes by to look at them."""

import pytest

from orchestrator import AsyncTroupe
from tasks.errors import InvalidId, NotDead, UnknownJob
from tasks.ids import new_job_id
from tasks.states import StepStatus, TaskStatus
from tests.doors.conftest import planned
from tests.support.builders import a_graph
from tests.support.moves import Moves


async def test_what_was_given_up_is_listed_newest_first(troupe: AsyncTroupe, moves: Moves) -> None:
    assert await troupe.dead.list() == []
    jobs = [(await planned(troupe, moves, f"Number {at}.")).id for at in range(2)]
    for job in jobs:
        await moves.fail(job, "one")
    found = await troupe.dead.list()
    assert {one.job_id for one in found} == set(jobs)
    assert len(await troupe.dead.list(1)) == 1
    one = await troupe.dead.show(jobs[0], "one")
    assert one in found
    assert (one.step, one.task, one.error.code, one.attempts) == ("one", "Number 0.", "bad", 1)
    assert [attempt.number for attempt in one.history] == [1]


async def test_steps_are_tried_again(troupe: AsyncTroupe, moves: Moves) -> None:
    job = await troupe.submit("Find out.")
    assert await moves.extend(job.id, a_graph({"one": (), "two": ()}))
    for step in ("one", "two"):
        await moves.fail(job.id, step)
    await troupe.dead.retry(job.id)
    assert await moves.status(job.id, "one") is StepStatus.FAILED
    await troupe.dead.retry(job.id, "one", "two", "one")
    assert await moves.status(job.id, "one") is StepStatus.READY
    assert await troupe.dead.list() == []
    with pytest.raises(NotDead):
        await troupe.dead.retry(job.id, "one")
    with pytest.raises(NotDead, match="has no step 'three'"):
        await troupe.dead.retry(job.id, "three")


async def test_a_job_that_was_cancelled_is_not_tried_again(troupe: AsyncTroupe, moves: Moves) -> None:
    job = await troupe.submit("Find out.")
    assert await moves.extend(job.id, a_graph({"one": (), "two": ()}))
    await moves.fail(job.id, "one")
    assert await job.cancel() is TaskStatus.CANCELLED
    with pytest.raises(NotDead):
        await troupe.dead.retry(job.id, "one")


async def test_a_step_is_dropped_once(troupe: AsyncTroupe, moves: Moves) -> None:
    job = await planned(troupe, moves)
    await moves.fail(job.id, "one")
    await troupe.dead.drop(job.id, "one")
    assert await troupe.dead.list() == []
    with pytest.raises(NotDead, match="is not in the dead list"):
        await troupe.dead.drop(job.id, "one")
    with pytest.raises(NotDead, match="is not in the dead list"):
        await troupe.dead.show(job.id, "one")


@pytest.mark.parametrize("step", ["two", "no step", "../../jobs", ""])
async def test_what_is_no_step_is_not_dead(troupe: AsyncTroupe, moves: Moves, step: str) -> None:
    job = await planned(troupe, moves)
    await moves.fail(job.id, "one")
    for call in (troupe.dead.show, troupe.dead.drop, troupe.dead.retry):
        with pytest.raises(NotDead):
            await call(job.id, step)


async def test_a_job_that_was_never_submitted_has_no_dead(troupe: AsyncTroupe) -> None:
    for call in (troupe.dead.show, troupe.dead.retry):
        with pytest.raises(UnknownJob):
            await call(new_job_id(0), "one")
    for call in (troupe.dead.show, troupe.dead.drop, troupe.dead.retry):
        with pytest.raises(InvalidId):
            await call("nonsense", "one")
