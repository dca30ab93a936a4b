"""What models can do, and agents that ask for more than theirs can."""

import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from tasks.errors import BadSetting, ContractError, InvalidTool
from tasks.models import Plan
from workers.agents.base import Agent
from workers.agents.built_in import built_in
from workers.agents.conversation import Limits
from workers.agents.fitness import Fitness
from workers.cli.worker import check_model
from workers.llm import retirement
from workers.llm.capabilities import MIN_BUDGET
from workers.llm.pricing import Pricing
from workers.llm.server_tools import VERSIONS, server_tool
from workers.llm.settings import DEFAULT_CLAUDE, ModelSettings


class Verdict(BaseModel):
    """A structured answer."""

    good: bool


class Tree(BaseModel):
    """One that holds its like."""

    children: list["Branch"]


class Branch(BaseModel):
    """Half of a circle."""

    trees: list[Tree]


class Counts(BaseModel):
    """One with a mapping."""

    counts: dict[str, int]


class Odd(BaseModel):
    """One that has no schema."""

    model_config = {"arbitrary_types_allowed": True}
    path: type[Path]
    thing: Pricing


def look(q: str) -> str:
    """Look something up."""
    return q


def check(model: str, settings: ModelSettings | None = None, **fields: Any) -> None:
    agent = Agent(name="own", description="Does it.", **fields)
    Fitness(settings or ModelSettings()).check(agent, model)


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        ("claude-sonnet-5-5", {"thinking": "between_tools", "effort": "high", "output": Verdict}),
        ("claude-sonnet-5-5", {"thinking": "adaptive", "effort": "max", "server_tools": ["web_search"]}),
        ("claude-haiku-4-5", {"thinking": "enabled", "tool_choice": "look", "tools": [look]}),
        ("claude-opus-5", {"thinking": "disabled", "output": Plan}),
        ("vertex/claude-sonnet-5-5", {"server_tools": ["web_search"]}),
        ("offline", {"thinking": "enabled", "effort": "max", "server_tools": ["web_search"]}),
        ("some-scripted-model", {"thinking": "enabled"}),
    ],
)
def test_what_a_model_can_do_is_allowed(model: str, fields: dict[str, Any]) -> None:
    check(model, **fields)


@pytest.mark.parametrize(
    ("model", "fields", "said"),
    [
        ("claude-opus-5-5", {"thinking": "disabled"}, r"thinking='disabled' is not possible; there is: adaptive$"),
        ("claude-sonnet-5-5", {"thinking": "disabled"}, "there is: adaptive, between_tools"),
        ("claude-sonnet-4-5", {"thinking": "adaptive"}, "there is: enabled, disabled"),
        ("claude-haiku-4-5", {"effort": "low"}, r"effort='low' is not possible; there is: none"),
        ("claude-opus-4-6", {"effort": "xhigh"}, "there is: low, medium, high, max"),
        ("claude-sonnet-5-5", {"thinking": "between_tools", "effort": "xhigh"}, "needs thinking"),
        ("claude-sonnet-5-5", {"tool_choice": "any", "tools": [look]}, "cannot be demanded"),
        ("bedrock/anthropic.claude-sonnet-5-5", {"server_tools": ["web_search"]}, "on bedrock; use the Claude API"),
        ("claude-sonnet-5-5", {"output": Tree}, "output=Tree is not possible: its schema refers to itself"),
        ("claude-sonnet-5-5", {"output": Counts}, "output=Counts is not possible: it has a mapping with free keys"),
        ("claude-sonnet-5-5", {"output": Odd}, "output=Odd is not possible"),
        ("claude-opus-5-5", {"thinking": "enabled", "tool_choice": "any", "tools": [look]}, r"thinking.*; tool_choice"),
    ],
)
def test_what_a_model_cannot_do_is_refused_with_what_there_is(model: str, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ContractError, match=said) as caught:
        check(model, **fields)
    assert str(caught.value).startswith(f"agent 'own' cannot work on {model}: ")


def test_a_budget_for_thinking_needs_room() -> None:
    with pytest.raises(ContractError, match="TROUPE_MAX_TOKENS of at least 2048, not 2000"):
        check("claude-haiku-4-5", ModelSettings(max_tokens=2000), thinking="enabled")
    check("claude-haiku-4-5", ModelSettings(max_tokens=2 * MIN_BUDGET), thinking="enabled")


def test_a_model_of_the_users_own_may_lack_things(tmp_path: Path) -> None:
    prices = tmp_path / "prices.toml"
    prices.write_text(
        "[models.house]\ninput = 1\noutput = 1\nstructured_outputs = false\nserver_tools = false\n"
        "[models.claude-haiku-4-5]\ninput = 7\noutput = 7\n"
        "[models.claude-haiku-5-5]\nmax_output = 9\n"
    )
    settings = ModelSettings(pricing=prices)
    with pytest.raises(ContractError, match="no structured outputs"):
        check("house", settings, output=Verdict)
    with pytest.raises(ContractError, match=r"server_tools=\['web_fetch', 'web_search'\] are not possible"):
        check("house", settings, server_tools=["web_search", "web_fetch"])
    table = Pricing.read(prices)
    assert table.facts("claude-haiku-4-5").context == 200_000
    assert table.cost_microusd("claude-haiku-4-5", input_tokens=1, output_tokens=1) == 14
    assert table.facts("claude-haiku-5-5").long == Pricing.read().facts("claude-haiku-5-5").long
    assert Fitness(settings).limits("claude-haiku-5-5") == Limits(max_output=9, bound_thinking=True)


def test_prices_of_ones_own_are_not_mixed_with_the_built_in_ones(tmp_path: Path) -> None:
    prices = tmp_path / "prices.toml"
    prices.write_text("[models.claude-haiku-5-5]\ninput = 1\noutput = 1\n")
    assert Pricing.read(prices).facts("claude-haiku-5-5").long is None


@pytest.mark.parametrize("models", ["models = 5", "[models]\nx = 5"])
def test_a_table_of_the_wrong_shape_is_said_so(tmp_path: Path, models: str) -> None:
    prices = tmp_path / "prices.toml"
    prices.write_text(models)
    with pytest.raises(BadSetting, match="TROUPE_PRICING"):
        Pricing.read(prices)


def test_the_default_models_are_current() -> None:
    for name in (DEFAULT_CLAUDE,):
        facts = Pricing.read().facts(name)
        assert facts.retires is None
        assert facts.structured_outputs
        assert (facts.context, facts.max_output) == (1_000_000, 128_000)


@pytest.mark.parametrize("name", Pricing.read().models)
def test_every_model_of_the_table_can_do_something_and_has_a_living_successor(name: str) -> None:
    facts = Pricing.read().facts(name)
    assert facts.thinking
    assert facts.max_output < facts.context
    assert (facts.retires is None) == (facts.successor is None)
    assert facts.successor is None or Pricing.read().facts(facts.successor).retires is None


@pytest.mark.parametrize("model", ["claude-sonnet-5-5", "claude-haiku-4-5", "claude-fable-5-2", "offline"])
def test_the_built_in_agents_can_work_on(model: str) -> None:
    Fitness(ModelSettings()).check_all(built_in(), model)


def test_each_agent_is_checked_with_its_own_model() -> None:
    fitness = Fitness(ModelSettings(model="claude-haiku-4-5"))
    fits = Agent(name="a", description="A.", thinking="adaptive", model="claude-sonnet-5-5")
    does_not = Agent(name="b", description="B.", thinking="adaptive")
    fitness.check_all([fits])
    with pytest.raises(ContractError, match="'b' cannot work on claude-haiku-4-5"):
        fitness.check_all([fits, does_not])
    fitness.check_all([fits, does_not], "claude-sonnet-5-5")


def test_a_retiring_model_is_warned_of_with_its_day_when_agents_are_loaded(caplog: pytest.LogCaptureFixture) -> None:
    agents = [Agent(name=name, description="A.", model="claude-sonnet-4-5") for name in "ab"]
    retirement._warn.cache_clear()  # pyright: ignore[reportPrivateUsage]
    Fitness(ModelSettings(model="offline")).check_all([*agents, Agent(name="c", description="C.")])
    assert [record.getMessage() for record in caplog.records] == [
        "model_retires model=claude-sonnet-4-5 on=2026-11-30 instead=claude-sonnet-5-5"
    ]


def test_code_needs_no_model() -> None:
    async def run(_: object) -> str:
        return "So."

    check("claude-opus-5-5", thinking="disabled", run=run)


@pytest.mark.parametrize("name", VERSIONS)
def test_a_server_tool_is_named(name: str) -> None:
    assert server_tool(name) == {"name": name, "type": VERSIONS[name]}


def test_a_server_tool_may_have_options_and_a_version_of_its_own() -> None:
    assert server_tool({"name": "web_search", "max_uses": 3}) == {
        "max_uses": 3,
        "name": "web_search",
        "type": "web_search_20250305",
    }
    newer = {"type": "web_search_20260318", "name": "web_search"}
    assert server_tool(newer) == newer


@pytest.mark.parametrize("given", ["web_serach", {"type": "web_search_20250305"}, {"name": ""}, {"name": "own"}])
def test_what_is_no_server_tool_is_refused_with_what_there_is(given: Any) -> None:
    with pytest.raises(InvalidTool, match="web_search"):
        server_tool(given)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"server_tools": "web_search"}, "server_tools must be a list"),
        ({"server_tools": ["web_search", {"name": "web_search"}]}, "two tools of one name"),
        ({"tool_choice": "lok", "tools": [look]}, "tool_choice 'lok' is none of its tools"),
        ({"tool_choice": "any"}, "'any', and it has no tools"),
    ],
)
def test_an_agent_that_contradicts_itself_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ContractError, match=said):
        Agent(name="own", description="Does it.", **fields)


def test_a_demanded_tool_may_come_from_a_server() -> None:
    assert (
        Agent(name="own", description="Does it.", tool_choice="files_read", mcp=["files"]).tool_choice == "files_read"
    )


def test_an_agent_that_does_not_fit_is_told_when_the_stack_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = "from workers import Agent\nown = Agent(name='own', description='Thinks not.', thinking='disabled')\n"
    (tmp_path / "agents_that_do_not_fit.py").write_text(module)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setenv("TROUPE_AGENTS", "agents_that_do_not_fit")
    assert check_model("claude-haiku-4-5") == "claude-haiku-4-5"
    with pytest.raises(ContractError, match="'own' cannot work on claude-opus-5-5"):
        check_model("claude-opus-5-5")
