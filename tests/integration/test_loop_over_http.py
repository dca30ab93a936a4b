"""The whole loop against the fake Messages API over real HTTP: what a request of ours must never break."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import BaseModel, JsonValue

from tasks.errors import InvalidOutput, LoopStalled, ModelTruncated
from tests.unit.attempts import make_context
from workers.agents.base import Agent, AgentReply
from workers.agents.conversation import Conversation
from workers.agents.fitness import Fitness
from workers.context import StepContext
from workers.llm.base import Block
from workers.llm.claude import ClaudeModel
from workers.llm.settings import ModelSettings
from workers.testing import FakeMessages, Fault, Say
from workers.tools.executor import ToolExecutor

MODEL = "claude-haiku-4-5"
THINKING: Block = {"type": "thinking", "thinking": "Hm. " * 30, "signature": "c2ln"}


class Verdict(BaseModel):
    """A structured answer."""

    good: bool
    why: str


def look(q: str) -> str:
    """Look something up."""
    return f"seen {q}"


def call(number: int, q: str = "x") -> Block:
    return {"type": "tool_use", "id": f"toolu_{number}", "name": "look", "input": {"q": q}}


class Scene:
    """A server with a script, and one conversation with it."""

    def __init__(self, fake: FakeMessages, model: ClaudeModel) -> None:
        self.fake = fake
        self.model = model
        self.context: StepContext = make_context()
        self.others: list[ClaudeModel] = []
        self.events: list[tuple[str, dict[str, JsonValue]]] = []
        self.context.emit = lambda kind, data: self.events.append((kind, data))

    async def run(self, model: str = MODEL, **fields: Any) -> AgentReply:
        agent = Agent(name="own", description="Does it.", tools=[look], **fields)
        answers = self.model
        if model != MODEL:
            answers = ClaudeModel(model, ModelSettings())
            self.others.append(answers)
        talk = Conversation(
            agent=agent,
            context=self.context,
            model=answers,
            executor=ToolExecutor(agent.toolbox),
            system="Be brief.",
            limits=Fitness(ModelSettings()).limits(model),
        )
        return await talk.run("Do it.")


Served = Callable[[Sequence[Say | Fault]], Any]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Served:
    @asynccontextmanager
    async def serve(script: Sequence[Say | Fault]) -> AsyncGenerator[Scene]:
        with FakeMessages(script=script) as fake:
            monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-secret")
            monkeypatch.setenv("ANTHROPIC_BASE_URL", fake.url)
            model = ClaudeModel(MODEL, ModelSettings())
            scene = Scene(fake, model)
            yield scene
            for one in (model, *scene.others):
                await one.close()
            assert fake.violations == []
            assert fake.record.stats["queued"] == 0

    return serve


async def test_every_stop_reason_of_one_conversation_keeps_every_rule(served: Served) -> None:
    use: Block = {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {"query": "x"}}
    found: Block = {"type": "web_search_tool_result", "tool_use_id": "srv_1", "content": []}
    script = [
        Say(content=[THINKING, {"type": "text", "text": ""}, call(1), call(2)]),
        Say(content=[], stop_reason="end_turn"),
        Say(content=[call(3)], stop_reason="max_tokens"),
        Say(content=[use, found], stop_reason="pause_turn", usage={"server_tool_use": {"web_search_requests": 1}}),
        Say(content=[{"type": "text", "text": "More."}, call(4)]),
        Say(content=[{"type": "text", "text": "long"}], stop_reason="model_context_window_exceeded"),
        Say(content=[{"type": "compaction", "content": "So far."}], stop_reason="compaction"),
        Say(content="It is so."),
    ]
    async with served(script) as scene:
        reply = await scene.run(server_tools=["web_search"])
        assert reply.text == "It is so."
        assert scene.fake.calls == 8
        assert scene.context.usage.cost_microusd == scene.fake.record.stats["cost_microusd"] > 10_000
        assert [data["tool"] for kind, data in scene.events if kind == "tool_called"] == [
            "look",
            "look",
            "web_search",
            "look",
        ]


async def test_text_comes_while_it_is_written(served: Served) -> None:
    said = "word " * 200
    async with served([Say(content=said, pace_s=0.03)]) as scene:
        reply = await scene.run(stream=True)
        pieces = [str(data["text"]) for kind, data in scene.events if kind == "text_delta"]
        assert reply.text == said.strip()
        assert "".join(pieces) == said
        assert len(pieces) > 1
        assert scene.fake.requests[0].body["stream"] is True


async def test_a_form_is_mended_and_given_up(served: Served) -> None:
    async with served([Say(content='{"good": 1}'), Say(content='{"good": true, "why": "so"}')]) as scene:
        assert (await scene.run(output=Verdict)).data == {"good": True, "why": "so"}
        form = scene.fake.requests[0].body["output_config"]["format"]
        assert form["schema"]["required"] == ["good", "why"]
    async with served([Say(content="no")] * 3) as scene:
        with pytest.raises(InvalidOutput) as caught:
            await scene.run(output=Verdict)
        assert caught.value.raw == "no"


async def test_a_prompt_that_is_too_long_is_shortened_once(served: Served) -> None:
    too_long = Fault(status=400, type="invalid_request_error", message="prompt is too long: 200001 tokens > 200000")
    calls = [Say(content=[THINKING, call(number, letter * 3000)]) for number, letter in enumerate("abc")]
    async with served([*calls, too_long, Say(content="Done.")]) as scene:
        assert (await scene.run()).text == "Done."
        sent = [len(str(one.body["messages"])) for one in scene.fake.requests]
        assert sent[4] < sent[3] * 0.6
    async with served([*calls, too_long, too_long]) as scene:
        with pytest.raises(ModelTruncated, match="too large"):
            await scene.run()


async def test_a_circle_ends(served: Served) -> None:
    async with served([Say(content=[call(number)]) for number in range(6)]) as scene:
        with pytest.raises(LoopStalled):
            await scene.run()


def thinking(number: int) -> Block:
    return {"type": "thinking", "thinking": f"Hm {number}. " * 20, "signature": f"c2ln{number}"}


SEARCH: Block = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
BOUND = "claude-sonnet-5-5"
"""A model that checks what its thinking is bound to."""


async def test_nothing_that_thinking_is_bound_to_is_ever_changed(served: Served) -> None:
    script = [
        Say(content=[thinking(1), call(1)]),
        Say(content=[], stop_reason="end_turn"),
        Say(content=[thinking(2), call(2)], stop_reason="max_tokens"),
        Say(content=[thinking(3), SEARCH], stop_reason="pause_turn"),
        Say(content=[{"type": "web_search_tool_result", "tool_use_id": "s", "content": []}, thinking(4), call(3)]),
        Say(content=[thinking(5), {"type": "text", "text": "no form"}]),
        Say(content=[thinking(6), {"type": "text", "text": '{"good": true, "why": ""}'}]),
    ]
    async with served(script) as scene:
        await scene.run(BOUND, output=Verdict, server_tools=["web_search"])
        assert "c2ln5" in str(scene.fake.requests[-1].body)


async def test_a_shortened_conversation_takes_bound_thinking_along(served: Served) -> None:
    calls = [Say(content=[thinking(number), call(number, letter * 3000)]) for number, letter in enumerate("abc")]
    full = Say(content=[], stop_reason="model_context_window_exceeded")
    async with served([*calls, full, Say(content=[thinking(9), call(9)]), Say(content="Done.")]) as scene:
        assert (await scene.run(BOUND)).text == "Done."
        assert "c2ln0" not in str(scene.fake.requests[4].body)
        assert "c2ln9" in str(scene.fake.requests[5].body)
