"""Recorded conversations played again: the loop sends what was sent then. RECORDED_CASES names a folder of more."""

import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx2
import pytest
from pydantic import JsonValue

from tasks.errors import ModelNonsense, TooManyTurns, TroupeError
from tests.support.recordings import Chain, Exchange, blocks, comparable, read_chains, read_exchanges, result_text
from tests.unit.attempts import make_context
from workers.agents.base import Agent
from workers.agents.conversation import Conversation
from workers.agents.history import History, faults_in
from workers.context import StepContext
from workers.llm.base import ChatMessage, Model, ModelRequest
from workers.llm.claude import ClaudeModel
from workers.llm.replies import UNFINISHED
from workers.llm.settings import ModelSettings
from workers.testing import FakeMessages, Say
from workers.tools.base import Tool, ToolError
from workers.tools.current import current_call
from workers.tools.executor import ToolExecutor

MODEL = "claude-haiku-4-5"
"""Answers whatever the recorded model was: retired ones have no price any more."""
DONE = Say(content="Done.")
"""For a request after the last recorded one."""

Bodies = Callable[[], Sequence[dict[str, Any]]]


def recorded_tool(chain: Chain, definition: dict[str, Any]) -> Tool:
    """A tool of the recorded definition that gives the recorded results."""

    async def give(_: dict[str, JsonValue]) -> str:
        result = chain.results.get(current_call().call_id)
        said = "ok" if result is None else result_text(result)
        if result is not None and result.get("is_error"):
            raise ToolError("recorded", said)
        return said

    return Tool(
        name=definition["name"],
        description=definition.get("description") or "No description was recorded.",
        function=give,
        given_schema=definition.get("input_schema", {"type": "object"}),
    )


def conversation(chain: Chain, model: Model, context: StepContext) -> Conversation:
    request = chain.exchanges[0].request
    tools = [recorded_tool(chain, one) for one in request.get("tools", []) if one.get("type", "custom") == "custom"]
    system = request.get("system") or ""
    agent = Agent(name="recorded", description="Does it again.", tools=tools, stream=chain.exchanges[0].streamed)
    return Conversation(
        agent=agent,
        context=context,
        model=model,
        executor=ToolExecutor(agent.toolbox),
        system=system if isinstance(system, str) else "\n\n".join(one["text"] for one in system),
        max_tokens=request["max_tokens"],
    )


async def play(chain: Chain, model: Model) -> StepContext:
    """The chain, from each of its beginnings to where the next one begins."""
    context = make_context()
    for begin in chain.begins:
        exchange = chain.exchanges[begin]
        talk = conversation(chain, model, context)
        ends = [at for at in chain.begins if at > begin]
        talk.turns = talk.agent.max_turns - (ends[0] - begin) if ends else 0
        try:
            if len(exchange.messages) == 1:
                await talk.run(exchange.opening)
            else:
                await talk.resume(History.repair(exchange.messages, exchange.opening))
        except TooManyTurns:
            if not ends:  # only a part that is gone on with elsewhere ends without an answer
                raise
    return context


@asynccontextmanager
async def by_the_fake_server(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[tuple[Model, Bodies]]:
    script = [
        Say(content=one.message["content"], stop_reason=one.message["stop_reason"], usage=one.message["usage"])
        for one in chain.exchanges
    ]
    with FakeMessages(script=[*script, DONE]) as fake:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", fake.url)
        model = ClaudeModel(MODEL, ModelSettings())
        yield model, lambda: [one.body for one in fake.requests]
        await model.close()
        assert fake.violations == []


@asynccontextmanager
async def byte_for_byte(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[tuple[Model, Bodies]]:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
    bodies: list[dict[str, Any]] = []

    def answer(sent: httpx2.Request) -> httpx2.Response:
        bodies.append(json.loads(sent.content))
        at = len(bodies) - 1
        if at < len(chain.exchanges):
            return replay(chain.exchanges[at])
        last = {
            **chain.exchanges[-1].message,
            "content": [{"type": "text", "text": "Done."}],
            "stop_reason": "end_turn",
        }
        return httpx2.Response(200, text=json.dumps(last))

    http = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
    model = ClaudeModel(MODEL, ModelSettings(), http_client=http)
    yield model, lambda: bodies
    await model.close()


def replay(exchange: Exchange) -> httpx2.Response:
    """The answer as it came; what was packed is recorded unpacked."""
    kept = {"content-type", "retry-after", "request-id", "date"}
    headers = {name: value for name, value in exchange.headers.items() if name.lower() in kept}
    return httpx2.Response(exchange.status, text=exchange.body, headers=headers)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-secret")


@pytest.mark.parametrize("served", [by_the_fake_server, byte_for_byte])
@pytest.mark.parametrize("chain", read_chains(), ids=lambda one: one.name)
async def test_each_request_of_a_chain_is_the_recorded_one(
    chain: Chain, served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(chain, monkeypatch) as (model, bodies):
        context = await play(chain, model)
        sent = list(bodies())
    ended = chain.exchanges[-1].message["stop_reason"] != "tool_use"
    assert len(sent) == len(chain.exchanges) + (0 if ended else 1)
    for body, exchange in zip(sent, chain.exchanges, strict=False):
        assert comparable(body["messages"]) == comparable(exchange.messages)
    recorded = [one.message["usage"] for one in chain.exchanges]
    for ours, theirs in (
        ("input_tokens", "input_tokens"),
        ("output_tokens", "output_tokens"),
        ("cache_read_tokens", "cache_read_input_tokens"),
        ("cache_write_tokens", "cache_creation_input_tokens"),
    ):
        if ended:
            assert getattr(context.usage, ours) == sum(one.get(theirs) or 0 for one in recorded)
    assert context.usage.requests == len(sent)


@pytest.mark.parametrize("exchange", read_exchanges(), ids=lambda one: one.id)
async def test_each_answer_is_read_or_is_an_error_that_has_a_name(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
    http = httpx2.AsyncClient(transport=httpx2.MockTransport(lambda _: replay(exchange)))
    model = ClaudeModel(MODEL, ModelSettings(), http_client=http)
    shown: list[str] = []
    sink = shown.append if exchange.streamed else None
    messages: list[ChatMessage] = exchange.messages or [{"role": "user", "content": "Hi"}]
    request = ModelRequest(model=MODEL, agent="recorded", system="", messages=messages, on_text=sink)
    try:
        if exchange.status >= 400 or exchange.endpoint != "/v1/messages":
            with pytest.raises(TroupeError) as caught:
                await model.reply(request)
            assert isinstance(caught.value, ModelNonsense) == (exchange.status == 200)  # no message, but a count
            return
        reply = await model.reply(request)
    finally:
        await model.close()
    said = exchange.message
    assert (reply.id, reply.model, reply.stop_reason) == (said["id"], said["model"], said["stop_reason"])
    assert reply.content == said["content"]
    assert "".join(shown) == (reply.text if exchange.streamed else "")
    assert reply.usage.input_tokens == said["usage"]["input_tokens"]
    assert reply.usage.output_tokens == said["usage"]["output_tokens"]
    uses = cast("dict[str, int]", said["usage"].get("server_tool_use") or {})
    assert sum(reply.server_tools.values()) == reply.usage.tool_calls == sum(uses.values())
    kept = History.opening("Hi").reply([] if reply.stop_reason in UNFINISHED else reply.content).close()
    assert faults_in(kept.messages) == []


@pytest.mark.parametrize("exchange", [one for one in read_exchanges() if one.messages], ids=lambda one: one.id)
def test_each_recorded_history_is_taken_as_it_is(exchange: Exchange) -> None:
    if exchange.status == 400 or not exchange.opening:
        return
    kept = History.repair(exchange.messages, exchange.opening)
    assert faults_in(kept.messages) == []
    if faults_in(exchange.messages) == [] and blocks(exchange.messages[0]["content"])[0].get("type") == "text":
        assert comparable(kept.messages) == comparable(exchange.messages)
