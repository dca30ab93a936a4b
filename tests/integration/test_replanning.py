"""A job whose plan ends without all of its results is planned again, within limits; what was found is kept."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic import JsonValue

from orchestrator.planning.replan import again, no_room
from orchestrator.report import report
from orchestrator.settings import OrchestratorSettings
from tasks.ids import StepId
from tasks.models import Plan, PlannedStep
from tasks.results import JobResult
from tasks.states import StepStatus, TaskStatus
from tasks.usage import Budget, Ledger, LedgerLine, Usage
from tests.integration.test_patterns import deciding, echo, fails, played, seen, text_of
from tests.support.builders import a_job
from tests.support.fleet import Fleet
from tests.support.moves import Moves
from workers.agents.base import Agent, AgentReply
from workers.context import StepContext
from workers.coordinating.agent import coordinator

LIMITS = OrchestratorSettings()
Planner = Callable[[StepContext], AgentReply]
TWO = (
    PlannedStep(id="a", description="A.", agent="search"),
    PlannedStep(id="b", description="B.", agent="bad"),
)
CHAIN = (*TWO, PlannedStep(id="c", description="C.", agent="analysis", depends_on=["a", "b"]))


def data(*steps: PlannedStep) -> dict[str, JsonValue]:
    return Plan(rationale="So.", steps=list(steps)).model_dump(mode="json", exclude_defaults=True)


def planning(first: tuple[PlannedStep, ...], *later: tuple[PlannedStep, ...]) -> tuple[Planner, list[str]]:
    """A planner with a plan for each time that it is asked, and what it was asked."""
    asked: list[str] = []

    def plan(context: StepContext) -> AgentReply:
        asked.append(context.claim.step.description)
        return AgentReply("plan", data(*[first, *later][min(len(asked) - 1, len(later))]))

    return plan, asked


def fleet_of(moves: Moves, planner: Planner, *agents: Agent, **settings: Any) -> Fleet:
    names = {"planner", *(one.name for one in agents)}
    usual = [played(one, echo) for one in ("search", "analysis", "summary") if one not in names]
    bad = [] if "bad" in names else [played("bad", fails)]
    return Fleet(moves, [played("planner", planner), coordinator, *agents, *usual, *bad], step_attempts=1, **settings)


async def run(moves: Moves, fleet: Fleet, **fields: Any) -> JobResult:
    await moves.fleet.announce(fleet.presence)
    job = await fleet.deciding.submitted(a_job("Do it.", **fields))
    await fleet.run(job)
    return report(await moves.snapshots.job(job))


def statuses(result: JobResult) -> dict[str, str]:
    return {one.id: one.status.value for one in result.steps}


async def test_what_failed_is_planned_again_and_the_answer_waits_for_it(moves: Moves) -> None:
    plan, asked = planning(TWO, (PlannedStep(id="d", description="D.", agent="analysis", depends_on=["a"]),))
    result = await run(moves, fleet_of(moves, plan))
    assert result.answer == "summary(search() + analysis(search()))"
    assert [one.agent for one in result.steps].count("search") == 1
    assert "- a: A." in asked[1]
    assert "- failed: B.: b cannot" in asked[1]
    assert result.missing == ()
    assert statuses(result)["b"] == "failed"


async def test_what_stands_behind_a_skipped_step_is_kept(moves: Moves) -> None:
    plan, _ = planning(CHAIN, (PlannedStep(id="d", description="D.", agent="analysis", depends_on=["a"]),))
    result = await run(moves, fleet_of(moves, plan))
    assert statuses(result)["c"] == "skipped"
    assert result.answer == "summary(search() + analysis(search()))"
    assert result.missing == ()


async def test_a_plan_without_any_result_is_planned_again(moves: Moves) -> None:
    plan, _ = planning((TWO[1],), (TWO[0],))
    result = await run(moves, fleet_of(moves, plan))
    assert (result.status, result.answer) == (TaskStatus.COMPLETED, "summary(search())")


async def test_a_further_plan_that_fails_too_loses_nothing_and_both_are_missing(moves: Moves) -> None:
    plan, asked = planning(TWO)
    result = await run(moves, fleet_of(moves, plan), replan=1)
    assert len(asked) == 2
    assert result.answer is not None
    assert result.answer.startswith("summary(search() + search()\n\n- Missing: B.: ")
    assert {one.step for one in result.missing} >= {"b"}
    none = await run(moves, fleet_of(moves, planning((TWO[1],))[0]))
    assert none.status is TaskStatus.FAILED
    assert none.error is not None
    assert none.error.code == "no_result"


@pytest.mark.parametrize(("rounds", "plans"), [(0, 1), (1, 2), (3, 4)])
async def test_there_are_as_many_plans_as_are_asked_for(moves: Moves, rounds: int, plans: int) -> None:
    plan, asked = planning(TWO)
    await run(moves, fleet_of(moves, plan), replan=rounds)
    assert len(asked) == plans


async def test_the_settings_say_how_many_where_the_job_does_not(moves: Moves) -> None:
    plan, asked = planning(TWO)
    result = await run(moves, fleet_of(moves, plan, replan_rounds=0))
    assert (len(asked), result.answer) == (1, "summary(search())")


async def test_a_given_plan_is_planned_again_only_if_the_job_says_so(moves: Moves) -> None:
    plan, asked = planning((TWO[0],))
    given = Plan(steps=list(TWO))
    await run(moves, fleet_of(moves, plan), plan=given)
    assert asked == []
    await run(moves, fleet_of(moves, plan), plan=given, replan=1)
    assert len(asked) == 1


async def test_an_optional_step_is_no_reason_to_plan_again(moves: Moves) -> None:
    plan, asked = planning((TWO[0], TWO[1].model_copy(update={"optional": True})))
    await run(moves, fleet_of(moves, plan))
    assert len(asked) == 1


async def test_results_that_do_not_suffice_are_planned_for_again(moves: Moves) -> None:
    plan, asked = planning((TWO[0],), (PlannedStep(id="d", description="D.", agent="analysis"),))
    critic = played("critic", deciding({"good": False, "score": 1, "feedback": "D is missing."}))
    result = await run(moves, fleet_of(moves, plan, critic), review=True)
    assert "- insufficient: D is missing." in asked[1]
    assert result.answer == "summary(search() + analysis())"


async def test_results_that_suffice_are_answered_from_at_once(moves: Moves) -> None:
    plan, asked = planning((TWO[0],))
    critic = played("critic", deciding({"good": True, "score": 100, "feedback": ""}))
    result = await run(moves, fleet_of(moves, plan, critic), review=True)
    assert len(asked) == 1
    assert result.answer == "summary(search() + )"
    assert result.missing == ()


async def test_a_plan_that_may_not_run_is_mended_once(moves: Moves) -> None:
    wrong = (PlannedStep(id="x", description="X.", agent="nobody"),)
    plan, _ = planning(TWO, wrong, (PlannedStep(id="d", description="D.", agent="analysis"),))
    result = await run(moves, fleet_of(moves, plan))
    assert result.answer == "summary(search() + analysis())"


async def test_a_step_that_is_tried_again_by_hand_is_planned_around_no_second_time(moves: Moves) -> None:
    lucky = False

    def second(context: StepContext) -> str:
        return seen(context) or "mended" if lucky else fails(context)

    plan, asked = planning(TWO, (PlannedStep(id="d", description="D.", agent="analysis"),))
    fleet = fleet_of(moves, plan, played("bad", second))
    first = await run(moves, fleet)
    assert text_of(first, "synthesis") == "summary(search() + analysis())"
    lucky = True
    await moves.reopen(first.job_id, "b")
    await fleet.run(first.job_id)
    result = report(await moves.snapshots.job(first.job_id))
    assert (result.status, statuses(result)["b"]) == (TaskStatus.COMPLETED, "succeeded")
    assert result.missing == ()
    assert asked


async def test_the_answer_that_is_being_written_is_not_put_back(moves: Moves) -> None:
    plan, _ = planning(TWO, (PlannedStep(id="d", description="D.", agent="analysis"),))
    fleet = fleet_of(moves, plan)
    job = await moves.planned({"a": (), "b": ()})
    await moves.succeed(job, "a")
    before = await moves.snapshots.job(job)
    steps = again(before, [one.definition() for one in fleet.agents], LIMITS, before.created_at)
    await moves.succeed(job, "b")
    await moves.running(job, "synthesis")
    wrote = await moves.jobs.extend(job, 1, steps, status=TaskStatus.IN_PROGRESS, event="plan_extended", data="{}")
    assert not wrote
    assert await moves.status(job, "synthesis") is StepStatus.RUNNING


async def test_half_of_the_time_or_of_a_budget_leaves_no_room(moves: Moves) -> None:
    job = await moves.planned({"a": ()}, limits=Budget(requests=1), timeout_ms=60_000)
    record = await moves.snapshots.job(job)
    assert no_room(record, record.created_at) == ""
    assert "job's time is" in no_room(record, record.created_at + timedelta(seconds=31))
    used = replace(
        record, ledger=Ledger(lines=(LedgerLine(step=StepId("a"), agent="x", model="m", usage=Usage(requests=1)),))
    )
    assert "job's model calls is" in no_room(used, record.created_at)


async def test_where_there_is_no_room_the_answer_says_so(moves: Moves) -> None:
    plan, asked = planning(TWO)
    fleet = fleet_of(moves, plan)
    await moves.fleet.announce(fleet.presence)
    job = await fleet.deciding.submitted(a_job("Do it.", timeout_ms=120_000))
    await moves.redis.hincrby(moves.store.keys.job(job), "created", -100_000)
    await fleet.run(job)
    result = report(await moves.snapshots.job(job))
    assert len(asked) == 1
    assert result.answer == "summary(search())"
    assert {one.step: one.message for one in result.missing}["replan"].startswith("more than half of the job's time is")
