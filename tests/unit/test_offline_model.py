"""The offline model as a whole: ids, policies, users' own tools, and whatever messages it may meet."""

import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, JsonValue

from tasks.errors import ModelNonsense
from tasks.usage import Usage
from tests.unit.offline_requests import SEARCH_TOOLS, FakeTool, after, arguments, job, passages, request
from workers.llm.base import Block, ChatMessage, JsonSchema, ModelRequest
from workers.llm.offline import OfflineModel
from workers.llm.offline.model import MAX_TURNS, respond


def tool(name: str, rule: JsonSchema, description: str = "A tool.") -> FakeTool:
    return FakeTool(name, description, {"type": "object", "properties": {"value": rule}, "required": ["value"]})


async def test_a_request_gets_the_same_reply_every_time() -> None:
    model = OfflineModel()
    asked = request(job("Explain lists"), tools=SEARCH_TOOLS)
    reply = await model.reply(asked)
    assert reply == await model.reply(asked)
    assert reply.id.startswith("msg_offline_")
    assert (reply.model, model.name, reply.usage) == ("offline", "offline", Usage(requests=1))
    await model.close()


def test_ids_of_tool_calls_count_through_the_conversation() -> None:
    first = request(job("Find: slow lists"), tools=SEARCH_TOOLS)
    reply = respond(first)
    second = respond(after(first, reply, [passages()]))
    assert [use["id"] for use in reply.tool_uses] == ["toolu_offline_1"]
    assert [use["id"] for use in second.tool_uses] == ["toolu_offline_2", "toolu_offline_3"]


def test_it_answers_after_some_turns_whatever_a_tool_returns() -> None:
    asked = request(job("Explain lists"), tools=SEARCH_TOOLS)
    turns = 0
    reply = respond(asked)
    while reply.stop_reason == "tool_use":
        asked = after(asked, reply, ["{}"] * len(reply.tool_uses))
        reply = respond(asked)
        turns += 1
    assert turns <= MAX_TURNS
    assert reply.text


@pytest.mark.parametrize(
    ("rule", "step", "values"),
    [
        ({"type": "string"}, 'Look up "Acme Corp" and "Initech"', ["Acme Corp", "Initech"]),
        ({"type": "string"}, "Prices of ACME and IBM today", ["ACME", "IBM"]),
        ({"type": "string"}, "say something nice", ["say something nice"]),
        ({"type": "integer"}, "double 21 and 4.5", ["21"]),
        ({"type": "number"}, "double -2.5", ["-2.5"]),
        ({"enum": ["metric", "imperial"]}, "Use Imperial units", ["imperial"]),
        ({"enum": ["metric", "imperial"]}, "Use any units", ["metric"]),
        ({"type": "boolean"}, "go on", ["False"]),
        ({"type": "array", "items": {"type": "integer"}}, "add 1 and 2", ["[1, 2]"]),
    ],
)
def test_arguments_are_filled_from_the_words_of_the_step(rule: JsonSchema, step: str, values: list[str]) -> None:
    assert arguments(respond(request(job("A task"), step, tools=[tool("use", rule)])), "value") == values


@pytest.mark.parametrize("rule", [{"type": "integer"}, {"type": "object"}, {"type": "array"}])
def test_a_tool_that_cannot_be_filled_is_not_called(rule: JsonSchema) -> None:
    reply = respond(request(job("A task"), "no such thing here", tools=[tool("use", rule)]))
    assert reply.stop_reason == "end_turn"


def test_the_tool_whose_description_fits_is_called() -> None:
    tools = [
        tool("weather", {"type": "string"}, "Weather of a city."),
        tool("quote", {"type": "string"}, "Price of a share."),
    ]
    reply = respond(request(job("A task"), "Find the price of a share of ACME", tools=tools))
    assert [use["name"] for use in reply.tool_uses] == ["quote"]


def test_a_tool_without_arguments_is_called_as_it_is() -> None:
    reply = respond(request(job("A task"), "the time", tools=[FakeTool("now")]))
    assert reply.tool_uses[0]["input"] == {}


def test_tool_outputs_become_the_answer() -> None:
    asked = request(job("A task"), "Prices of ACME, IBM and XYZ", tools=[tool("quote", {"type": "string"})])
    outputs = ['{"ticker": "ACME", "last_price": 3.5}', "[1, 2]", ValueError("closed")]
    assert respond(after(asked, respond(asked), outputs)).text.splitlines() == [
        "- quote for value ACME: ticker ACME, last price 3.5.",
        "",
        "- quote for value IBM: [1, 2]",
        "",
        "- quote for value XYZ failed: closed.",
    ]


ODD: list[JsonValue] = [
    "text",
    "tool_use",
    "tool_result",
    "",
    "search_passages",
    3,
    None,
    True,
    [],
    {},
    [{"text": "x"}],
    "<step>",
]
KEYS = ["type", "text", "id", "name", "input", "tool_use_id", "content", "is_error"]
BLOCK = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(ODD))


@settings(max_examples=150, deadline=None)
@given(
    contents=st.lists(st.one_of(st.text(max_size=60), st.lists(BLOCK, max_size=4)), max_size=5),
    tools=st.sampled_from([(), SEARCH_TOOLS, (FakeTool("x"),), (FakeTool("list_tables"),)]),
)
def test_any_messages_get_a_reply(contents: list[str | list[Block]], tools: tuple[FakeTool, ...]) -> None:
    messages: list[ChatMessage] = [
        {"role": "user" if place % 2 == 0 else "assistant", "content": content}
        for place, content in enumerate(contents)
    ]
    reply = respond(ModelRequest(model="offline", agent="x", system="", messages=messages, tools=tools))
    assert reply.stop_reason in {"end_turn", "tool_use"}
    assert reply.text or reply.tool_uses


def test_the_latest_request_of_a_long_conversation_counts() -> None:
    old, new = request(job("Explain lists")), request(job("Explain tuples"), tools=SEARCH_TOOLS)
    answered: ChatMessage = {"role": "assistant", "content": [{"type": "text", "text": "Done."}]}
    both = ModelRequest(
        model="offline", agent="x", system="", messages=(*old.messages, answered, *new.messages), tools=SEARCH_TOOLS
    )
    assert arguments(respond(both), "query") == ["tuples"]


def test_it_never_loads_the_sdk_of_a_provider() -> None:
    code = "import workers.llm.offline, sys; sys.exit('anthropic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class Quote(BaseModel):
    ticker: str
    price: float


def test_a_form_of_the_users_own_is_refused_in_words_and_not_tried_again() -> None:
    with pytest.raises(ModelNonsense, match="cannot fill the form 'Quote' of agent 'search'") as caught:
        respond(request(job("Price of ACME"), output=Quote))
    assert (caught.value.code, caught.value.retryable) == ("model_nonsense", False)


async def test_the_answer_is_shown_whole_to_who_wants_it_while_it_is_written() -> None:
    shown: list[str] = []
    reply = await OfflineModel().reply(replace(request(job("Explain lists")), on_text=shown.append))
    assert shown == [reply.text]
