"""Patterns, run by the engine on the real store: what each comes to, within which bounds, and what is kept."""

from collections.abc import Callable, Sequence

import pytest
from pydantic import JsonValue

from orchestrator.report import report
from tasks.errors import StepFailed
from tasks.models import Plan, PlannedStep
from tasks.patterns.calls import (
    chain,
    debate,
    orchestrate,
    parallel,
    refine,
    route,
    supervise,
    vote,
    work,
)
from tasks.patterns.compile import plan_of
from tasks.patterns.forms import Pattern
from tasks.results import JobResult
from tasks.states import StepStatus, TaskStatus
from tests.support.builders import a_job
from tests.support.fleet import Fleet
from tests.support.moves import Moves
from tests.unit.test_patterns import EXAMPLES, example
from workers.agents.base import Agent, AgentReply
from workers.agents.built_in import built_in
from workers.context import StepContext
from workers.coordinating.agent import coordinator
from workers.llm.offline.model import OfflineModel

Script = Callable[[StepContext], AgentReply | str]


def played(name: str, script: Script, **fields: object) -> Agent:
    async def run(context: StepContext) -> AgentReply | str:
        return script(context)

    return Agent(name=name, description=f"Plays {name}.", queue="worker", run=run, **fields)  # pyright: ignore[reportArgumentType]


def says(text: str) -> Script:
    return lambda _: text


def fails(context: StepContext) -> str:
    raise StepFailed(f"{context.claim.step.id} cannot")


def deciding(*replies: dict[str, JsonValue]) -> Script:
    """One decision after the other, by how often it was asked before in the job."""
    asked: dict[str, int] = {}

    def script(context: StepContext) -> AgentReply:
        at = asked.setdefault(context.claim.step.id, len(asked))
        return AgentReply("decided", replies[min(at, len(replies) - 1)])

    return script


def seen(context: StepContext) -> str:
    return " + ".join(item.result.text for item in context.claim.inputs if item.result)


def echo(context: StepContext) -> str:
    return f"{context.claim.step.agent}({seen(context)})"


async def run(moves: Moves, pattern: Pattern, *agents: Agent, task: str = "Find out.") -> JobResult:
    names = {one.name for one in agents}
    known = [
        coordinator,
        *(played(one, echo) for one in ("search", "analysis", "summary", "planner") if one not in names),
    ]
    fleet = Fleet(moves, [*agents, *known], step_attempts=1)
    await moves.fleet.announce(fleet.presence)
    job = await fleet.deciding.submitted(a_job(task, plan=plan_of(pattern)))
    await fleet.run(job)
    return report(await moves.snapshots.job(job))


def text_of(result: JobResult, step: str) -> str:
    return next(one.result.text for one in result.steps if one.id == step and one.result)


def data_of(result: JobResult, step: str) -> dict[str, JsonValue]:
    data = next(one.result.data for one in result.steps if one.id == step and one.result)
    assert isinstance(data, dict)
    return data


def agents_of(result: JobResult) -> list[str]:
    return [one.agent for one in result.steps]


async def test_a_chain_hands_each_result_to_the_next(moves: Moves) -> None:
    result = await run(moves, chain(work("Find.", "search"), work("Weigh.", "analysis"), work("Write.", "summary")))
    assert text_of(result, "summary") == "summary(analysis(search()))"
    assert result.status is TaskStatus.COMPLETED


async def test_parallel_parts_are_merged_in_their_order(moves: Moves) -> None:
    parts = parallel(work("a", "search"), work("b", "analysis"), merge=work("Merge.", "summary"))
    assert text_of(await run(moves, parts), "summary") == "summary(search() + analysis())"


async def test_a_quorum_without_a_merge_is_kept_by_a_step_that_gathers(moves: Moves) -> None:
    bad = played("bad", fails)
    parts = parallel(work("a", "search"), work("b", "bad"), work("c", "bad"), join="quorum", quorum=2)
    result = await run(moves, parts, bad)
    assert {one.id: one.status.value for one in result.steps}["gather"] == "skipped"
    assert {one.step for one in result.missing} == {"bad", "bad-2", "gather"}
    assert text_of(result, "search") == "search()"


async def test_an_optional_part_is_done_without(moves: Moves) -> None:
    parts = parallel(work("a", "search"), work("b", "bad", optional=True), join="all", merge=work("Merge.", "summary"))
    result = await run(moves, parts, played("bad", fails))
    assert text_of(result, "summary") == "summary(search())"
    assert [one.step for one in result.missing] == ["bad"]


@pytest.mark.parametrize("fallback", ["analysis", ("bad", "analysis")])
async def test_others_take_a_step_over_in_their_order(moves: Moves, fallback: str | Sequence[str]) -> None:
    result = await run(moves, work("a", "worse", fallback=fallback), played("bad", fails), played("worse", fails))
    assert text_of(result, "worse") == "analysis()"


async def test_a_rule_routes_without_a_model_and_its_reason_is_kept(moves: Moves) -> None:
    parts = route(
        {"money": work("Pay.", "analysis"), "words": work("Read.", "search")},
        rules=[("invoice|refund", "money")],
        otherwise="words",
    )
    result = await run(moves, parts, task="I want a Refund.")
    assert text_of(result, "route") == "analysis()"
    assert data_of(result, "route") == {
        "choice": "money",
        "by": "rule",
        "reason": "the text has 'invoice|refund'",
        "step": "route_1",
    }


async def test_a_model_routes_with_its_reason(moves: Moves) -> None:
    router = played("router", deciding({"choice": "words", "reason": "It is about words."}))
    result = await run(moves, route({"money": work("Pay.", "analysis"), "words": work("Read.", "search")}), router)
    assert text_of(result, "route") == "search()"
    assert data_of(result, "route")["reason"] == "It is about words."


async def test_an_unknown_choice_is_mended_once_and_then_refused(moves: Moves) -> None:
    wrong: dict[str, JsonValue] = {"choice": "nobody", "reason": "Who knows."}
    right: dict[str, JsonValue] = {"choice": "words", "reason": "Second thought."}
    parts = route({"money": work("Pay.", "analysis"), "words": work("Read.", "search")})
    mended = await run(moves, parts, played("router", deciding(wrong, right)))
    assert data_of(mended, "route")["choice"] == "words"
    refused = await run(moves, parts, played("router", deciding(wrong)))
    assert [one.step for one in refused.missing] == ["route"]
    (step,) = [one for one in refused.steps if one.id == "route"]
    assert step.error is not None
    assert step.error.code == "pattern_failed"
    assert "'nobody' is none of the options; there are: money, words" in step.error.message
    otherwise = parts.model_copy(update={"otherwise": "money"})
    assert data_of(await run(moves, otherwise, played("router", deciding(wrong))), "route")["choice"] == "money"


async def test_most_votes_win_and_the_counts_are_kept(moves: Moves) -> None:
    parts = vote(*(work("Yes or no?", name) for name in ("one", "two", "three")), choices=["yes", "no"])
    agents = [played("one", says("No.")), played("two", says("I say yes.")), played("three", says("Yes!"))]
    result = await run(moves, parts, *agents)
    assert text_of(result, "vote") == "I say yes."
    assert data_of(result, "vote")["votes"] == {"no": 1, "yes": 2}


async def test_a_judge_decides_between_equals(moves: Moves) -> None:
    parts = vote(work("?", "one"), work("?", "two"), judge_ties=True)
    router = played("router", deciding({"choice": "two", "reason": "It is longer."}))
    result = await run(moves, parts, played("one", says("a")), played("two", says("bb")), router)
    assert (text_of(result, "vote"), data_of(result, "vote")["reason"]) == ("bb", "It is longer.")


async def test_a_draft_is_mended_until_it_is_good(moves: Moves) -> None:
    critic = deciding(
        {"good": False, "score": 20, "feedback": "No figures."}, {"good": True, "score": 90, "feedback": ""}
    )
    author = played("author", lambda context: f"[{context.claim.step.description}] {seen(context)}")
    result = await run(moves, refine(work("Write.", "author"), "has figures"), author, played("critic", critic))
    assert "Mend your last draft, which you are given: No figures." in text_of(result, "refine")
    assert "[Write.]" in text_of(result, "refine")
    assert data_of(result, "refine") == {"rounds": 2, "good": True, "score": 90, "step": "refine_3"}


async def test_after_the_last_round_the_best_draft_is_taken(moves: Moves) -> None:
    scores: list[dict[str, JsonValue]] = [
        {"good": False, "score": score, "feedback": f"only {score}"} for score in (30, 60, 10)
    ]
    author = played("author", lambda context: context.claim.step.id)
    parts = refine(work("Write.", "author"), "is good", rounds=3)
    result = await run(moves, parts, author, played("critic", deciding(*scores)))
    assert (text_of(result, "refine"), data_of(result, "refine")["good"]) == ("refine_3", False)
    assert agents_of(result).count("author") == 3


async def test_a_supervisor_sends_workers_until_it_is_done(moves: Moves) -> None:
    moves_made: list[dict[str, JsonValue]] = [
        {"done": False, "worker": "finder", "task": "Find.", "reason": "first facts"},
        {"done": False, "worker": "writer", "task": "Write.", "reason": "then words"},
        {"done": True, "reason": "it is there"},
    ]
    parts = supervise("A report.", {"finder": work("Finds.", "search"), "writer": work("Writes.", "summary")})
    result = await run(moves, parts, played("supervisor", deciding(*moves_made)))
    assert "summary(search())" in text_of(result, "supervise")
    made = data_of(result, "supervise")["moves"]
    assert made == [{"worker": str(one.get("worker", "")), "reason": one["reason"]} for one in moves_made]


async def test_a_supervisor_is_bounded(moves: Moves) -> None:
    again = deciding({"done": False, "worker": "finder", "task": "Find.", "reason": "more"})
    parts = supervise("A report.", {"finder": work("Finds.", "search")}, rounds=2)
    result = await run(moves, parts, played("supervisor", again))
    assert result.status is TaskStatus.COMPLETED
    assert agents_of(result).count("search") == 2


def a_plan(*steps: PlannedStep) -> dict[str, JsonValue]:
    return Plan(rationale="So.", steps=list(steps)).model_dump(mode="json", exclude_defaults=True)


async def test_after_failures_it_plans_again_and_keeps_what_was_found(moves: Moves) -> None:
    first = a_plan(
        PlannedStep(id="a", description="A.", agent="search"), PlannedStep(id="b", description="B.", agent="bad")
    )
    second = a_plan(PlannedStep(id="c", description="C.", agent="analysis", depends_on=["orchestrate_2"]))
    notes: list[str] = []

    def plan(context: StepContext) -> AgentReply:
        notes.append(context.claim.step.description)
        return AgentReply("plan", second if "found already" in context.claim.step.description else first)

    parts = orchestrate("Do it.", rounds=3, synthesise=work("Write.", "summary"))
    result = await run(moves, parts, played("planner", plan), played("bad", fails))
    assert text_of(result, "orchestrate") == "summary(search() + analysis(search()))"
    assert agents_of(result).count("search") == 1
    assert data_of(result, "orchestrate")["rounds"] == 2
    assert "- orchestrate_2: A." in notes[1]
    assert "failed: B.: " in notes[1]
    assert [one.status for one in result.steps if one.agent == "bad"] == [StepStatus.FAILED]


async def test_insufficient_results_are_planned_for_again(moves: Moves) -> None:
    plan = deciding(
        a_plan(PlannedStep(id="a", description="A.", agent="search")),
        a_plan(PlannedStep(id="b", description="B.", agent="analysis")),
    )
    critic = deciding({"good": False, "score": 1, "feedback": "B is missing."})
    result = await run(
        moves, orchestrate("Do it.", rounds=2, check=True), played("planner", plan), played("critic", critic)
    )
    assert {"search", "analysis"} <= set(agents_of(result))
    assert data_of(result, "orchestrate")["rounds"] == 2


async def test_a_plan_that_may_not_run_is_mended_once(moves: Moves) -> None:
    plan = deciding(
        a_plan(PlannedStep(id="a", description="A.", agent="nobody")),
        a_plan(PlannedStep(id="b", description="B.", agent="search")),
    )
    result = await run(moves, orchestrate("Do it."), played("planner", plan))
    assert text_of(result, "orchestrate") == "search()"


async def test_debaters_hear_each_other_and_one_sums_up(moves: Moves) -> None:
    parts = debate("Why?", work("For.", "search"), work("Against.", "analysis"), verdict=work("Sum up.", "summary"))
    said = text_of(await run(moves, parts), "summary")
    assert said == "summary(search(search() + analysis()) + analysis(search() + analysis()))"


async def test_patterns_nest(moves: Moves) -> None:
    inner = refine(parallel(work("a", "search"), work("b", "analysis"), merge=work("Merge.", "summary")), "is good")
    parts = chain(
        work("First.", "search"), route({"x": chain(inner, work("Last.", "analysis"))}, by_model=False, otherwise="x")
    )
    critic = deciding({"good": True, "score": 100, "feedback": ""})
    result = await run(moves, parts, played("critic", critic))
    assert result.status is TaskStatus.COMPLETED, result.error
    assert text_of(result, "route") == "analysis(summary(search(search()) + analysis(search())))"


async def test_a_failed_part_keeps_what_the_others_found(moves: Moves) -> None:
    parts = chain(parallel(work("a", "search"), work("b", "analysis")), refine(work("Write.", "bad"), "is good"))
    result = await run(moves, parts, played("bad", fails))
    assert result.status is TaskStatus.COMPLETED
    assert "refine" in {one.step for one in result.missing}
    assert (text_of(result, "search"), text_of(result, "analysis")) == ("search()", "analysis()")


@pytest.mark.parametrize("name", EXAMPLES)
async def test_an_example_runs_offline(moves: Moves, name: str) -> None:
    fleet = Fleet(moves, built_in(), OfflineModel())
    await moves.fleet.announce(fleet.presence)
    made = example(name)
    job = await fleet.deciding.submitted(a_job(made.TASK, plan=plan_of(made.PATTERN)))
    await fleet.run(job)
    result = report(await moves.snapshots.job(job))
    assert result.status is TaskStatus.COMPLETED, result.error
    assert result.missing == ()
