"""How an agent answers: by its own code, or by a model with its instructions and tools."""

from pathlib import Path

import pytest

from tasks.errors import BadSetting, ContractError, UnknownModel
from tasks.models import Plan, StepKind
from tests.unit.attempts import make_claim, make_context
from workers.agents.base import Agent, AgentReply
from workers.agents.built_in import built_in, prompt
from workers.answering import Answering, system_prompt
from workers.context import StepContext
from workers.llm.scripted import ScriptedModel, Turn
from workers.llm.settings import ModelSettings

MODEL_AGENT = Agent(name="search", description="Looks things up.")


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROUPE_HOME", str(tmp_path))


class ScriptedAnswering(Answering):
    """Answers with scripted models, one for each name."""

    def __init__(self, **models: ScriptedModel) -> None:
        super().__init__(ModelSettings(model="own", max_tokens=123))
        self._models.update(models)


async def test_code_answers_with_text_or_a_reply() -> None:
    async def text(_: StepContext) -> str:
        return "So."

    async def reply(_: StepContext) -> AgentReply:
        return AgentReply(text="So.", data=[1])

    answering = ScriptedAnswering()
    for run, expected in ((text, AgentReply(text="So.")), (reply, AgentReply(text="So.", data=[1]))):
        agent = Agent(name="own", description="Code.", run=run)
        assert await answering.answer(agent, make_context()) == expected


@pytest.mark.parametrize("returned", [None, 5, b"bytes", {"text": "x"}])
async def test_code_that_returns_something_else_is_told_what(returned: object) -> None:
    async def run(_: StepContext) -> str:
        return returned  # pyright: ignore[reportReturnType]

    with pytest.raises(ContractError, match=f"'own' returned a {type(returned).__name__}; return text"):
        await ScriptedAnswering().answer(Agent(name="own", description="Code.", run=run), make_context())


async def test_a_model_is_asked_with_opening_system_prompt_and_the_setting_of_the_answer_length() -> None:
    model = ScriptedModel(["So."], name="own")
    reply = await ScriptedAnswering(own=model).answer(MODEL_AGENT, make_context())
    assert reply == AgentReply(text="So.", model="own")
    request = model.requests[0]
    assert (request.max_tokens, request.system) == (123, system_prompt(MODEL_AGENT, StepKind.WORK))
    assert "<task>\nWhat is it?\n</task>" in str(request.messages[0]["content"])


async def test_the_agents_model_goes_before_the_jobs_and_that_before_the_settings() -> None:
    mine, jobs, own = ScriptedModel(["mine"]), ScriptedModel(["job's"]), ScriptedModel(["own"])
    answering = ScriptedAnswering(mine=mine, jobs=jobs, own=own)
    picky = Agent(name="search", description="Looks.", model="mine")
    job = StepContext(claim=make_claim(model="jobs"))
    assert (await answering.answer(picky, job)).text == "mine"
    assert (await answering.answer(MODEL_AGENT, job)).text == "job's"
    assert (await answering.answer(MODEL_AGENT, make_context())).text == "own"


async def test_each_model_is_made_once_and_closed() -> None:
    own = ScriptedModel()
    answering = ScriptedAnswering(own=own)
    assert answering.model(None) is answering.model("own") is own
    assert answering.model("offline") is answering.model("offline")
    await answering.close()
    assert own.closed


async def test_a_model_that_is_not_there_is_named() -> None:
    with pytest.raises(UnknownModel, match="'gpt'"):
        ScriptedAnswering().model("gpt")


def test_an_own_agent_without_instructions_is_introduced_by_its_description() -> None:
    text = system_prompt(MODEL_AGENT, StepKind.WORK)
    assert text.startswith(prompt("rules"))
    assert "You are the agent 'search'. Looks things up." in text
    assert text.endswith(prompt("own"))


def test_instructions_take_the_place_of_the_introduction() -> None:
    agent = Agent(name="search", description="Looks.", instructions="Only look.")
    assert system_prompt(agent, StepKind.WORK) == f"{prompt('rules')}\n\nOnly look."


def test_a_synthesis_is_written_by_its_own_prompt_whoever_writes_it() -> None:
    assert system_prompt(MODEL_AGENT, StepKind.SYNTHESIS) == f"{prompt('rules')}\n\n{prompt('synthesis')}"


def test_the_planner_gets_its_prompt_alone() -> None:
    planner = next(agent for agent in built_in() if agent.output is Plan)
    assert system_prompt(planner, StepKind.PLAN) == prompt("planner")


def test_a_list_of_mcp_servers_that_cannot_be_read_is_found_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROUPE_MCP", "no-such-file.toml")
    with pytest.raises(BadSetting, match="TROUPE_MCP"):
        ScriptedAnswering()


async def test_an_agent_with_an_mcp_server_that_nobody_listed_is_a_mistake() -> None:
    with pytest.raises(BadSetting, match="no MCP server 'crm'"):
        await ScriptedAnswering().answer(Agent(name="own", description="Asks.", mcp=["crm"]), make_context())


async def test_an_agent_that_asks_for_more_than_its_model_can_is_refused_before_any_call() -> None:
    agent = Agent(name="own", description="Thinks not.", thinking="disabled")
    with pytest.raises(ContractError, match="'own' cannot work on claude-opus-5-5: thinking='disabled'"):
        await Answering(ModelSettings(model="claude-opus-5-5")).answer(agent, make_context())
    asked_for = StepContext(claim=make_claim(model="claude-fable-5-2"))
    with pytest.raises(ContractError, match="claude-fable-5-2"):
        await Answering(ModelSettings(model="offline")).answer(agent, asked_for)


async def test_an_answer_grows_no_longer_than_the_model_can() -> None:
    name = "claude-haiku-4-5"
    model = ScriptedModel([Turn(["cut"], "max_tokens"), "Done."], name=name)
    answering = ScriptedAnswering(**{name: model})
    answering.settings = ModelSettings(model=name, max_tokens=60_000)
    await answering.answer(MODEL_AGENT, make_context())
    assert [one.max_tokens for one in model.requests] == [60_000, 64_000]
