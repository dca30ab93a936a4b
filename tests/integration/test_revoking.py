"""Revoking a task in Celery's monitor: the job is cancelled while its step is at that attempt, and else nothing is."""

import pytest

from tasks.errors import UnknownJob
from tasks.ids import AttemptRef, JobId, StepId
from tasks.states import StepStatus, TaskStatus
from tests.support.moves import Moves
from workers.controls import REVOKED, cancel_job_of

PLAN = {"a": [], "b": ["a"]}


async def status(moves: Moves, job: JobId) -> TaskStatus:
    return (await moves.snapshots.status(job))[0]


@pytest.mark.parametrize("stage", ["dispatched", "running", "faltered"])
async def test_a_step_that_is_under_way_takes_its_job_with_it(stage: str, moves: Moves) -> None:
    job = await moves.planned(PLAN)
    ref: AttemptRef = await getattr(moves, stage)(job, "a")
    done, said = await cancel_job_of(moves.store, ref)
    assert (done, said) == (True, f"job {job} is cancelled, with all its steps")
    record = await moves.snapshots.job(job)
    assert (record.status, record.failure) == (TaskStatus.CANCELLED, REVOKED)
    assert {step.status for step in record.steps} == {StepStatus.CANCELLED}


async def test_every_worker_that_is_told_says_the_same(moves: Moves) -> None:
    job = await moves.planned(PLAN)
    ref = await moves.running(job, "a")
    assert await cancel_job_of(moves.store, ref) == await cancel_job_of(moves.store, ref)


async def test_a_step_that_has_ended_is_let_be(moves: Moves) -> None:
    job = await moves.planned(PLAN)
    await moves.succeed(job, "a")
    done, said = await cancel_job_of(moves.store, AttemptRef(job, StepId("a"), 1))
    assert (done, said) == (False, "step 'a' is succeeded: there is nothing to revoke")
    assert await status(moves, job) is TaskStatus.IN_PROGRESS


async def test_an_attempt_that_another_one_follows_is_let_be(moves: Moves) -> None:
    job = await moves.planned(PLAN)
    ref = await moves.running(job, "a")
    done, said = await cancel_job_of(moves.store, ref._replace(attempt=7))
    assert (done, said) == (False, "attempt 7 at step 'a' is over, attempt 1 goes on with it")
    assert await status(moves, job) is TaskStatus.IN_PROGRESS


async def test_what_there_is_not_is_said(moves: Moves) -> None:
    job = await moves.planned(PLAN)
    assert await cancel_job_of(moves.store, AttemptRef(job, StepId("z"), 1)) == (False, f"job {job} has no step 'z'")
    with pytest.raises(UnknownJob):
        await cancel_job_of(moves.store, AttemptRef(JobId("j0123456789abcdefgh0"), StepId("a"), 1))
