"""Records that somebody has changed by hand stop their own job, and nothing else."""

from collections.abc import Awaitable, Callable

import pytest

from orchestrator.findings import Verdict
from orchestrator.progress import progress_findings
from tasks.ids import JobId
from tasks.models import Failure
from tasks.states import StepStatus, TaskStatus
from tasks.store import Pruning
from tasks.store.jobs import DAMAGED
from tasks.store.survey import survey
from tests.support.builders import PARTITION
from tests.support.moves import Moves

Damaging = Callable[[Moves, JobId], Awaitable[None]]


async def no_start(moves: Moves, job: JobId) -> None:
    """A field of a running step is missing."""
    await moves.redis.hdel(f"{moves.store.keys.job(job)}:steps", "t:a")


async def no_steps(moves: Moves, job: JobId) -> None:
    """The steps are no hash."""
    key = f"{moves.store.keys.job(job)}:steps"
    await moves.redis.set(key, "no hash", px=60_000)


async def no_job(moves: Moves, job: JobId) -> None:
    """The job is no hash."""
    await moves.redis.set(moves.store.keys.job(job), "no hash", px=60_000)


async def no_number(moves: Moves, job: JobId) -> None:
    """A count is a word."""
    await moves.redis.hset(f"{moves.store.keys.job(job)}:steps", "x:a", "many")


async def running(moves: Moves) -> JobId:
    """A job whose first step runs and whose lease is over."""
    job = await moves.planned({"a": (), "b": ("a",)})
    await moves.running(job, "a")
    await moves.make_due(job, "a")
    return job


@pytest.mark.parametrize("damage", [no_start, no_steps, no_job, no_number])
async def test_a_damaged_record_does_not_stop_the_timers_of_others(moves: Moves, damage: Damaging) -> None:
    broken, fine = await running(moves), await running(moves)
    await damage(moves, broken)
    swept = await moves.jobs.sweep(PARTITION)
    assert swept.due == 2
    assert [(one.job, one.step) for one in swept.damaged] == [(broken, "a")]
    assert swept.damaged[0].reason
    assert await moves.status(fine, "a") is StepStatus.DELAYED
    assert (await moves.jobs.sweep(PARTITION)).due == 0


@pytest.mark.parametrize("damage", [no_start, no_number])
async def test_a_job_that_can_still_end_fails_and_says_why(moves: Moves, damage: Damaging) -> None:
    job = await running(moves)
    await damage(moves, job)
    (one,) = (await moves.jobs.sweep(PARTITION)).damaged
    assert one.ended
    assert (await moves.snapshots.status(job))[0] is TaskStatus.FAILED
    assert Failure.model_validate_json(await moves.field(job, "failure")) == DAMAGED
    assert f"{job}:a" not in await moves.timers()
    assert [step.status for step in (await survey(moves.store, PARTITION)).steps] == []


@pytest.mark.parametrize("damage", [no_steps, no_job])
async def test_what_cannot_end_is_put_aside_and_found_by_the_doctor(moves: Moves, damage: Damaging) -> None:
    job = await running(moves)
    await damage(moves, job)
    (one,) = (await moves.jobs.sweep(PARTITION)).damaged
    assert not one.ended
    found = await survey(moves.store, PARTITION)
    assert [(step.job, step.step, step.status) for step in found.steps] == [(job, "a", "damaged")]
    findings = {one.check: one for one in progress_findings(moves.store.settings, [found], [])}
    assert findings["records"].verdict is Verdict.PROBLEM
    assert f"{job}:a (damaged)" in findings["records"].message
    await moves.redis.delete(moves.store.keys.job(job))
    assert (await survey(moves.store, PARTITION)).steps == ()


async def test_a_damaged_job_does_not_stop_the_deadlines_of_others(moves: Moves) -> None:
    broken, fine = await moves.submitted(), await moves.submitted()
    for job in (broken, fine):
        await moves.make_due(job)
    await no_job(moves, broken)
    swept = await moves.jobs.sweep(PARTITION)
    assert [(one.job, one.step, one.ended) for one in swept.damaged] == [(broken, "", False)]
    assert (await moves.snapshots.status(fine))[0] is TaskStatus.FAILED


async def test_the_doctor_is_not_stopped_by_what_no_sweep_has_met_yet(moves: Moves) -> None:
    job = await moves.planned({"a": ()})
    await moves.running(job, "a")
    await moves.redis.hset(f"{moves.store.keys.job(job)}:specs", "a", "{not json")
    assert [step.status for step in (await survey(moves.store, PARTITION)).steps] == ["damaged"]


async def test_a_damaged_job_in_a_line_does_not_stop_those_behind_it(moves: Moves) -> None:
    await moves.jobs.sweep(PARTITION, {"worker": 1})
    first, broken, behind = [await moves.planned({"a": ()}) for _ in range(3)]
    await moves.redis.hset(moves.store.keys.job(broken), "flying", "many")
    await moves.redis.hset(moves.store.keys.job(broken), "cap", "3")
    await moves.succeed(first, "a")
    load = await moves.redis.hgetall(f"{moves.store.keys.jobs(PARTITION)}load")
    assert load["F:worker"] == "1"
    taken = {job: await moves.field(job, "g:a", ":steps") for job in (broken, behind)}
    assert taken == {broken: "", behind: "1"}
    found = await survey(moves.store, PARTITION)
    assert (broken, "", "damaged") in [(step.job, step.step, step.status) for step in found.steps]


async def test_what_is_gone_leaves_the_list_of_the_damaged(moves: Moves) -> None:
    job = await running(moves)
    await no_steps(moves, job)
    await moves.jobs.sweep(PARTITION)
    damaged = f"{moves.store.keys.jobs(PARTITION)}damaged"
    assert await moves.redis.zrange(damaged, 0, -1) == [f"{job}:a"]
    await moves.redis.delete(moves.store.keys.job(job))
    await Pruning(moves.store).unlist(PARTITION)
    assert await moves.redis.exists(damaged) == 0
