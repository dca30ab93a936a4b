"""Where a request is marked for the provider's cache, and what is never touched."""

import copy
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest
from pydantic import BaseModel

from tasks.ids import StepId
from tasks.models import StepKind
from tests.unit.attempts import make_claim, make_input
from workers.agents.prompt import opening, shared_chars
from workers.llm.base import Block, ChatMessage, JsonSchema, ModelRequest
from workers.llm.breakpoints import WORTH, Ttl
from workers.llm.payload import payload
from workers.testing.cache import LOOK_BACK, MAX_BREAKPOINTS, PromptCache, breakpoints

Json = dict[str, Any]
MARK = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}
SYSTEM = "You look things up. " * 300
LONG = "word " * 4 * WORTH


@dataclass(frozen=True)
class Spec:
    name: str = "look"
    description: str = "Looks. " * 200

    @property
    def input_schema(self) -> JsonSchema:
        return {"type": "object", "properties": {}}


class Verdict(BaseModel):
    """An answer."""

    good: bool


BASE = ModelRequest(
    model="claude-sonnet-5-5",
    agent="search",
    system=SYSTEM,
    messages=[{"role": "user", "content": "Find it."}],
    tools=[Spec()],
)


def sent(cache: Ttl | None = "5m", **fields: Any) -> Json:
    return payload(replace(BASE, **fields), model=BASE.model, max_output=1000, cache=cache)


def text(said: str) -> Block:
    return {"type": "text", "text": said}


def calls(number: int, count: int = 1) -> list[ChatMessage]:
    ids = [f"toolu_{number}_{at}" for at in range(count)]
    used: list[Block] = [{"type": "tool_use", "id": one, "name": "look", "input": {}} for one in ids]
    results: list[Block] = [{"type": "tool_result", "tool_use_id": one, "content": LONG} for one in ids]
    return [{"role": "assistant", "content": used}, {"role": "user", "content": results}]


def conversation(turns: int, count: int = 1) -> list[ChatMessage]:
    opened: list[ChatMessage] = [{"role": "user", "content": "Find it."}]
    return opened + [message for number in range(turns) for message in calls(number, count)]


def marked(body: Json) -> list[tuple[int, int]]:
    """Message and block of each breakpoint in the messages."""
    return [
        (at, place)
        for at, message in enumerate(body["messages"])
        if isinstance(message["content"], list)
        for place, block in enumerate(cast("list[Json]", message["content"]))
        if "cache_control" in block
    ]


def bare(body: Json) -> list[Json]:
    """Messages without breakpoints, text for a single block of it."""
    found: list[Json] = []
    for message in body["messages"]:
        content = message["content"]
        if isinstance(content, list):
            blocks = cast("list[Json]", content)
            content = [{name: part for name, part in block.items() if name != "cache_control"} for block in blocks]
            content = content[0]["text"] if len(content) == 1 and content[0]["type"] == "text" else content
        found.append({"role": message["role"], "content": content})
    return found


def test_what_all_conversations_of_an_agent_begin_with_is_kept() -> None:
    body = sent()
    assert body["system"] == [{"type": "text", "text": SYSTEM, "cache_control": MARK}]
    assert "cache_control" not in body["tools"][0]
    assert sent(system="")["tools"][0]["cache_control"] == MARK
    assert breakpoints(body) == 1


def test_an_hour_holds_for_what_is_shared_only() -> None:
    body = sent("1h", messages=[{"role": "user", "content": LONG}])
    assert body["system"][0]["cache_control"] == HOUR
    assert body["messages"][0]["content"][0]["cache_control"] == MARK


@pytest.mark.parametrize("off", [{"cache": None}, {"cache": "5m", "off": True}])
def test_nothing_is_kept_where_it_is_switched_off(off: Json) -> None:
    fields = {"messages": conversation(2)}
    request = replace(BASE, **fields, cache=not off.get("off", False))
    body = payload(request, model=BASE.model, max_output=1000, cache=off["cache"])
    assert breakpoints(body) == 0
    assert body["messages"] == fields["messages"]
    assert body["system"] == SYSTEM


def test_what_no_model_would_keep_is_left_as_it_is() -> None:
    assert sent(system="Be brief.", tools=[])["system"] == "Be brief."
    assert sent(tools=[], system="")["messages"] == list(BASE.messages)
    assert sent(messages=[])["messages"] == []


def test_a_long_opening_is_kept_when_the_conversation_may_go_on() -> None:
    opened: list[ChatMessage] = [{"role": "user", "content": LONG}]
    assert marked(sent(messages=opened)) == [(0, 0)]
    assert marked(sent(messages=opened, tools=[])) == []
    assert marked(sent()) == []


def test_the_last_two_messages_of_the_user_are_marked_as_the_conversation_grows() -> None:
    assert marked(sent(messages=conversation(1, 3))) == [(0, 0), (2, 2)]
    assert marked(sent(messages=conversation(3, 2))) == [(4, 1), (6, 1)]
    paused: list[ChatMessage] = [*conversation(1), {"role": "assistant", "content": [text("More.")]}]
    assert marked(sent(messages=paused)) == [(0, 0), (2, 0)]


@pytest.mark.parametrize("turns", range(5))
def test_messages_say_what_they_said_and_the_given_ones_are_not_changed(turns: int) -> None:
    given = conversation(turns, 2)
    before = copy.deepcopy(given)
    body = sent(messages=given)
    assert given == before
    assert bare(body) == before
    ours = [at for at, _ in marked(body)]
    assert all(body["messages"][at]["role"] == "user" for at in ours)


@pytest.mark.parametrize("count", [1, LOOK_BACK + 15])
def test_each_request_reads_all_that_the_one_before_it_wrote(count: int) -> None:
    cache = PromptCache(lambda: 0.0)
    written = 0
    for turns in range(5):
        body = sent(messages=conversation(turns, count))
        use = cache.look_up("k", body)
        cache.begin(use)
        assert breakpoints(body) <= MAX_BREAKPOINTS
        assert use.read == written
        written += use.written_5m
    assert written > 4 * count * 4 * WORTH


def test_there_are_never_more_breakpoints_than_the_api_takes() -> None:
    opened: list[ChatMessage] = [{"role": "user", "content": LONG + "\n\nFind it."}]
    body = sent(messages=[*opened, *conversation(4)[1:]], shared_chars=len(LONG))
    assert breakpoints(body) == MAX_BREAKPOINTS
    assert breakpoints(sent(messages=[*opened, *calls(1)], shared_chars=len(LONG))) == MAX_BREAKPOINTS


def test_breakpoints_of_the_callers_own_stand_for_themselves() -> None:
    own: list[ChatMessage] = [
        {"role": "user", "content": [{**text(LONG), "cache_control": {"type": "ephemeral"}} for _ in range(3)]}
    ]
    body = sent(messages=own)
    assert body["messages"] == own
    assert breakpoints(body) == MAX_BREAKPOINTS


@pytest.mark.parametrize("content", ["", [], [text(" ")]])
def test_what_is_no_message_goes_out_as_it_is(content: Any) -> None:
    assert sent(messages=["no message"])["messages"] == ["no message"]
    body = sent(messages=[{"role": "user", "content": content}], shared_chars=10_000)
    assert body["messages"] == [{"role": "user", "content": content}]


def steps_of_a_job(task: str) -> list[Json]:
    """First requests of two steps that rest on the same input."""
    found: list[Json] = []
    for name in ("one", "two"):
        claim = make_claim(inputs=[make_input("before", LONG)])
        job = claim.job.model_copy(update={"task": task})
        step = claim.step.model_copy(update={"id": StepId(name), "description": f"Do part {name}."})
        claim = claim.model_copy(update={"job": job, "step": step})
        opened = opening(claim)
        messages: list[ChatMessage] = [{"role": "user", "content": opened}]
        found.append(sent(messages=messages, shared_chars=shared_chars(opened, step.kind)))
    return found


def test_what_steps_share_of_the_opening_is_kept_apart_from_what_is_their_own() -> None:
    one, two = steps_of_a_job("Compare them.")
    shared, own = one["messages"][0]["content"]
    assert shared == two["messages"][0]["content"][0]
    assert shared["cache_control"] == MARK
    assert LONG in shared["text"]
    assert "Compare them." in shared["text"]
    assert own["text"].startswith("\n\n<step id=")
    cache = PromptCache(lambda: 0.0)
    cache.begin(cache.look_up("k", one))
    assert cache.look_up("k", two).read > 4 * WORTH


def test_planning_and_the_final_answer_share_nothing() -> None:
    opened = opening(make_claim(inputs=[make_input("before", f"{LONG}\n\n<step id='x'>")]))
    assert opened[: shared_chars(opened, StepKind.WORK)].endswith("</input>")
    assert [shared_chars(opened, kind) for kind in (StepKind.PLAN, StepKind.SYNTHESIS)] == [0, 0]
    assert shared_chars("Do it.", StepKind.WORK) == 0


def test_the_form_of_the_answer_does_not_move_breakpoints() -> None:
    assert breakpoints(sent(output=Verdict)) == 1
