"""A conversation moves to another agent, with its history."""

from collections.abc import Sequence

import pytest
from pydantic import JsonValue

from orchestrator.planning.hand_off import hand_over
from orchestrator.report import report
from orchestrator.settings import OrchestratorSettings
from tasks.events import StepHandedOver
from tasks.ids import JobId, StepId
from tasks.models import AgentDefinition, Plan, PlannedStep, Step, StepKind
from tasks.states import TaskStatus
from tests.support.builders import a_job
from tests.support.fleet import Fleet
from tests.support.moves import Moves
from workers.agents.base import Agent
from workers.llm.base import ModelRequest
from workers.llm.scripted import Call, ScriptedModel
from workers.tools.base import tool

PLAN = Plan(steps=[PlannedStep(id="one", description="Help the customer.", agent="desk")])
LOOKED_UP: list[str] = []


@tool
async def look_up(order: str) -> str:
    """Look an order up."""
    LOOKED_UP.append(order)
    return f"order {order}: paid twice"


def agents() -> Sequence[Agent]:
    return [
        Agent(name="desk", description="Answers.", queue="worker", tools=[look_up], hand_offs=["billing"]),
        Agent(name="billing", description="Pays back.", queue="worker", instructions="You pay.", hand_offs=["desk"]),
        Agent(name="summary", description="Sums up.", queue="worker"),
    ]


async def ended(moves: Moves, model: ScriptedModel, **settings: int) -> JobId:
    job = await moves.jobs.submit(a_job(plan=PLAN), None)
    LOOKED_UP.clear()
    await Fleet(moves, agents(), model, **settings).run(job)
    return job


def texts(request: ModelRequest) -> str:
    return str(request.messages)


async def test_the_next_agent_goes_on_with_the_whole_conversation(moves: Moves) -> None:
    seen: list[ModelRequest] = []

    def goes_on(request: ModelRequest) -> str:
        seen.append(request)
        return "Paid back."

    with ScriptedModel(
        [
            Call("look_up", {"order": "7"}),
            ["I see.", Call("hand_off", {"agent": "billing", "reason": "to pay back"})],
            goes_on,
            "All is well.",
        ]
    ) as model:
        job = await ended(moves, model)
    outcome = report(await moves.snapshots.job(job))
    assert outcome.status is TaskStatus.COMPLETED
    assert (outcome.steps[0].agent, outcome.steps[0].attempts) == ("billing", 2)
    assert outcome.steps[0].result is not None
    assert outcome.steps[0].result.text == "Paid back."
    (request,) = seen
    assert "You pay." in request.system
    said = texts(request)
    assert [part in said for part in ("paid twice", "I see.", "desk has handed this conversation over")] == [True] * 3
    assert LOOKED_UP == ["7"]
    (event,) = [one for one in await moves.told(job) if isinstance(one, StepHandedOver)]
    assert (event.agent, event.to, event.reason) == ("desk", "billing", "to pay back")
    assert [line.agent for line in (await moves.snapshots.job(job)).ledger.lines if line.step == "one"].count(
        "desk"
    ) > 0


async def test_it_may_come_back_and_only_so_often(moves: Moves) -> None:
    heard: list[str] = []

    def keeps_it(request: ModelRequest) -> str:
        heard.append(texts(request))
        return "I do it myself."

    back = Call("hand_off", {"agent": "desk", "reason": "not mine"})
    forth = Call("hand_off", {"agent": "billing", "reason": "not mine"})
    with ScriptedModel([forth, back, forth, keeps_it, "All is well."]) as model:
        job = await ended(moves, model, max_hand_offs=2)
    outcome = report(await moves.snapshots.job(job))
    assert (outcome.status, outcome.steps[0].agent) == (TaskStatus.COMPLETED, "desk")
    assert "desk → billing → desk" in heard[0]


async def test_a_retry_after_the_hand_off_goes_on_where_it_was(moves: Moves) -> None:
    def breaks(_: ModelRequest) -> str:
        raise OSError("the machine is gone")

    hand_off = Call("hand_off", {"agent": "billing", "reason": "to pay back"})
    with ScriptedModel([hand_off, breaks, "Paid back.", "All is well."]) as model:
        job = await ended(moves, model)
        assert len(model.requests) == 4
    assert report(await moves.snapshots.job(job)).steps[0].attempts == 3


def definition(name: str, **fields: object) -> AgentDefinition:
    return AgentDefinition.model_validate({"name": name, "description": name, "queue": name, **fields})


DESK = definition("desk", hand_offs=("billing", "boss", "gone"))
KNOWN = [DESK, definition("billing"), definition("boss"), definition("other")]


TOO_OFTEN = "a → b → desk: it was handed over as often as a step may be (2)"


@pytest.mark.parametrize(
    ("wanted", "fields", "fault"),
    [
        ({"agent": "other"}, {}, "'desk' may not hand over to 'other'; it may to billing, boss, gone"),
        ({"agent": "gone"}, {}, "there is no living agent 'gone'"),
        ({"agent": "boss"}, {"lineage": ("boss",)}, "a circle, boss → boss"),
        ({"agent": "billing"}, {"kind": StepKind.SYNTHESIS}, "a step of kind synthesis is not handed over"),
        (
            {"agent": "billing"},
            {"handed": ("a", "b")},
            TOO_OFTEN,
        ),
        ({"to": "billing"}, {}, "it cannot be read: Field required"),
    ],
)
def test_what_may_not_be_is_refused_with_a_reason(
    wanted: dict[str, JsonValue], fields: dict[str, object], fault: str
) -> None:
    step = Step.model_validate({"id": "one", "description": "x", "agent": "desk", "queue": "desk", **fields})
    found = hand_over(wanted, step, KNOWN, OrchestratorSettings(max_hand_offs=2))
    assert (found.heir, found.fault) == (None, fault)


def test_the_heir_has_the_new_agents_queue_and_limits_and_the_steps_own_place() -> None:
    step = Step(id=StepId("one"), description="x", agent="desk", queue="desk", tools=("look_up",), handed=("a",))
    heir = hand_over({"agent": "billing"}, step, KNOWN, OrchestratorSettings()).heir
    assert heir is not None
    assert (heir.agent, heir.queue, heir.handed, heir.tools) == ("billing", "billing", ("a", "desk"), ("look_up",))
