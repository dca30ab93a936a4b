"""What steps may have others do: how deep, how many, for how long, with what money and which tools."""

from collections.abc import Sequence
from typing import Any

import pytest

from orchestrator.report import report
from tasks.errors import NotDead
from tasks.ids import AttemptRef, JobId, StepId
from tasks.models import Inherited, Plan, PlannedStep, Step, StepResult
from tasks.results import JobResult
from tasks.states import StepStatus, TaskStatus
from tasks.store.attempts import Unbooked
from tasks.store.waits import WaitKind, WaitStore, Wanted
from tasks.usage import Budget, Usage
from tests.support.builders import COST, OUT_OF_LUCK, PARTITION, RESULT, a_job
from tests.support.doing import code_agent
from tests.support.fleet import Fleet
from tests.support.moves import Moves
from workers import StepContext, tool
from workers.agents.base import Agent
from workers.llm.base import ModelRequest
from workers.llm.scripted import Call, ScriptedModel, Turn

HELP = Wanted("c1", WaitKind.CHILDREN, '{"steps":[]}')
TOP = Plan(steps=[PlannedStep(id="top", description="Do it.", agent="boss")])
SPENT = Usage(requests=1, cost_microusd=50)


def parts(count: int, agent: str = "helper") -> list[PlannedStep]:
    return [PlannedStep(id=f"p{at}", description=f"Part {at}.", agent=agent) for at in range(count)]


def a_child(name: str, **fields: Any) -> Step:
    return Step(id=StepId(name), description="Help.", agent="helper", queue="worker", **fields)


async def helped(context: StepContext) -> str:
    return f"helped {context.claim.step.id}"


def boss(count: int, name: str = "boss", **fields: Any) -> Agent:
    """Has so many parts done."""

    async def run(context: StepContext) -> str:
        return " ".join(one.result.text for one in await context.delegate_all(parts(count)) if one.result)

    return code_agent(run, name, queue="worker", sub_agents=["helper"], **fields)


def crew(first: Agent, *others: Agent) -> Sequence[Agent]:
    known = {
        "helper": code_agent(helped, "helper", queue="worker"),
        "summary": code_agent(helped, "summary", queue="worker"),
    }
    return [first, *{**known, **{agent.name: agent for agent in others}}.values()]


async def ended(
    moves: Moves, agents: Sequence[Agent], model: ScriptedModel | None = None, **settings: Any
) -> JobResult:
    job = await moves.jobs.submit(a_job(plan=TOP), None)
    await Fleet(moves, agents, model, **settings).run(job)
    return report(await moves.snapshots.job(job))


async def parked(moves: Moves, *children: Step, most: int = 100, **fields: Any) -> AttemptRef:
    """A step `one` that has children done."""
    job = await moves.planned({"one": ()}, each={"one": fields})
    await moves.entries()
    ref = await moves.running(job, "one")
    await moves.attempts.park(ref, [HELP], Usage())
    assert await adopted(moves, job, *children, most=most)
    return ref


async def adopted(moves: Moves, job: JobId, *children: Step, most: int = 100) -> bool | None:
    return await WaitStore(moves.store).adopt(
        job, StepId("one"), "c1", [(child, ()) for child in children], "{}", most=most
    )


async def test_a_child_has_no_more_time_than_its_parent(moves: Moves) -> None:
    ref = await parked(
        moves, a_child("a"), a_child("b", total_ms=900_000), a_child("c", total_ms=1_000), total_ms=60_000
    )
    parent, a, b, c = [int(await moves.field(ref.job, f"T:{name}", ":steps")) for name in ("one", "a", "b", "c")]
    assert a == b == parent
    assert c < parent - 50_000, "its own time is shorter"


async def test_children_that_others_were_faster_with_are_looked_at_again(moves: Moves) -> None:
    ref = await parked(moves, a_child("a"), a_child("b"))
    again = await moves.running(ref.job, "a")
    await moves.attempts.park(again, [HELP], Usage())
    waits = WaitStore(moves.store)
    four = [(a_child("x"), ()), (a_child("y"), ())]
    assert await waits.adopt(ref.job, StepId("a"), "c1", four, "{}", most=5) is None
    assert await waits.adopt(ref.job, StepId("a"), "c1", four, "{}", most=6) is True


async def test_what_a_child_consumes_counts_against_its_parents_budgets(moves: Moves) -> None:
    inherited = Inherited(scope="agent:boss", budget=Budget(cost_microusd=100))
    ref = await parked(moves, a_child("a", budgets=(inherited,)))
    child = await moves.running(ref.job, "a")
    await moves.attempts.park(child, [HELP._replace(kind=WaitKind.QUESTION)], SPENT, Unbooked(SPENT, "helper"))
    assert await moves.field(ref.job, "b:agent:boss:cost", ":ledger") == "50"
    await WaitStore(moves.store).outcome(ref.job, StepId("a"), "c1", {"kind": "answer"})
    again = await moves.running(ref.job, "a", 2)
    await moves.attempts.succeed(again, RESULT, SPENT, Unbooked(SPENT, "helper"))
    spent = [
        await moves.field(ref.job, f"b:{scope}:cost", ":ledger") for scope in ("job", "agent:boss", "agent:helper")
    ]
    assert spent == ["100", "100", "100"]


async def test_a_parent_that_is_retried_by_hand_begins_anew_and_its_old_children_stay_ended(moves: Moves) -> None:
    ref = await parked(moves, a_child("a"), a_child("b"))
    await moves.succeed(ref.job, "a")
    assert await moves.jobs.give_up(ref, OUT_OF_LUCK)
    await moves.succeed(ref.job, "synthesis")  # from what the child had found
    await moves.reopen(ref.job, "one")
    assert [await moves.status(ref.job, name) for name in ("one", "a", "b")] == [
        StepStatus.READY,
        StepStatus.SUCCEEDED,
        StepStatus.CANCELLED,
    ]
    again = await moves.running(ref.job, "one", 3)
    await moves.attempts.park(again, [HELP], Usage())
    assert await adopted(moves, ref.job, a_child("c"))
    await moves.succeed(ref.job, "c")
    last = await moves.running(ref.job, "one", 4)
    await moves.attempts.succeed(last, RESULT, COST)
    await moves.attempts.succeed(await moves.running(ref.job, "synthesis", 3), RESULT, COST)
    assert (await moves.snapshots.status(ref.job))[0] is TaskStatus.COMPLETED


async def test_a_dead_child_is_not_retried_without_its_parent(moves: Moves) -> None:
    ref = await parked(moves, a_child("a"))
    await moves.fail(ref.job, "a")
    again = await moves.running(ref.job, "one", 2)
    await moves.attempts.fail(again, OUT_OF_LUCK, COST)
    assert await moves.jobs.give_up(again, OUT_OF_LUCK)
    await moves.reopen(ref.job, "one", "a")
    assert await moves.status(ref.job, "one") is StepStatus.READY
    assert await moves.status(ref.job, "a") is StepStatus.FAILED


async def test_a_step_may_have_as_many_done_as_a_plan_may_have(moves: Moves) -> None:
    fine = await ended(moves, crew(boss(4)), max_steps=4)
    assert fine.steps[0].result is not None
    assert fine.steps[0].result.text.count("helped") == 4
    refused = await ended(moves, crew(boss(5)), max_steps=4)
    assert refused.steps[0].error is not None
    assert "5 steps are more than the 4 allowed" in refused.steps[0].error.message
    assert len(refused.steps) == 2


async def test_a_job_has_no_more_steps_than_it_may_have(moves: Moves) -> None:
    refused = await ended(moves, crew(boss(3)), max_job_steps=4)
    assert refused.steps[0].error is not None
    assert "the job would have more than 4 steps" in refused.steps[0].error.message
    assert (await ended(moves, crew(boss(3)), max_job_steps=5)).status is TaskStatus.COMPLETED


async def test_many_calls_of_one_turn_are_children_at_the_same_time_up_to_the_limit(moves: Moves) -> None:
    calls = [Call("delegate", {"agent": "helper", "task": f"Part {at}."}) for at in range(40)]
    seen: list[str] = []

    def after(request: ModelRequest) -> str:
        seen.append(str(request.messages[-1]))
        return "Done."

    model = ScriptedModel({"*": [Turn(calls), after]})
    lead = Agent(name="boss", description="Leads.", queue="worker", sub_agents=["helper"])
    result = await ended(moves, crew(lead), model, max_steps=30)
    assert result.status is TaskStatus.COMPLETED
    children = [step for step in result.steps if step.parent == "top"]
    assert len(children) == 30
    assert seen[0].count("helped top_") == 30
    assert seen[0].count("30 at the same time") == 10


async def test_in_a_circle_nobody_delegates_also_when_no_worker_knows_all_of_it(moves: Moves) -> None:
    async def back(context: StepContext) -> str:
        item = await context.delegate("boss", "Do it.")
        return item.result.text if item.result else "nothing"

    job = await moves.jobs.submit(a_job(plan=TOP), None)
    fleet = Fleet(moves, crew(boss(1), code_agent(back, "helper", queue="worker")))
    definitions = [agent.definition() for agent in fleet.agents]
    fleet.announced = [
        one.model_copy(update={"sub_agents": ("boss",)}) if one.name == "helper" else one for one in definitions
    ]
    await fleet.run(job)
    result = report(await moves.snapshots.job(job))
    child = next(step for step in result.steps if step.parent == "top")
    assert child.error is not None
    assert "a circle, boss → helper → boss" in child.error.message


async def test_tools_only_become_fewer_on_the_way_down(moves: Moves) -> None:
    @tool
    async def read(what: str) -> str:
        """Read."""
        return what

    @tool
    async def write(what: str) -> str:
        """Write."""
        return what

    async def give(context: StepContext) -> str:
        (item,) = await context.delegate_all(parts(1, "middle"), tools=["read", "delegate"])
        return item.result.text if item.result else "nothing"

    async def give_more(context: StepContext) -> str:
        (item,) = await context.delegate_all(parts(1), tools=["read", "write"])
        return item.result.text if item.result else "nothing"

    offered: list[str] = []

    def look(request: ModelRequest) -> str:
        offered.extend(one.name for one in request.tools)
        return "Read it."

    agents = crew(
        code_agent(give, "boss", queue="worker", sub_agents=["middle"]),
        code_agent(give_more, "middle", queue="worker", sub_agents=["helper"]),
        Agent(name="helper", description="Helps.", queue="worker", tools=[read, write]),
    )
    result = await ended(moves, agents, ScriptedModel({"*": [look]}))
    assert result.steps[0].result is not None
    assert result.steps[0].result.text == "Read it."
    assert offered == ["read"]


async def test_children_spend_from_the_budget_of_the_agent_that_delegates(moves: Moves) -> None:
    said = [Turn(["One."], usage=Usage(input_tokens=10, output_tokens=5, requests=1))] * 3
    helper = Agent(name="helper", description="Helps.", queue="worker")
    result = await ended(moves, crew(boss(3, budget=Budget(requests=2)), helper), ScriptedModel({"*": said}))
    ends = sorted(step.error.code if step.error else "fine" for step in result.steps if step.parent == "top")
    assert ends == ["budget_spent", "fine", "fine"]


@pytest.mark.parametrize("text", ["", "x" * 200_000])
async def test_a_parent_gets_a_childs_result_whatever_its_size(moves: Moves, text: str) -> None:
    ref = await parked(moves, a_child("a"))
    child = await moves.running(ref.job, "a")
    await moves.attempts.succeed(child, StepResult(text=text), COST)
    claim = await moves.claim(await moves.dispatched(ref.job, "one", 2))
    assert claim is not None
    assert [one.result.text for one in claim.inputs if one.result] == [text]


async def test_children_that_are_asked_for_before_a_pause_begin_after_it(moves: Moves) -> None:
    job = await moves.planned({"one": ()})
    await moves.entries()
    ref = await moves.running(job, "one")
    await moves.attempts.park(ref, [HELP], Usage())
    await moves.jobs.pause(job)
    assert await adopted(moves, job, a_child("a"))
    await moves.jobs.dispatch(PARTITION, [AttemptRef(job, StepId("a"), 1)])
    assert await moves.status(job, "a") is StepStatus.READY
    await moves.jobs.resume(job)
    await moves.succeed(job, "a")
    assert await moves.status(job, "one") is StepStatus.READY


async def test_a_child_that_was_given_up_is_not_retried_alone(moves: Moves) -> None:
    ref = await parked(moves, a_child("a"), a_child("b"))
    await moves.fail(ref.job, "a")
    before = await moves.everything(ref.job)
    with pytest.raises(NotDead, match="was done for another step"):
        await moves.reopen(ref.job, "a")
    assert await moves.everything(ref.job) == before
