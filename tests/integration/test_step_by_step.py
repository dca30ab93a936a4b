"""A job that begins so many steps and stands still until it is told to go on."""

import asyncio

from orchestrator.report import report
from tasks.events import JobContinued
from tasks.ids import SYNTHESIS_STEP, new_job_id
from tasks.models import Join
from tasks.sessions import TaskState
from tasks.states import StepStatus, TaskStatus
from tasks.store.waits import WaitKind, WaitStore, Wanted
from tests.support.builders import BAD, COST, OUT_OF_LUCK, a_step
from tests.support.moves import Moves

ROW = {"a": (), "b": ("a",), "c": ("b",)}
HOUR_MS = 3_600_000


async def test_no_more_steps_begin_than_were_asked_for(moves: Moves) -> None:
    job = await moves.planned(ROW, max_steps=1)
    assert not report(await moves.snapshots.job(job)).paused
    await moves.succeed(job, "a")
    outcome = report(await moves.snapshots.job(job))
    assert (outcome.status, outcome.paused) == (TaskStatus.IN_PROGRESS, True)
    assert await moves.status(job, "b") is StepStatus.BLOCKED
    assert (await moves.kinds(job))[-1] == "job_paused"


async def test_it_goes_on_step_by_step_to_its_answer(moves: Moves) -> None:
    job = await moves.planned(ROW, max_steps=1)
    for step in "abc":
        await moves.succeed(job, step, f"found {step}")
        state = TaskState.of(report(await moves.snapshots.job(job)))
        done = "abc".index(step) + 1
        assert (state.completed_steps, state.current_step) == (tuple(range(done)), done)
        assert state.results == {at: f"found {'abc'[at]}" for at in range(done)}
        if step != "c":
            assert state.paused
            assert await moves.jobs.go_on(job, 1, HOUR_MS) is TaskStatus.IN_PROGRESS
    await moves.succeed(job, SYNTHESIS_STEP, "So.")
    outcome = report(await moves.snapshots.job(job))
    assert (outcome.status, outcome.answer, outcome.paused) == (TaskStatus.COMPLETED, "So.", False)


async def test_without_a_number_it_goes_on_to_its_end(moves: Moves) -> None:
    job = await moves.planned(ROW, max_steps=1)
    await moves.succeed(job, "a")
    assert await moves.jobs.go_on(job, None, HOUR_MS) is TaskStatus.IN_PROGRESS
    assert [one.steps for one in await moves.told(job) if isinstance(one, JobContinued)] == [None]
    for step in ("b", "c", SYNTHESIS_STEP):
        await moves.succeed(job, step)
    assert await moves.field(job, "status") == "completed"


async def test_of_steps_that_are_ready_at_once_only_so_many_begin(moves: Moves) -> None:
    job = await moves.planned(dict.fromkeys("abcd", ()), max_steps=2)
    assert [await moves.status(job, step) for step in "abcd"] == ["ready", "ready", "blocked", "blocked"]
    assert not report(await moves.snapshots.job(job)).paused  # two of them are under way
    await moves.jobs.go_on(job, 1, HOUR_MS)
    assert [await moves.status(job, step) for step in "abcd"] == ["ready", "ready", "ready", "blocked"]
    assert (await moves.kinds(job)).count("job_paused") == 2


async def test_a_retry_of_a_step_that_has_begun_is_no_further_step(moves: Moves) -> None:
    job = await moves.planned(ROW, max_steps=1)
    ref = await moves.faltered(job, "a", failure=BAD)
    await moves.jobs.postpone(ref, 0)
    assert await moves.status(job, "a") is StepStatus.READY


async def test_a_held_step_is_held_once_whatever_else_it_waited_for(moves: Moves) -> None:
    job = await moves.planned({"a": (), "b": (), "c": ("a", "b")}, joins={"c": Join.ANY}, max_steps=2)
    for step in "ab":
        await moves.succeed(job, step)
    assert (await moves.snapshots.job(job)).held == ("c",)
    assert (await moves.kinds(job)).count("job_paused") == 1
    await moves.jobs.go_on(job, 1, HOUR_MS)
    await moves.succeed(job, "c")
    await moves.succeed(job, SYNTHESIS_STEP)
    assert await moves.field(job, "status") == "completed"


async def test_it_gets_its_time_anew(moves: Moves) -> None:
    job = await moves.planned(ROW, max_steps=1, timeout_ms=5_000)
    await moves.succeed(job, "a")
    before = (await moves.timers())[job]
    await asyncio.sleep(0.005)  # Redis' clock
    await moves.jobs.go_on(job, 1, 5_000)
    assert (await moves.timers())[job] > before
    assert await moves.redis.pexpiretime(moves.store.keys.job(job)) == int(await moves.field(job, "expires"))


async def test_its_deadline_passes_also_while_it_stands(moves: Moves) -> None:
    job = await moves.planned(ROW, max_steps=1)
    await moves.succeed(job, "a")
    await moves.make_due(job)
    await moves.jobs.sweep(0)
    record = await moves.snapshots.job(job)
    assert record.status is TaskStatus.FAILED
    assert not report(record).paused
    told = await moves.kinds(job)
    assert await moves.jobs.go_on(job, 1, HOUR_MS) is TaskStatus.FAILED
    assert await moves.kinds(job) == told
    assert job not in await moves.timers()
    assert await moves.status(job, "b") is StepStatus.CANCELLED


async def test_one_that_was_never_there_is_nothing(moves: Moves) -> None:
    assert await moves.jobs.go_on(new_job_id(0), 1, HOUR_MS) is None


async def test_a_job_without_a_bound_is_not_given_one(moves: Moves) -> None:
    job = await moves.planned(ROW)
    await moves.jobs.go_on(job, 1, HOUR_MS)
    await moves.succeed(job, "a")
    await moves.succeed(job, "b")
    assert await moves.status(job, "c") is StepStatus.READY


async def test_steps_that_a_step_delegates_are_no_further_steps(moves: Moves) -> None:
    job = await moves.planned(ROW, max_steps=1)
    ref = await moves.running(job, "a")
    assert await moves.attempts.park(ref, [Wanted("c1", WaitKind.CHILDREN, "{}")], COST) is None
    steps = [(a_step("a_1", parent="a"), ())]
    assert await WaitStore(moves.store).adopt(job, ref.step, "c1", steps, '{"steps":["a_1"]}')
    assert await moves.status(job, "a_1") is StepStatus.READY
    state = TaskState.of(report(await moves.snapshots.job(job)))
    assert len(state.steps) == len(ROW)
    assert not state.paused


async def test_it_can_be_cancelled_while_it_stands(moves: Moves) -> None:
    job = await moves.planned(ROW, max_steps=1)
    await moves.succeed(job, "a")
    assert await moves.jobs.end_job(job, TaskStatus.CANCELLED, OUT_OF_LUCK) is TaskStatus.CANCELLED
    assert [await moves.status(job, step) for step in "bc"] == ["cancelled", "cancelled"]
