"""What an agent may do is what it and all above it may: nobody gets more by being asked, handed over to, or fallen
back to."""

from pathlib import Path
from typing import cast

import pytest
from pydantic import JsonValue

from orchestrator.planning.bind import bound
from orchestrator.planning.children import family
from orchestrator.planning.hand_off import hand_over
from orchestrator.scheduling.decide import taken_over
from orchestrator.settings import OrchestratorSettings
from tasks.ids import StepId
from tasks.models import AgentDefinition, PlannedStep, Step
from tests.unit.attempts import make_claim
from workers.agents.base import Agent
from workers.answering import Answering, allowed
from workers.context import StepContext
from workers.llm.scripted import Call, ScriptedModel
from workers.llm.settings import ModelSettings
from workers.tools.base import Tool, tool

LIMITS = OrchestratorSettings()
CREW = [
    AgentDefinition(name=name, description=name, queue=name, sub_agents=("any",), hand_offs=("any",), fallback="spare")
    for name in ("lead", "worker", "helper", "spare")
]


@tool
async def look() -> str:
    """Look."""
    return "seen"


@tool
async def pay() -> str:
    """Pay."""
    return "paid"


FULL = Agent(
    name="search",
    description="Does all.",
    tools=[look, pay],
    server_tools=["web_search", "code_execution"],
    sub_agents=["helper"],
    hand_offs=["spare"],
    asks=True,
    messages=True,
    tool_choice="pay",
)


def a_step(agent: str, tools: tuple[str, ...] | None, **fields: object) -> Step:
    step = Step(id=StepId("one"), description="Do it.", agent=agent, queue=agent, tools=tools)
    return step.model_copy(update=fields)


def children(parent: Step, *agents: str, tools: list[str] | None = None, own: list[str] | None = None) -> list[Step]:
    steps = [{"id": f"c{at}", "description": "Help.", "agent": name, "tools": own} for at, name in enumerate(agents)]
    made = family(cast(JsonValue, {"steps": steps, "tools": tools}), parent, {"one"}, CREW, LIMITS)
    assert made.faults == ()
    return [one.step for one in made.steps]


@pytest.mark.parametrize(
    ("parents", "asked", "own", "may"),
    [
        (None, None, None, None),
        (("look",), None, None, ("look",)),
        (None, ["look"], None, ("look",)),
        (("look", "pay"), ["pay", "root"], None, ("pay",)),
        (("look",), ["pay"], None, ()),
        ((), ["pay"], ["pay"], ()),
        (("look", "pay"), None, ["pay", "root"], ("pay",)),
        (None, ["look"], ["pay"], ()),
    ],
)
def test_a_child_may_use_what_its_parent_and_the_question_let_it(
    parents: tuple[str, ...] | None, asked: list[str] | None, own: list[str] | None, may: tuple[str, ...] | None
) -> None:
    (child,) = children(a_step("lead", parents), "worker", tools=asked, own=own)
    assert child.tools == may


def test_a_grandchild_has_no_more_than_any_above_it() -> None:
    (child,) = children(a_step("lead", ("look", "delegate")), "worker")
    (grandchild,) = children(child, "helper", tools=["look", "pay", "delegate"])
    assert grandchild.tools == ("look", "delegate")
    assert grandchild.lineage == ("lead", "worker")
    (last,) = children(grandchild, "spare", tools=["pay"])
    assert last.tools == ()


def test_a_plan_may_say_which_tools_a_step_has() -> None:
    planned = PlannedStep(id="one", description="Do it.", agent="lead", tools=("look",))
    assert bound(planned, [], CREW[0], CREW, LIMITS).tools == ("look",)


def test_whoever_goes_on_with_a_step_has_its_tools_and_no_more() -> None:
    made = hand_over({"agent": "spare", "reason": "x"}, a_step("worker", ("look",)), CREW, LIMITS)
    assert made.heir is not None
    assert (made.heir.agent, made.heir.tools) == ("spare", ("look",))
    (child,) = children(a_step("lead", ("look",)), "worker")
    heir = taken_over(child)
    assert heir is not None
    assert (heir.agent, heir.tools) == ("spare", ("look",))


@pytest.mark.parametrize("code", ["approval_denied", "approval_expired"])
def test_what_people_do_not_let_begin_is_taken_over_by_nobody(code: str) -> None:
    (child,) = children(a_step("lead", None), "worker")
    assert taken_over(child, code) is None


def names(agent: Agent) -> set[str]:
    return {one.name for one in agent.toolbox} | {str(one["name"]) for one in agent.server_toolbox}


ALL = names(FULL)


@pytest.mark.parametrize("tools", [(), ("look",), ("look", "web_search"), ("delegate", "ask_user"), ("root",)])
def test_an_agent_is_given_only_those_of_its_tools_that_its_step_allows(tools: tuple[str, ...]) -> None:
    assert names(allowed(FULL, tools)) == ALL & set(tools)
    assert allowed(FULL, tools).tool_choice is None


def test_without_a_limit_an_agent_has_all_that_is_its_own() -> None:
    assert names(allowed(FULL, None)) == ALL
    assert {"look", "pay", "delegate", "hand_off", "ask_user", "web_search", "code_execution"} <= ALL


async def test_a_tool_of_an_mcp_server_is_given_only_where_the_step_allows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TROUPE_HOME", str(tmp_path))
    ran: list[str] = []

    def of_server(name: str) -> Tool:
        async def call(_arguments: object) -> str:
            ran.append(name)
            return "done"

        return Tool(name=name, description="Does.", function=call, given_schema={"type": "object"})

    class Servers:
        async def tools(self, *_: object) -> tuple[Tool, ...]:
            return (of_server("s_read"), of_server("s_write"))

        async def close(self) -> None: ...

    calls = [Call("s_write", {}), Call("s_read", {}), Call("pay", {}), Call("look", {}), Call("delegate", {})]
    model = ScriptedModel([calls, "Done."], name="own")
    answering = Answering(ModelSettings(model="own"))
    answering._models["own"] = model  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(answering, "_servers", Servers())
    claim = make_claim()
    limited = claim.model_copy(update={"step": claim.step.model_copy(update={"tools": ("s_read", "look")})})
    agent = Agent(name="search", description="Uses.", tools=[look, pay], mcp=["s"], sub_agents=["helper"])
    await answering.answer(agent, StepContext(claim=limited))
    assert [[one.name for one in asked.tools] for asked in model.requests] == [["look", "s_read"]] * 2
    assert ran == ["s_read"]
    results = model.requests[1].messages[-1]["content"]
    assert [block["is_error"] for block in results if isinstance(block, dict)] == [True, False, True, False, True]
    await answering.close()
