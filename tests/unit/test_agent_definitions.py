"""What an agent may be."""

from typing import Any, cast

import pytest
from pydantic import BaseModel

from tasks.errors import ContractError, InvalidTool
from tasks.models import Plan, RetryPolicy
from tasks.queues import BUILT_IN, QUEUES
from workers.agents.base import MAX_TURNS, Agent
from workers.agents.built_in import built_in, prompt
from workers.tools.base import Tool, tool


@tool(timeout=3)
async def quote(ticker: str) -> str:
    """Latest price of one share."""
    return ticker


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def test_an_agent_is_announced_with_all_that_a_planner_needs() -> None:
    agent = Agent(name="finance", description="Share prices.", capabilities=["quotes"], tools=[quote, add], version="2")
    definition = agent.definition()
    assert (definition.name, definition.queue, definition.version) == ("finance", "finance", "2")
    assert (definition.capabilities, definition.tools, definition.plannable) == (("quotes",), ("add", "quote"), True)


def test_plain_functions_become_tools_and_tools_stay_what_they_are() -> None:
    add_tool, quote_tool = Agent(name="finance", description="x", tools=[quote, add]).toolbox
    assert isinstance(add_tool, Tool)
    assert (add_tool.name, quote_tool) == ("add", quote)


def test_tools_are_sorted_whatever_the_order() -> None:
    one = Agent(name="finance", description="x", tools=[quote, add])
    two = Agent(name="finance", description="x", tools=[add, quote])
    assert [each.name for each in one.toolbox] == [each.name for each in two.toolbox] == ["add", "quote"]


def test_an_agent_can_have_a_queue_of_another_name() -> None:
    assert Agent(name="finance", description="x", queue="slow").definition().queue == "slow"


@pytest.mark.parametrize("name", ["", "Finance", "two words", "1st", "a:b", "x" * 49, "ä", "a\n"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ContractError, match="cannot be: name"):
        Agent(name=name, description="x")


def test_a_queue_that_is_none_is_refused() -> None:
    with pytest.raises(ContractError, match="cannot be: queue"):
        Agent(name="finance", description="x", queue="Slow Queue")


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidTool, match="two tools of one name: add, add"):
        Agent(name="finance", description="x", tools=[add, tool(add)])


def test_a_function_without_a_docstring_is_no_tool() -> None:
    def silent(a: int) -> int:
        return a

    with pytest.raises(InvalidTool):
        Agent(name="finance", description="x", tools=[silent])


def test_capabilities_as_one_text_are_refused() -> None:
    with pytest.raises(ContractError, match="capabilities must be a list, not 'quotes'"):
        Agent(name="finance", description="x", capabilities="quotes")


@pytest.mark.parametrize("turns", [0, -1])
def test_an_agent_needs_a_turn(turns: int) -> None:
    with pytest.raises(ContractError, match="max_turns"):
        Agent(name="finance", description="x", max_turns=turns)


def test_the_built_in_agents_are_those_that_both_sides_know() -> None:
    agents = built_in()
    assert tuple(agent.definition() for agent in agents) == BUILT_IN
    assert {agent.name for agent in agents} > {*QUEUES}
    assert [agent.name for agent in agents if agent.output is Plan] == ["planner"]
    assert {agent.max_turns for agent in agents} == {MAX_TURNS}


@pytest.mark.parametrize("name", [*QUEUES, "router", "critic", "supervisor", "rules", "synthesis", "own"])
def test_every_prompt_is_there_and_trimmed(name: str) -> None:
    text = prompt(name)
    assert text
    assert text == text.strip()


def test_a_structured_output_is_kept() -> None:
    class Form(BaseModel):
        """A form."""

    assert Agent(name="finance", description="x", output=Form).output is Form


def test_how_patient_an_agent_is_is_announced_in_milliseconds() -> None:
    policy = RetryPolicy(max_attempts=2, never_on=("model_refused",))
    agent = Agent(
        name="finance",
        description="x",
        retry=policy,
        fallback="search",
        timeout=30,
        total_timeout=90.5,
        queue_timeout=10,
        idle_timeout=0.25,
    )
    definition = agent.definition()
    assert (definition.retry, definition.fallback) == (policy, "search")
    limits = (definition.timeout_ms, definition.total_ms, definition.queue_ms, definition.idle_ms)
    assert limits == (30_000, 90_500, 10_000, 250)


@pytest.mark.parametrize("limit", ["timeout", "total_timeout", "queue_timeout", "idle_timeout"])
@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan")])
def test_a_limit_that_is_none_is_refused(limit: str, seconds: float) -> None:
    with pytest.raises(ContractError, match=f"{limit} must be a number of seconds"):
        Agent(name="finance", description="x", **cast(Any, {limit: seconds}))


def test_an_agent_that_falls_back_on_itself_or_on_no_name_is_refused() -> None:
    with pytest.raises(ContractError, match="its own fallback"):
        Agent(name="finance", description="x", fallback="finance")
    with pytest.raises(ContractError, match="cannot be: fallback"):
        Agent(name="finance", description="x", fallback="Not A Name")
