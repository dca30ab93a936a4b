"""A job again from one of its steps: what succeeded before it is there from the beginning, and costs nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest

from orchestrator import AsyncTroupe, Troupe
from orchestrator.report import report
from tasks.errors import (
    BadRecording,
    ContractError,
    FleetFull,
    IdempotencyConflict,
    InvalidPlan,
    StateConflict,
    UnknownJob,
)
from tasks.events import JobForked
from tasks.ids import SYNTHESIS_STEP, AttemptRef, JobId, StepId, new_job_id, partition_of
from tasks.models import Join, Origin, Plan, PlannedStep, Source, StepResult
from tasks.results import JobResult
from tasks.settings import StoreSettings
from tasks.states import TaskStatus
from tasks.store import JobStore, NewStep, Reused
from tasks.store.payload import PACK_ABOVE
from tests.integration.test_patterns import echo, played
from tests.integration.test_replanning import TWO, fleet_of, planning
from tests.support.builders import COST, DIAMOND, OUT_OF_LUCK, PARTITION, a_graph, a_job, a_plan, a_step
from tests.support.deciding import Deciding
from tests.support.fleet import Fleet
from tests.support.moves import NO_WAIT, Moves
from tests.support.waiting import wait_until
from workers.context import StepContext

DONE = {"a": "succeeded", "b": "succeeded", "c": "succeeded", "d": "succeeded", SYNTHESIS_STEP: "succeeded"}
SOURCE = Source(id="p0123456789", title="Handbook", path="/docs/handbook.md", text="It is so.")


@pytest.fixture
async def troupe(store_settings: StoreSettings) -> AsyncIterator[AsyncTroupe]:
    async with AsyncTroupe(settings=store_settings) as troupe:
        yield troupe


@pytest.fixture
def deciding(moves: Moves) -> Deciding:
    return Deciding(moves, no_worker_s=0.001)


async def completed(moves: Moves, deciding: Deciding, **fields: Any) -> JobId:
    """A diamond that has ended, each step with a result of its own."""
    job = await deciding.submitted(a_job(plan=a_plan(DIAMOND), **fields))
    await play(moves, deciding, job)
    return job


async def play(moves: Moves, deciding: Deciding, job: JobId, word: str = "found") -> list[str]:
    """Run all that is published of a job to its result; which attempts that were."""
    done: list[str] = []
    while True:
        await deciding.turn()
        sent = [one.message.ref for one in deciding.publisher.sent if one.message.job == job]
        left = [ref for ref in sent if f"{ref.step}:{ref.attempt}" not in done]
        fresh = [ref for ref in left if await moves.claim(ref) is not None]
        if not fresh:
            return done
        for ref in fresh:
            result = StepResult(text=f"{word} {ref.step}", sources=(SOURCE,), data={"of": ref.step})
            assert await moves.attempts.succeed(ref, result, COST) is None
            done.append(f"{ref.step}:{ref.attempt}")


async def statuses(moves: Moves, job: JobId) -> dict[str, str]:
    return {one.step.id: one.status.value for one in (await moves.snapshots.job(job)).steps}


async def outcome(moves: Moves, job: JobId) -> JobResult:
    return report(await moves.snapshots.job(job))


def reused(result: JobResult) -> list[str]:
    return [one.id for one in result.steps if one.reused_from is not None]


async def test_what_succeeded_before_the_step_is_there_and_only_the_rest_is_done(
    troupe: AsyncTroupe, moves: Moves, deciding: Deciding
) -> None:
    job = await completed(moves, deciding)
    fork = await troupe.job(job).fork("c")
    assert await statuses(moves, fork.id) == {"a": "succeeded", "b": "succeeded"}
    assert await play(moves, deciding, fork.id, "now") == ["c:1", "d:1", f"{SYNTHESIS_STEP}:1"]
    result = await fork.snapshot()
    assert result.status is TaskStatus.COMPLETED
    assert {one.id: one.result.text for one in result.steps if one.result} == {
        "a": "found a", "b": "found b", "c": "now c", "d": "now d", SYNTHESIS_STEP: "now synthesis"
    }  # fmt: skip
    assert result.forked_from == Origin(job_id=job, step=StepId("c"))


async def test_what_is_reused_keeps_its_result_and_costs_nothing(
    troupe: AsyncTroupe, moves: Moves, deciding: Deciding
) -> None:
    job = await completed(moves, deciding)
    fork = await troupe.job(job).fork("c")
    await play(moves, deciding, fork.id)
    before, after = await outcome(moves, job), await fork.snapshot()
    a = after.steps[0]
    assert (a.id, a.attempts, a.worker, a.started_at, a.reused_from) == ("a", 0, None, None, job)
    assert a.result == before.steps[0].result
    assert a.result is not None
    assert a.result.sources == (SOURCE,)
    assert a.finished_at is not None
    assert a.usage.requests == 0
    assert (after.usage.requests, before.usage.requests) == (3, 5)
    assert reused(before) == []
    assert (await fork.ledger()).total.requests == 3


async def test_the_planner_is_not_asked(troupe: AsyncTroupe, moves: Moves, deciding: Deciding) -> None:
    job = await deciding.submitted(a_job())
    proposal = Plan(rationale="Four parts.", steps=a_plan(DIAMOND).steps)
    await deciding.propose(job, proposal)
    await play(moves, deciding, job)
    fork = await troupe.job(job).fork("d")
    assert await play(moves, deciding, fork.id) == ["d:1", f"{SYNTHESIS_STEP}:1"]
    assert "plan" not in await statuses(moves, fork.id)
    assert 'Four parts."' in str(await moves.redis.xrange(moves.store.keys.events(fork.id)))


async def test_only_the_answer_is_written_anew_from_synthesis(
    troupe: AsyncTroupe, moves: Moves, deciding: Deciding
) -> None:
    job = await completed(moves, deciding)
    fork = await troupe.job(job).fork("synthesis", edit={"task": "In one word."}, model="other")
    assert await play(moves, deciding, fork.id) == [f"{SYNTHESIS_STEP}:1"]
    result = await fork.snapshot()
    assert (result.status, result.task, reused(result)) == (TaskStatus.COMPLETED, "In one word.", ["a", "b", "c", "d"])
    assert (await moves.snapshots.job(fork.id)).spec.model == "other"


async def test_from_plan_all_is_planned_and_done_anew(troupe: AsyncTroupe, moves: Moves, deciding: Deciding) -> None:
    job = await deciding.submitted(a_job())
    await deciding.propose(job, a_plan(DIAMOND))
    await play(moves, deciding, job)
    fork = await troupe.job(job).fork("plan", edit={"task": "Again."})
    await deciding.turn()
    await deciding.propose(fork.id, a_plan({"x": ()}))
    assert await play(moves, deciding, fork.id) == ["x:1", f"{SYNTHESIS_STEP}:1"]
    assert (await fork.snapshot()).forked_from == Origin(job_id=job, step=StepId("plan"))


async def test_steps_are_edited_added_and_left_out(troupe: AsyncTroupe, moves: Moves, deciding: Deciding) -> None:
    job = await completed(moves, deciding)
    edit: dict[str, Any] = {
        "steps": {
            "b": None,
            "c": {"description": "Do it with care.", "agent": "analysis", "tools": []},
            "e": {"description": "Another view.", "agent": "search", "depends_on": ["a"]},
            "d": {"depends_on": ["c", "e"]},
        }
    }
    fork = await troupe.job(job).fork("b", edit={"steps": {"b": {"description": "B anew."}}})
    assert [one.description for one in (await moves.snapshots.job(fork.id)).spec.plan.steps] == [  # pyright: ignore[reportOptionalMemberAccess]
        "Do a.", "B anew.", "Do c.", "Do d."
    ]  # fmt: skip
    with pytest.raises(ContractError, match=r"steps\.c: it is reused, so a change would have no effect"):
        await troupe.job(job).fork("b", edit=edit)
    other = await troupe.job(job).fork("a", edit=edit)
    assert sorted(await play(moves, deciding, other.id)) == ["a:1", "c:1", "d:1", "e:1", f"{SYNTHESIS_STEP}:1"]
    steps = {one.step.id: one.step for one in (await moves.snapshots.job(other.id)).steps}
    assert (steps[StepId("c")].agent, steps[StepId("c")].tools) == ("analysis", ())
    assert steps[StepId("d")].depends_on == ("c", "e")


async def test_a_running_job_gives_what_has_succeeded(troupe: AsyncTroupe, moves: Moves, deciding: Deciding) -> None:
    job = await deciding.submitted(a_job(plan=a_plan(DIAMOND)))
    await deciding.settle(AttemptRef(job, StepId("a"), 1))
    await deciding.settle(AttemptRef(job, StepId("b"), 1))
    fork = await troupe.job(job).fork("d")
    assert await statuses(moves, fork.id) == {"a": "succeeded", "b": "succeeded"}
    assert await play(moves, deciding, fork.id) == ["c:1", "d:1", f"{SYNTHESIS_STEP}:1"]


async def test_a_failed_and_a_cancelled_job_are_forked_too(
    troupe: AsyncTroupe, moves: Moves, deciding: Deciding
) -> None:
    job = await deciding.submitted(a_job(plan=a_plan(DIAMOND)))
    await deciding.settle(AttemptRef(job, StepId("a"), 1))
    assert await troupe.job(job).cancel() is TaskStatus.CANCELLED
    fork = await troupe.job(job).fork("b")
    assert sorted(await play(moves, deciding, fork.id)) == ["b:1", "c:1", "d:1", f"{SYNTHESIS_STEP}:1"]
    assert reused(await fork.snapshot()) == ["a"]


async def test_a_fork_is_forked(troupe: AsyncTroupe, moves: Moves, deciding: Deciding) -> None:
    job = await completed(moves, deciding)
    fork = await troupe.job(job).fork("c")
    await play(moves, deciding, fork.id)
    again = await fork.fork("d")
    assert await play(moves, deciding, again.id) == ["d:1", f"{SYNTHESIS_STEP}:1"]
    assert [one.reused_from for one in (await again.snapshot()).steps] == [fork.id] * 3 + [None] * 2


async def test_the_fork_lives_on_when_the_job_is_forgotten(
    troupe: AsyncTroupe, moves: Moves, deciding: Deciding
) -> None:
    job = await completed(moves, deciding)
    fork = await troupe.job(job).fork("d")
    assert await troupe.prune(0) == 1
    await play(moves, deciding, fork.id)
    assert (await fork.snapshot()).status is TaskStatus.COMPLETED
    with pytest.raises(UnknownJob):
        await troupe.job(job).fork("d")


async def test_a_large_result_is_taken_over_whole(troupe: AsyncTroupe, moves: Moves, deciding: Deciding) -> None:
    job = await deciding.submitted(a_job(plan=a_plan({"a": (), "b": ("a",)})))
    large = StepResult(text="words of a finding " * (PACK_ABOVE // 16))
    await deciding.settle(AttemptRef(job, StepId("a"), 1), large)
    fork = await troupe.job(job).fork("b")
    await deciding.turn()
    claim = await moves.claim(AttemptRef(fork.id, StepId("b"), 1))
    assert claim is not None
    assert [one.result for one in claim.inputs] == [large]
    await moves.jobs.end_job(job, TaskStatus.CANCELLED, OUT_OF_LUCK)
    assert (await moves.snapshots.job(fork.id)).steps[0].result == large


async def test_a_second_fork_under_one_key_is_the_first(troupe: AsyncTroupe, moves: Moves, deciding: Deciding) -> None:
    job = await deciding.submitted(a_job(plan=a_plan(DIAMOND)))
    await deciding.settle(AttemptRef(job, StepId("a"), 1))
    first = await troupe.job(job).fork("d", idempotency_key="k")
    await deciding.settle(AttemptRef(job, StepId("b"), 1))  # so that another fork would find more to reuse
    again = await troupe.job(job).fork("d", idempotency_key="k")
    assert again.id == first.id
    assert partition_of(first.id) == partition_of(job)
    with pytest.raises(IdempotencyConflict):
        await troupe.job(job).fork("d", edit={"task": "Another one."}, idempotency_key="k")
    with pytest.raises(IdempotencyConflict):
        await troupe.job(job).fork("c", idempotency_key="k")


async def test_forks_at_the_same_moment_under_one_key_are_one(
    troupe: AsyncTroupe, moves: Moves, deciding: Deciding
) -> None:
    job = await completed(moves, deciding)
    forks = await asyncio.gather(*(troupe.job(job).fork("c", idempotency_key="k") for _ in range(5)))
    assert len({fork.id for fork in forks}) == 1
    await play(moves, deciding, forks[0].id)
    assert (await forks[0].snapshot()).usage.requests == 3


async def test_a_key_stands_for_what_was_asked_however_far_the_job_has_come(
    troupe: AsyncTroupe, moves: Moves, deciding: Deciding
) -> None:
    plan = a_plan({"a": (), "b": (), "x": ("a", "b"), "y": ("x",)})
    steps = [one.model_copy(update={"join": Join.ANY}) if one.id == "x" else one for one in plan.steps]
    job = await deciding.submitted(a_job(plan=plan.model_copy(update={"steps": steps})))
    for step in ("a", "x"):
        await deciding.settle(AttemptRef(job, StepId(step), 1))
    first = await troupe.job(job).fork("y", idempotency_key="k")  # without b, which nobody needs
    await deciding.settle(AttemptRef(job, StepId("b"), 1))
    assert (await troupe.job(job).fork("y", idempotency_key="k")).id == first.id


async def test_a_submit_that_is_repeated_by_its_id_changes_nothing(
    troupe: AsyncTroupe, moves: Moves, deciding: Deciding
) -> None:
    job = await completed(moves, deciding)
    spec = a_job(plan=a_plan({"a": ()}), forked_from=Origin(job_id=job, step=SYNTHESIS_STEP))
    taken = Reused(Origin(job_id=job, step=SYNTHESIS_STEP), (NewStep(a_step("a")),), "")
    await moves.jobs.submit(spec, None, None, taken)
    before = await moves.everything(spec.id)
    await moves.jobs.submit(spec, None, None, taken)
    assert await moves.everything(spec.id) == before


async def test_a_step_that_has_lost_its_result_meanwhile_is_refused_and_nothing_written(
    moves: Moves, deciding: Deciding
) -> None:
    job = await deciding.submitted(a_job(plan=a_plan(DIAMOND)))
    spec = a_job(plan=a_plan(DIAMOND), idempotency_key="k")
    taken = Reused(Origin(job_id=job, step=StepId("b")), (NewStep(a_step("a")),), "")
    with pytest.raises(StateConflict, match="no result of step 'a'"):
        await moves.jobs.submit(spec, None, None, taken)
    gone = Reused(Origin(job_id=new_job_id(PARTITION), step=StepId("b")), taken.steps, "")
    with pytest.raises(StateConflict):
        await moves.jobs.submit(spec, None, None, gone)
    assert not any([await moves.redis.exists(key) async for key in moves.redis.scan_iter(match=f"*{spec.id}*")])
    await deciding.settle(AttemptRef(job, StepId("a"), 1))
    assert await moves.jobs.submit(spec, None, None, taken) == spec.id


async def test_a_job_that_is_retried_at_the_same_moment_is_looked_at_again(
    troupe: AsyncTroupe, moves: Moves, deciding: Deciding, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await completed(moves, deciding)
    submit, tries = JobStore.submit, list[int]()

    async def busy(self: JobStore, *given: Any, **named: Any) -> JobId:
        tries.append(1)
        if len(tries) < 3:
            raise StateConflict("no result any more")
        return await submit(self, *given, **named)

    monkeypatch.setattr(JobStore, "submit", busy)
    fork = await troupe.job(job).fork("c")
    assert (len(tries), await fork.status()) == (3, TaskStatus.PENDING)

    async def always(self: JobStore, *given: Any, **named: Any) -> JobId:
        raise StateConflict("no result any more")

    monkeypatch.setattr(JobStore, "submit", always)
    with pytest.raises(StateConflict):
        await troupe.job(job).fork("c")


async def test_the_plan_is_accepted_once_however_often_it_is_delivered(
    troupe: AsyncTroupe, moves: Moves, deciding: Deciding
) -> None:
    job = await completed(moves, deciding)
    fork = await troupe.job(job).fork("c")
    entries = await moves.entries()
    assert [entry.notice.value for entry in entries] == ["plan_proposed"]
    for _ in range(3):
        await deciding.actor.act(PARTITION, entries)
    assert await play(moves, deciding, fork.id) == ["c:1", "d:1", f"{SYNTHESIS_STEP}:1"]
    assert (await moves.kinds(fork.id)).count("plan_accepted") == 1
    names = await moves.redis.hmget(moves.store.keys.job(fork.id), "open", "done", "total", "won")
    assert names == ["0", "5", "5", "4"]


async def test_an_orchestrator_that_dies_before_the_plan_is_accepted_loses_nothing(
    troupe: AsyncTroupe, moves: Moves, deciding: Deciding, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await completed(moves, deciding)
    fork = await troupe.job(job).fork("c")
    assert len(await moves.entries()) == 1  # read by one that is killed then
    monkeypatch.setattr("tasks.store.outbox.TAKE_OVER", NO_WAIT)
    assert await deciding.take_over() == 1
    assert await play(moves, deciding, fork.id) == ["c:1", "d:1", f"{SYNTHESIS_STEP}:1"]


async def test_agents_of_reused_steps_need_not_be_there_and_those_of_others_must(
    troupe: AsyncTroupe, moves: Moves, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.store.outbox.TAKE_OVER", NO_WAIT)
    deciding = Deciding(moves, no_worker_s=0.02)
    job = await moves.planned({"a": (), "b": ("a",)}, each={"a": {"agent": "gone"}, "b": {"agent": "search"}})
    await moves.succeed(job, "a")
    fork = await troupe.job(job).fork("b")
    await deciding.turn()
    assert await statuses(moves, fork.id) == {"a": "succeeded", "b": "dispatched", SYNTHESIS_STEP: "blocked"}
    other = await troupe.job(job).fork("b", edit={"steps": {"b": {"agent": "unheard-of"}}})
    await deciding.turn()

    async def refused() -> bool:
        await deciding.take_over()
        return (await other.status()) is TaskStatus.FAILED

    await wait_until(refused, within=20)
    failed = await other.snapshot()
    assert failed.error is not None
    assert failed.error.code == "invalid_plan"
    assert "steps[1].agent: 'unheard-of' is unknown" in failed.error.message


async def test_any_that_has_one_reused_result_runs_at_once(
    troupe: AsyncTroupe, moves: Moves, deciding: Deciding
) -> None:
    plan = a_plan({"a": (), "b": (), "x": ("a", "b")})
    plan = plan.model_copy(update={"steps": [*plan.steps[:2], plan.steps[2].model_copy(update={"join": Join.ANY})]})
    job = await deciding.submitted(a_job(plan=plan))
    await play(moves, deciding, job)
    fork = await troupe.job(job).fork("b")
    await deciding.turn()
    assert (await statuses(moves, fork.id))["x"] == "dispatched"
    assert sorted(await play(moves, deciding, fork.id)) == ["b:1", f"{SYNTHESIS_STEP}:1", "x:1"]


async def test_what_nobody_needs_any_more_is_left_out(troupe: AsyncTroupe, moves: Moves, deciding: Deciding) -> None:
    plan = a_plan({"a": (), "b": (), "x": ("a", "b"), "y": ("x",)})
    steps = [one.model_copy(update={"join": Join.ANY}) if one.id == "x" else one for one in plan.steps]
    job = await deciding.submitted(a_job(plan=plan.model_copy(update={"steps": steps})))
    await deciding.settle(AttemptRef(job, StepId("a"), 1))
    await deciding.settle(AttemptRef(job, StepId("x"), 1))
    fork = await troupe.job(job).fork("y")
    assert await play(moves, deciding, fork.id) == ["y:1", f"{SYNTHESIS_STEP}:1"]
    assert await statuses(moves, fork.id) == {
        "a": "succeeded", "x": "succeeded", "y": "succeeded", SYNTHESIS_STEP: "succeeded"
    }  # fmt: skip
    with pytest.raises(ContractError, match=r"steps\.b: nothing that is done anew needs this step"):
        await troupe.job(job).fork("y", edit={"steps": {"b": {"description": "B."}}})


async def test_a_failed_step_of_a_fork_is_retried_and_its_reused_ones_stay(
    troupe: AsyncTroupe, moves: Moves, deciding: Deciding
) -> None:
    job = await completed(moves, deciding)
    fork = await troupe.job(job).fork("c")
    await deciding.turn()
    ref = AttemptRef(fork.id, StepId("c"), 1)
    assert await moves.claim(ref) is not None
    assert await moves.attempts.fail(ref, OUT_OF_LUCK, COST) is None
    assert await play(moves, deciding, fork.id) == [f"{SYNTHESIS_STEP}:1"]
    assert [one.step for one in (await fork.snapshot()).missing] == ["c", "d"]
    assert await fork.retry() == ("c",)
    assert await play(moves, deciding, fork.id) == ["c:3", "d:1", f"{SYNTHESIS_STEP}:3"]
    result = await fork.snapshot()
    assert (result.missing, reused(result)) == ((), ["a", "b"])
    assert await statuses(moves, fork.id) == DONE


async def test_the_settings_of_the_job_hold_for_its_fork(troupe: AsyncTroupe, moves: Moves, deciding: Deciding) -> None:
    fields: dict[str, Any] = {
        "knowledge": ("law",), "tenant": "sales", "priority": 7, "max_in_flight": 3, "budget_microusd": 9000,
        "timeout_ms": 60_000, "model": "offline", "idempotency_key": "k",
    }  # fmt: skip
    job = await completed(moves, deciding, **fields)
    spec = (await moves.snapshots.job((await troupe.job(job).fork("c")).id)).spec
    assert {name: getattr(spec, name) for name in fields} == {**fields, "idempotency_key": None}
    other = await troupe.job(job).fork("c", budget_usd=0.5, timeout=7)
    spec = (await moves.snapshots.job(other.id)).spec
    assert (spec.budget_microusd, spec.timeout_ms) == (500_000, 7000)


async def test_a_planned_job_forks_into_one_that_is_planned_again_as_often(
    troupe: AsyncTroupe, moves: Moves, deciding: Deciding
) -> None:
    job = await deciding.submitted(a_job())
    await deciding.propose(job, a_plan(DIAMOND))
    fork = await troupe.job(job).fork("a")
    assert (await moves.snapshots.job(fork.id)).spec.replan == troupe.limits.replan_rounds
    given = await completed(moves, deciding)
    assert (await moves.snapshots.job((await troupe.job(given).fork("a")).id)).spec.replan is None


async def test_a_full_fleet_takes_no_fork(
    troupe: AsyncTroupe, moves: Moves, deciding: Deciding, moves_with: Callable[..., Moves]
) -> None:
    job = await deciding.submitted(a_job(plan=a_plan(DIAMOND)))
    await deciding.settle(AttemptRef(job, StepId("a"), 1))
    cast(Any, troupe)._store = moves_with(max_open_jobs=1).store
    with pytest.raises(FleetFull):
        await troupe.job(job).fork("b")


async def test_what_cannot_be_forked_is_said(troupe: AsyncTroupe, moves: Moves, deciding: Deciding) -> None:
    job = await completed(moves, deciding)
    with pytest.raises(ContractError, match="no step 'x' to fork from; there are: a, b, c, d, synthesis"):
        await troupe.job(job).fork("x")
    with pytest.raises(ContractError, match="no step 'plan' to fork from"):
        await troupe.job(job).fork("plan")
    fresh = await moves.submitted()
    with pytest.raises(ContractError, match="there are: plan"):
        await troupe.job(fresh).fork("a")
    empty = await moves.jobs.submit(a_job(plan=a_plan()), None)
    with pytest.raises(ContractError, match="it has no accepted plan yet"):
        await troupe.job(empty).fork("one")
    with pytest.raises(InvalidPlan, match=r"steps\[3\]\.depends_on\[0\]: 'x' is no step of this plan"):
        await troupe.job(job).fork("d", edit={"steps": {"d": {"depends_on": ["x"]}}})
    with pytest.raises(ContractError, match="has no session"):
        await troupe.job(job).fork("d", in_session=True)
    with pytest.raises(ContractError, match="all is planned anew"):
        await troupe.job(fresh).fork("plan", edit={"steps": {"a": {"agent": "search"}}})


async def test_children_are_delegated_anew_and_not_copied(
    troupe: AsyncTroupe, moves: Moves, deciding: Deciding
) -> None:
    job = await moves.planned({"a": (), "b": ("a",)}, each={"a": {"agent": "search"}, "b": {"agent": "search"}})
    assert await moves.extend(job, [NewStep(a_step("a_1", parent="a", agent="search"))], revision=1)
    await moves.succeed(job, "a_1")
    await moves.succeed(job, "a")
    fork = await troupe.job(job).fork("b")
    assert await play(moves, deciding, fork.id) == ["b:1", f"{SYNTHESIS_STEP}:1"]
    assert "a_1" not in await statuses(moves, fork.id)
    with pytest.raises(ContractError, match="was done for 'a': fork from that one"):
        await troupe.job(job).fork("a_1")


async def test_the_fork_of_a_session_s_job_is_outside_of_it_unless_asked(
    troupe: AsyncTroupe, moves: Moves, deciding: Deciding
) -> None:
    session = troupe.session()
    handle = await session.send("Why?", plan=a_plan(DIAMOND))
    assert await moves.extend(handle.id, a_graph(DIAMOND))
    fork = await handle.fork("b")
    assert (await moves.snapshots.job(fork.id)).spec.session is None
    assert len((await session.state()).messages) == 1
    inside = await handle.fork("b", in_session=True)
    assert (await moves.snapshots.job(inside.id)).spec.session == session.id
    assert len((await session.state()).messages) == 2


async def test_the_trace_of_a_fork_holds_what_was_done_anew(
    troupe: AsyncTroupe, moves: Moves, deciding: Deciding
) -> None:
    job = await completed(moves, deciding)
    fork = await troupe.job(job).fork("c")
    await play(moves, deciding, fork.id)
    spans = (await fork.trace()).spans
    assert {one.step for one in spans if one.kind == "attempt"} == {"c", "d", SYNTHESIS_STEP}


async def test_a_fork_is_recorded_only_where_it_reuses_nothing(
    troupe: AsyncTroupe, moves: Moves, deciding: Deciding
) -> None:
    job = await completed(moves, deciding)
    fork = await troupe.job(job).fork("c")
    await play(moves, deciding, fork.id)
    with pytest.raises(BadRecording, match=f"what was said in the steps that it reuses stands with job {job}"):
        await fork.record()
    whole = await troupe.job(job).fork("a")
    await play(moves, deciding, whole.id)
    assert "forked_from" not in (await whole.record()).header.job


async def test_an_event_tells_what_was_reused(troupe: AsyncTroupe, moves: Moves, deciding: Deciding) -> None:
    job = await completed(moves, deciding)
    fork = await troupe.job(job).fork("c")
    told = [event for event in await moves.told(fork.id) if isinstance(event, JobForked)]
    assert [(event.source, event.step, event.steps) for event in told] == [(job, "c", ("a", "b"))]
    assert [event.seq for event in await moves.told(fork.id)] == [1, 2]


async def test_what_was_planned_again_is_reused_and_not_planned_a_third_time(troupe: AsyncTroupe, moves: Moves) -> None:
    plan, asked = planning(TWO, (PlannedStep(id="d", description="D.", agent="analysis", depends_on=["a"]),))
    fleet = fleet_of(moves, plan)
    await moves.fleet.announce(fleet.presence)
    job = await fleet.deciding.submitted(a_job("Do it."))
    await fleet.run(job)
    fork = await troupe.job(job).fork("synthesis")
    await fleet.run(fork.id)
    result = await fork.snapshot()
    assert (result.answer, len(asked)) == ((await outcome(moves, job)).answer, 2)
    assert reused(result) == ["a", "replan"]
    from_a = await troupe.job(job).fork("a", edit={"steps": {"b": {"agent": "analysis"}}})
    await fleet.run(from_a.id)
    assert {one.id for one in (await from_a.snapshot()).steps} == {"a", "b", SYNTHESIS_STEP}
    with pytest.raises(ContractError, match="no step 'replan' to fork from"):
        await troupe.job(job).fork("replan")


async def test_agents_run_only_what_is_done_anew(troupe: AsyncTroupe, moves: Moves) -> None:
    asked: list[str] = []

    def noting(context: StepContext) -> str:
        asked.append(context.claim.step.id)
        return echo(context)

    fleet = Fleet(moves, [played(name, noting) for name in ("search", "summary")], step_attempts=1)
    await moves.fleet.announce(fleet.presence)
    job = await fleet.deciding.submitted(a_job(plan=a_plan(DIAMOND)))
    await fleet.run(job)
    asked.clear()
    fork = await troupe.job(job).fork("d")
    await fleet.run(fork.id)
    assert asked == ["d", SYNTHESIS_STEP]
    assert (await fork.snapshot()).answer == (await outcome(moves, job)).answer


def test_the_blocking_client_forks_retries_and_compares(store_settings: StoreSettings) -> None:
    with Troupe(settings=store_settings) as troupe:
        job = troupe.submit("Why?")
        fork = job.fork("plan", edit={"task": "How?"}, idempotency_key="k")
        assert job.fork("plan", edit={"task": "How?"}, idempotency_key="k").id == fork.id
        assert troupe.diff(job.id, fork.id).after.task == "How?"
        with pytest.raises(ContractError, match="nothing to retry yet"):
            fork.retry()
