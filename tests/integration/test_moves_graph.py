"""What the end of a step does to those behind it, and to the job."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import pairwise

import pytest

from tasks.events import JobFinished, StepSkipped, ends_job
from tasks.ids import SYNTHESIS_STEP, AttemptRef, JobId, StepId
from tasks.models import Failure, Join, StepInput, StepResult
from tasks.states import StepStatus, TaskStatus
from tasks.store import Notice
from tests.support.builders import COST, DIAMOND, OUT_OF_LUCK, PARTITION, RESULT
from tests.support.moves import Moves

S = StepStatus
PAIR = {"a": (), "b": (), "both": ("a", "b")}


async def statuses(moves: Moves, job: JobId) -> dict[str, str]:
    return {one.step.id: one.status.value for one in (await moves.snapshots.job(job)).steps}


async def inputs(moves: Moves, job: JobId, step: str) -> Sequence[StepInput]:
    claim = await moves.claim(await moves.dispatched(job, step))
    assert claim is not None
    return claim.inputs


async def end(moves: Moves, job: JobId, step: str, *, well: bool) -> None:
    await (moves.succeed(job, step, f"results of {step}") if well else moves.fail(job, step))


@pytest.mark.parametrize(
    ("join", "first", "second", "after_one", "after_both"),
    [
        (Join.ALL, True, True, S.BLOCKED, S.READY),
        (Join.ALL, True, False, S.BLOCKED, S.SKIPPED),
        (Join.ALL, False, True, S.BLOCKED, S.SKIPPED),
        (Join.ALL, False, False, S.BLOCKED, S.SKIPPED),
        (Join.ANY, True, True, S.READY, S.READY),
        (Join.ANY, True, False, S.READY, S.READY),
        (Join.ANY, False, True, S.BLOCKED, S.READY),
        (Join.BEST_EFFORT, True, True, S.BLOCKED, S.READY),
        (Join.BEST_EFFORT, True, False, S.BLOCKED, S.READY),
        (Join.BEST_EFFORT, False, True, S.BLOCKED, S.READY),
    ],
)
async def test_a_join_decides_when_a_step_may_run(
    moves: Moves, join: Join, first: bool, second: bool, after_one: StepStatus, after_both: StepStatus
) -> None:
    job = await moves.planned({**PAIR, "other": ()}, joins={"both": join})
    await end(moves, job, "a", well=first)
    assert await moves.status(job, "both") is after_one
    await end(moves, job, "b", well=second)
    assert await moves.status(job, "both") is after_both


@pytest.mark.parametrize("join", [Join.ANY, Join.BEST_EFFORT])
async def test_a_step_with_nothing_to_work_on_is_skipped(moves: Moves, join: Join) -> None:
    job = await moves.planned({**PAIR, "other": ()}, joins={"both": join})
    await moves.fail(job, "a")
    assert await moves.status(job, "both") is S.BLOCKED
    await moves.fail(job, "b")
    assert await moves.status(job, "both") is S.SKIPPED


async def test_a_step_becomes_ready_once(moves: Moves) -> None:
    job = await moves.planned(PAIR, joins={"both": Join.ANY})
    await moves.asked_for(Notice.STEP_READY)
    await moves.succeed(job, "a")
    await moves.succeed(job, "b")
    assert await moves.asked_for(Notice.STEP_READY) == [AttemptRef(job, StepId("both"), 1)]


async def test_the_end_of_one_dependency_does_not_disturb_a_step_that_runs(moves: Moves) -> None:
    job = await moves.planned(PAIR, joins={"both": Join.ANY})
    await moves.succeed(job, "a")
    ref = await moves.running(job, "both")
    await moves.fail(job, "b")
    assert await moves.status(job, "both") is S.RUNNING
    assert await moves.attempts.succeed(ref, RESULT, COST) is None


async def test_a_skip_goes_on_to_all_that_depend_on_it(moves: Moves) -> None:
    job = await moves.planned({"a": (), "b": ("a",), "c": ("b",), "d": ("b", "c"), "other": ()})
    seq = (await moves.snapshots.job(job)).seq
    await moves.fail(job, "a")
    assert await statuses(moves, job) == {
        "a": "failed",
        "b": "skipped",
        "c": "skipped",
        "d": "skipped",
        "other": "ready",
        "synthesis": "blocked",
    }
    skipped = [event.step for event in await moves.told(job, seq) if isinstance(event, StepSkipped)]
    assert sorted(skipped) == ["b", "c", "d"]
    assert (await moves.field(job, "open"), await moves.field(job, "done")) == ("2", "4")


async def test_a_step_gets_the_results_of_its_dependencies(moves: Moves) -> None:
    job = await moves.planned(DIAMOND)
    await moves.succeed(job, "a", "of a")
    await moves.succeed(job, "b", "of b")
    await moves.succeed(job, "c", "of c")
    given = await inputs(moves, job, "d")
    assert [(one.step, one.status, one.result, one.failure) for one in given] == [
        ("b", S.SUCCEEDED, StepResult(text="of b"), None),
        ("c", S.SUCCEEDED, StepResult(text="of c"), None),
    ]


async def test_results_behind_a_failed_step_reach_the_synthesis(moves: Moves) -> None:
    """a succeeded, b on it failed, c behind b was skipped; only `other` is a sink that succeeded."""
    job = await moves.planned({"a": (), "b": ("a",), "c": ("b",), "other": ()})
    await moves.succeed(job, "a", "of a")
    await moves.fail(job, "b")
    await moves.succeed(job, "other", "of other")
    given = {one.step: one for one in await inputs(moves, job, SYNTHESIS_STEP)}
    assert {step: one.status for step, one in given.items()} == {
        "c": S.SKIPPED,
        "other": S.SUCCEEDED,
        "b": S.FAILED,
        "a": S.SUCCEEDED,
    }
    assert given[StepId("a")].result == StepResult(text="of a")
    assert given[StepId("b")].failure == OUT_OF_LUCK
    assert (given[StepId("c")].result, given[StepId("c")].failure) == (None, None)


async def test_a_result_that_is_reached_twice_is_given_once(moves: Moves) -> None:
    job = await moves.planned({**DIAMOND, "other": ()}, joins={"d": Join.ALL})
    await moves.succeed(job, "a")
    await moves.fail(job, "b")
    await moves.fail(job, "c")
    await moves.succeed(job, "other")
    given = [one.step for one in await inputs(moves, job, SYNTHESIS_STEP)]
    assert sorted(given) == ["a", "b", "c", "d", "other"]


async def test_the_synthesis_completes_the_job(moves: Moves) -> None:
    job = await moves.planned({"a": ()})
    await moves.succeed(job, "a")
    await moves.succeed(job, SYNTHESIS_STEP, "the answer")
    record = await moves.snapshots.job(job)
    assert (record.status, record.final, record.failure) == (TaskStatus.COMPLETED, True, None)
    assert record.finished_at is not None
    assert record.steps[-1].result == StepResult(text="the answer")
    last = (await moves.told(job))[-1]
    assert isinstance(last, JobFinished)
    assert (last.status, last.failure, ends_job(last)) == (TaskStatus.COMPLETED, None, True)
    assert await moves.timers() == {}
    assert (await moves.field(job, "open"), await moves.field(job, "done")) == ("0", "2")
    listed = (await moves.snapshots.jobs(1))[0]
    assert (listed.steps_done, listed.steps_total, listed.cost_microusd) == (2, 2, 2 * COST.cost_microusd)


async def test_what_still_runs_when_the_answer_is_written_is_cancelled(moves: Moves) -> None:
    job = await moves.planned(PAIR, joins={"both": Join.ANY})
    await moves.succeed(job, "a")
    slow = await moves.running(job, "b")
    await moves.succeed(job, "both")
    await moves.succeed(job, SYNTHESIS_STEP)
    assert await moves.status(job, "b") is S.CANCELLED
    assert list((await moves.attempts.heartbeat(0, [slow])).values()) == ["cancelled"]
    assert await moves.timers() == {}


async def test_a_job_without_any_result_fails_and_says_why(moves: Moves) -> None:
    job = await moves.planned(PAIR, joins={"both": Join.BEST_EFFORT})
    await moves.fail(job, "a")
    await moves.fail(job, "b", Failure(code="bad", message='it "broke" \\ badly'))
    record = await moves.snapshots.job(job)
    assert record.status is TaskStatus.FAILED
    assert record.failure is not None
    assert record.failure.code == "no_result"
    assert 'step b: it "broke" \\ badly' in record.failure.message
    assert await statuses(moves, job) == {"a": "failed", "b": "failed", "both": "skipped", "synthesis": "skipped"}


async def test_a_planning_step_that_is_given_up_fails_the_job(moves: Moves) -> None:
    job = await moves.submitted()
    await moves.fail(job, "plan")
    record = await moves.snapshots.job(job)
    assert (record.status, record.failure, record.steps[0].failure) == (TaskStatus.FAILED, OUT_OF_LUCK, OUT_OF_LUCK)


async def test_a_synthesis_that_is_given_up_fails_the_job(moves: Moves) -> None:
    job = await moves.planned({"a": ()})
    await moves.succeed(job, "a")
    await moves.fail(job, SYNTHESIS_STEP)
    record = await moves.snapshots.job(job)
    assert (record.status, record.failure) == (TaskStatus.FAILED, OUT_OF_LUCK)


async def test_a_plan_that_was_made_is_proposed(moves: Moves) -> None:
    job = await moves.submitted()
    await moves.entries()
    await moves.succeed(job, "plan")
    assert await moves.asked_for(Notice.PLAN_PROPOSED) == [AttemptRef(job, StepId("plan"), 1)]
    assert (await moves.snapshots.status(job))[0] is TaskStatus.PENDING


@pytest.mark.parametrize("status", [TaskStatus.CANCELLED, TaskStatus.FAILED])
async def test_a_job_that_is_ended_ends_all_its_open_steps(moves: Moves, status: TaskStatus) -> None:
    job = await moves.planned({"done": (), "run": (), "sent": (), "wait": ("done", "run"), "late": ()})
    await moves.succeed(job, "done")
    await moves.running(job, "run")
    await moves.dispatched(job, "sent")
    await moves.jobs.postpone(await moves.faltered(job, "late"), 60_000)
    assert await moves.jobs.end_job(job, status, OUT_OF_LUCK) is status
    assert await statuses(moves, job) == {
        "done": "succeeded",
        **dict.fromkeys(("run", "sent", "wait", "late", "synthesis"), "cancelled"),
    }
    record = await moves.snapshots.job(job)
    assert (record.status, record.failure) == (status, OUT_OF_LUCK)
    assert await moves.timers() == {}
    assert (await moves.field(job, "open"), await moves.field(job, "done")) == ("0", "6")
    last = (await moves.told(job))[-1]
    assert isinstance(last, JobFinished)
    assert (last.status, last.failure) == (status, OUT_OF_LUCK)


async def test_a_final_job_stays_what_it_is(moves: Moves) -> None:
    job = await moves.planned({"a": ()})
    await moves.jobs.end_job(job, TaskStatus.FAILED, OUT_OF_LUCK)
    before = await moves.everything(job)
    assert await moves.jobs.end_job(job, TaskStatus.CANCELLED, OUT_OF_LUCK) is TaskStatus.FAILED
    assert await moves.everything(job) == before


async def test_a_job_past_its_deadline_fails_with_all_its_open_steps(moves: Moves) -> None:
    job = await moves.planned({"a": (), "b": ("a",)})
    ref = await moves.running(job, "a")
    await moves.make_due(job)
    assert (await moves.jobs.sweep(0)).due == 1
    record = await moves.snapshots.job(job)
    assert record.status is TaskStatus.FAILED
    assert record.failure is not None
    assert record.failure.code == "deadline_passed"
    assert set((await statuses(moves, job)).values()) == {"cancelled"}
    assert list((await moves.attempts.heartbeat(0, [ref])).values()) == ["cancelled"]


async def test_a_deadline_and_a_lease_that_end_together_end_the_job_once(moves: Moves) -> None:
    job = await moves.planned({"a": (), "b": ()})
    await moves.running(job, "a")
    await moves.dispatched(job, "b")
    for step in (None, "a", "b"):
        await moves.make_due(job, step)
    assert (await moves.jobs.sweep(0)).due == 3
    assert (await moves.kinds(job)).count("job_finished") == 1
    assert set((await statuses(moves, job)).values()) == {"cancelled"}
    assert await moves.timers() == {}


async def test_events_are_numbered_without_gaps_and_read_from_any_number_on(moves: Moves) -> None:
    job = await moves.planned(DIAMOND)
    for step in ("a", "b", "c", "d", SYNTHESIS_STEP):
        await moves.succeed(job, step)
    told = await moves.told(job)
    assert [event.seq for event in told] == list(range(1, len(told) + 1))
    assert (await moves.snapshots.status(job)) == (TaskStatus.COMPLETED, len(told))
    for after in range(len(told) + 1):
        assert await moves.told(job, after) == told[after:]
    assert await moves.told(job, -1) == told
    assert all(event.at <= later.at for event, later in pairwise(told))


async def test_only_so_many_events_are_kept(moves_with: Callable[..., Moves]) -> None:
    moves = moves_with(events_max=100)
    await moves.outbox.open(0)
    job = await moves.planned({"a": ()})
    ref = await moves.running(job, "a")
    for _ in range(10):
        await moves.attempts.report(ref, [("step_progress", '{"message":"x"}')] * 50)
    kept = await moves.told(job)
    assert 100 <= len(kept) <= 200
    assert kept[-1].seq == (await moves.snapshots.job(job)).seq > 500


async def test_waiting_for_events_ends_with_the_first_one(moves: Moves) -> None:
    job = await moves.planned({"a": ()})
    seq = (await moves.snapshots.job(job)).seq
    waiting = asyncio.create_task(moves.events.read(job, seq, wait=timedelta(seconds=2)))
    await asyncio.sleep(0)
    await moves.dispatched(job, "a")
    assert [event.type for event in await asyncio.wait_for(waiting, 1)] == ["step_dispatched"]


async def test_a_wait_in_vain_is_an_empty_list(moves: Moves) -> None:
    job = await moves.planned({"a": ()})
    seq = (await moves.snapshots.job(job)).seq
    assert await moves.events.read(job, seq, wait=timedelta(milliseconds=20)) == []


async def test_the_answer_is_written_from_what_succeeded_before_the_last_steps_failed(moves: Moves) -> None:
    job = await moves.planned({"a": (), "b": ("a",)})
    await moves.succeed(job, "a", "what was found")
    await moves.fail(job, "b")
    claim = await moves.claim(await moves.dispatched(job, "synthesis"))
    assert claim is not None
    assert {item.step: item.status.value for item in claim.inputs} == {"b": "failed", "a": "succeeded"}


async def test_a_quorum_that_is_late_begins_with_one_success(moves: Moves) -> None:
    limits = {"c": {"quorum": 2, "join_ms": 3_600_000}}
    job = await moves.planned({"a": (), "b": (), "c": ("a", "b")}, joins={"c": Join.QUORUM}, each=limits)
    await moves.succeed(job, "a")
    assert await moves.status(job, "c") is StepStatus.BLOCKED
    await moves.make_due(job, "c")
    await moves.jobs.sweep(PARTITION)
    assert await moves.status(job, "c") is StepStatus.READY


async def test_a_quorum_that_is_late_before_any_success_begins_with_the_first(moves: Moves) -> None:
    limits = {"c": {"quorum": 2, "join_ms": 3_600_000}}
    job = await moves.planned({"a": (), "b": (), "c": ("a", "b")}, joins={"c": Join.QUORUM}, each=limits)
    await moves.make_due(job, "c")
    await moves.jobs.sweep(PARTITION)
    assert await moves.status(job, "c") is StepStatus.BLOCKED
    await moves.succeed(job, "b")
    assert await moves.status(job, "c") is StepStatus.READY
