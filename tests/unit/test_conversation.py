"""The agent loop: every way in which a model can end its turn."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel, JsonValue

from tasks.errors import (
    InvalidOutput,
    LoopStalled,
    ModelNonsense,
    ModelRefused,
    ModelTruncated,
    ModelUnavailable,
    TooManyTurns,
)
from tasks.usage import Usage
from tests.unit.attempts import make_context
from workers.agents.base import Agent
from workers.agents.conversation import MAX_PAUSES, MAX_TOKENS, ROOM, Conversation, Limits
from workers.agents.history import History, faults_in
from workers.context import StepContext
from workers.llm.base import Block, ModelRequest
from workers.llm.scripted import Call, ScriptedModel, Step, Turn
from workers.tools.base import ToolCall
from workers.tools.executor import DEFAULT_CAP, NOTHING_KNOWN, Keep, ToolExecutor

THINKING: Block = {"type": "thinking", "thinking": "Hm.", "signature": "abc"}
UNKNOWN: Block = {"type": "from_next_year", "payload": {"deep": [1, None, "ä"]}}


class Verdict(BaseModel):
    """A structured answer."""

    good: bool
    why: str


def look(q: str) -> str:
    """Look something up."""
    return f"seen {q}"


def fail(q: str) -> str:
    """Always goes wrong."""
    raise ValueError(f"no {q}")


class CountingExecutor(ToolExecutor):
    """Counts the calls that it ran."""

    def __init__(self, agent: Agent) -> None:
        super().__init__(agent.toolbox)
        self.ran: list[tuple[str, int]] = []

    async def execute_all(
        self,
        blocks: Sequence[Block],
        attempt: int = 1,
        cap: int = DEFAULT_CAP,
        *,
        known: Mapping[str, ToolCall] = NOTHING_KNOWN,
        keep: Keep | None = None,
    ) -> list[ToolCall]:
        self.ran += [(str(block["name"]), attempt) for block in blocks]
        return await super().execute_all(blocks, attempt, cap, known=known, keep=keep)


class Scene:
    """One conversation with a scripted model."""

    def __init__(
        self, turns: Sequence[Step], *, max_turns: int = 16, output: type[BaseModel] | None = None, **more: Any
    ) -> None:
        self.model = ScriptedModel(turns)
        self.events: list[tuple[str, dict[str, JsonValue]]] = []
        self.context = make_context()
        self.context.emit = lambda kind, data: self.events.append((kind, data))
        agent = Agent(
            name="search", description="Looks.", tools=[look, fail], max_turns=max_turns, output=output, **more
        )
        self.executor = CountingExecutor(agent)
        self.conversation = Conversation(
            agent=agent, context=self.context, model=self.model, executor=self.executor, system="Be brief."
        )

    async def run(self) -> str:
        return (await self.conversation.run("Do it.")).text

    @property
    def requests(self) -> list[ModelRequest]:
        return self.model.requests


def texts(request: ModelRequest) -> list[str]:
    """Role of each message with its kinds of blocks."""
    return [
        f"{message['role']}: "
        + (
            "plain"
            if isinstance(message["content"], str)
            else " ".join(str(block["type"]) for block in message["content"])
        )
        for message in request.messages
    ]


async def test_an_answer_ends_the_conversation() -> None:
    scene = Scene([Turn(["  It is so.\n"], usage=Usage(output_tokens=5, requests=1))])
    reply = await scene.conversation.run("Do it.")
    assert (reply.text, reply.data, reply.model) == ("It is so.", None, "scripted")
    assert scene.context.usage == Usage(output_tokens=5, requests=1)
    scene.model.assert_consumed()


async def test_a_request_carries_system_prompt_sorted_tools_and_agent() -> None:
    scene = Scene(["Done."])
    await scene.run()
    request = scene.requests[0]
    assert (request.agent, request.system, request.max_tokens) == ("search", "Be brief.", MAX_TOKENS)
    assert [one.name for one in request.tools] == ["fail", "look"]
    assert list(request.messages) == [{"role": "user", "content": "Do it."}]


async def test_a_tool_round_trip_goes_back_to_the_model() -> None:
    scene = Scene([Call("look", {"q": "x"}), "Found."])
    assert await scene.run() == "Found."
    assert scene.requests[1].messages[2] == {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "toolu_scripted_1_1", "content": said("seen x"), "is_error": False}
        ],
    }
    assert scene.executor.ran == [("look", 1)]
    assert scene.context.usage.tool_calls == 1


async def test_all_results_of_a_turn_stand_in_one_user_message_in_order() -> None:
    scene = Scene([["I look.", Call("look", {"q": "a"}), Call("fail", {"q": "b"}), Call("nope")], "Found."])
    await scene.run()
    last = scene.requests[1].messages[-1]
    assert last["role"] == "user"
    assert isinstance(last["content"], list)
    assert [block["type"] for block in last["content"]] == ["tool_result"] * 3
    assert [block["tool_use_id"] for block in last["content"]] == [f"toolu_scripted_1_{at}" for at in (2, 3, 4)]
    assert [block["is_error"] for block in last["content"]] == [False, True, True]


async def test_every_tool_call_is_an_event_with_its_code() -> None:
    scene = Scene([[Call("look", {"q": "a"}), Call("fail", {"q": "b"})], "Found."])
    await scene.run()
    assert [kind for kind, _ in scene.events] == ["tool_called", "tool_called"]
    good, bad = (data for _, data in scene.events)
    assert (good["tool"], good["success"], "code" in good) == ("look", True, False)
    assert (bad["tool"], bad["success"], bad["code"]) == ("fail", False, "raised")


async def test_assistant_blocks_go_back_verbatim_also_unknown_ones() -> None:
    call: Block = {
        "type": "tool_use",
        "id": "toolu_1",
        "name": "look",
        "input": {"q": "x"},
        "caller": {"type": "direct"},
    }
    content: list[Block] = [THINKING, {"type": "text", "text": "I look."}, UNKNOWN, call]
    scene = Scene([Turn(content), "Found."])
    await scene.run()
    assert scene.requests[1].messages[1] == {"role": "assistant", "content": content}


async def test_stop_sequence_is_an_answer() -> None:
    assert await Scene([Turn(["Enough."], "stop_sequence")]).run() == "Enough."


async def test_an_empty_answer_after_results_is_nudged_in_the_same_user_message() -> None:
    scene = Scene([Call("look", {"q": "x"}), Turn([]), "Now then."])
    assert await scene.run() == "Now then."
    assert texts(scene.requests[2]) == ["user: plain", "assistant: tool_use", "user: tool_result text"]


async def test_an_empty_first_answer_is_nudged_beside_the_opening() -> None:
    scene = Scene([Turn([]), "Now then."])
    assert await scene.run() == "Now then."
    content = scene.requests[1].messages[0]["content"]
    assert content[0] == {"type": "text", "text": "Do it."}
    assert texts(scene.requests[1]) == ["user: text text"]


@pytest.mark.parametrize(
    "content",
    [[{"type": "text", "text": " \n"}], [THINKING], [THINKING, {"type": "text", "text": ""}]],
    ids=["blank text", "thinking alone", "both"],
)
async def test_what_the_api_would_refuse_as_a_message_is_not_sent_back(content: list[Block]) -> None:
    scene = Scene([Turn(content), "Now then."])
    assert await scene.run() == "Now then."
    assert texts(scene.requests[1]) == ["user: text text"]


async def test_an_empty_answer_after_a_pause_keeps_the_assistant_message_what_it_was() -> None:
    paused: Block = {"type": "server_tool_use", "id": "srv_1", "name": "web", "input": {}}
    scene = Scene([Turn([paused], "pause_turn"), Turn([]), "Now then."])
    assert await scene.run() == "Now then."
    assert texts(scene.requests[2]) == ["user: plain", "assistant: server_tool_use", "user: text"]


async def test_roles_alternate_whatever_happens() -> None:
    turns: list[Step] = [
        Turn([UNKNOWN]),
        Call("look", {"q": "x"}),
        Turn([]),
        Turn([], "pause_turn"),
        Turn(["half"], "max_tokens"),
        "Done.",
    ]
    scene = Scene(turns)
    await scene.run()
    for request in scene.requests:
        roles = [message["role"] for message in request.messages]
        assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"] * (len(roles) % 2)
        assert roles[-1] == "user"


async def test_a_model_that_never_answers_is_given_up() -> None:
    scene = Scene([Turn([])] * 3)
    with pytest.raises(ModelNonsense, match="no usable answer in 3 tries"):
        await scene.run()
    scene.model.assert_consumed()


async def test_a_structured_answer_becomes_data() -> None:
    scene = Scene(['{"good": true, "why": "tested"}'], output=Verdict)
    reply = await scene.conversation.run("Judge.")
    assert reply.data == {"good": True, "why": "tested"}
    assert scene.requests[0].output is Verdict


async def test_a_structured_answer_is_repaired_with_its_faults() -> None:
    scene = Scene(['{"good": "maybe"}', "no JSON", '{"good": true, "why": "tested"}'], output=Verdict)
    reply = await scene.conversation.run("Judge.")
    assert reply.data == {"good": True, "why": "tested"}
    nudge = scene.requests[1].messages[2]["content"]
    assert isinstance(nudge, list)
    assert "good: " in str(nudge[0]["text"])
    assert "why: Field required" in str(nudge[0]["text"])
    assert len(scene.requests[2].messages) == 5


async def test_a_structured_answer_that_stays_wrong_is_given_up_and_kept() -> None:
    raw = "nope " * 1000
    scene = Scene(["never", "ever", raw], output=Verdict)
    with pytest.raises(InvalidOutput, match=r"in 3 tries; the last: This does not parse.* It was: nope nope") as caught:
        await scene.run()
    assert caught.value.raw == raw.strip()
    assert len(str(caught.value)) < 2000
    scene.model.assert_consumed()


async def test_a_fenced_answer_needs_no_repair() -> None:
    scene = Scene(['Here:\n```json\n{"good": true, "why": ""}\n```'], output=Verdict)
    reply = await scene.conversation.run("Judge.")
    assert (reply.text, reply.data) == ('{"good": true, "why": ""}', {"good": True, "why": ""})


async def test_empty_answers_and_repairs_are_counted_apart() -> None:
    turns: list[Step] = [Turn([]), "nope", Turn([]), "nope", '{"good": false, "why": ""}']
    assert await Scene(turns, output=Verdict).run() == '{"good": false, "why": ""}'


async def test_a_cut_answer_is_asked_for_again_with_more_room_and_not_kept() -> None:
    scene = Scene([Turn(["half of"], "max_tokens"), "All of it."])
    assert await scene.run() == "All of it."
    assert [one.max_tokens for one in scene.requests] == [MAX_TOKENS, MAX_TOKENS * ROOM]
    assert scene.requests[1].messages == scene.requests[0].messages


async def test_room_grows_once() -> None:
    scene = Scene([Turn(["half"], "max_tokens"), Turn(["half"], "max_tokens"), "never asked for"])
    with pytest.raises(ModelTruncated, match=str(MAX_TOKENS * ROOM)):
        await scene.run()
    assert len(scene.requests) == 2


@pytest.mark.parametrize("tokens", [100, 100_000])
async def test_room_grows_once_whatever_it_was_before(tokens: int) -> None:
    scene = Scene([Turn(["half"], "max_tokens"), Turn(["half"], "max_tokens")])
    scene.conversation.max_tokens = tokens
    with pytest.raises(ModelTruncated):
        await scene.run()
    assert [one.max_tokens for one in scene.requests] == [tokens, min(tokens * ROOM, Limits().max_output)]


@pytest.mark.parametrize("reason", ["max_tokens", "refusal", "model_context_window_exceeded", "from_next_year"])
async def test_a_tool_call_is_run_only_when_the_turn_ended_for_it(reason: str) -> None:
    scene = Scene([Turn([Call("look", {"q": "x"})], reason), Turn(["cut again"], "max_tokens")])
    with pytest.raises((ModelTruncated, ModelRefused, ModelNonsense)):
        await scene.run()
    assert scene.executor.ran == []


async def test_a_refusal_names_its_category() -> None:
    with pytest.raises(ModelRefused, match=r"declined this step \(cyber\)"):
        await Scene([Turn(["I would rather"], "refusal", refusal="cyber")]).run()
    with pytest.raises(ModelRefused, match="no category given"):
        await Scene([Turn([], "refusal")]).run()


FULL = Turn(["half"], "model_context_window_exceeded")


async def test_a_full_context_with_nothing_to_leave_out_is_said_so() -> None:
    scene = Scene([FULL])
    with pytest.raises(ModelTruncated, match="no longer fits"):
        await scene.run()
    assert len(scene.requests) == 1


@pytest.mark.parametrize("full", [FULL, ModelTruncated("prompt is too long")], ids=["stop reason", "refused request"])
async def test_a_full_context_is_shortened_and_asked_again(full: Step) -> None:
    long = Call("look", {"q": "x" * 3000})
    scene = Scene([long, Call("look", {"q": "y" * 3000}), full, "Done."])
    assert await scene.run() == "Done."
    before, after = scene.requests[2:]
    assert len(str(after.messages)) < len(str(before.messages)) * 0.6
    assert after.messages[-1] == before.messages[-1]
    assert faults_in(after.messages) == []
    assert ("step_progress" in [kind for kind, _ in scene.events]) is True


@pytest.mark.parametrize("full", [FULL, ModelTruncated("prompt is too long")], ids=["stop reason", "refused request"])
async def test_a_context_that_stays_full_is_a_failure(full: Step) -> None:
    calls: list[Step] = [Call("look", {"q": letter * 3000}) for letter in "abcdef"]
    scene = Scene([*calls, full, full, "never asked for"])
    with pytest.raises(ModelTruncated):
        await scene.run()
    assert len(scene.requests) == 8
    assert len(scene.requests[7].messages) > 3  # there was more to leave out


async def test_a_context_that_is_full_again_later_is_shortened_again() -> None:
    calls: list[Step] = [Call("look", {"q": letter * 3000}) for letter in "abcd"]
    scene = Scene([*calls[:2], FULL, *calls[2:], FULL, "Done."])
    assert await scene.run() == "Done."


async def test_thinking_that_is_bound_to_what_was_before_is_not_sent_after_a_change() -> None:
    calls: list[Step] = [Turn([THINKING, Call("look", {"q": letter * 3000})]) for letter in "ab"]
    scene = Scene([*calls, FULL, "Done."])
    scene.conversation.limits = Limits(bound_thinking=True)
    await scene.run()
    assert "signature" in str(scene.requests[2].messages)
    assert "signature" not in str(scene.requests[3].messages)


async def test_a_model_that_goes_round_in_circles_is_told_and_then_given_up() -> None:
    scene = Scene([Call("look", {"q": "x"})] * 16)
    with pytest.raises(LoopStalled, match=r"'search' made the same calls 6 times over \(now look\)"):
        await scene.run()
    said = [texts(request)[-1] for request in scene.requests]
    assert said == ["user: plain", *["user: tool_result"] * 2, *["user: tool_result text"] * 3]
    assert "same tool calls 3 times over" in str(scene.requests[3].messages[-1])


async def test_a_model_that_leaves_its_circle_goes_on() -> None:
    scene = Scene([*[Call("look", {"q": "x"})] * 4, Call("look", {"q": "y"}), "Found."])
    assert await scene.run() == "Found."
    assert texts(scene.requests[5])[-1] == "user: tool_result"


async def test_a_compacted_conversation_goes_on() -> None:
    compaction: Block = {"type": "compaction", "content": "So far: nothing."}
    scene = Scene([Turn([compaction], "compaction"), "Done."])
    assert await scene.run() == "Done."
    assert scene.requests[1].messages[1] == {"role": "assistant", "content": [compaction]}


async def test_a_tool_call_beside_an_empty_end_is_not_run_and_answered_as_such() -> None:
    scene = Scene([Turn([Call("look", {"q": "x"})], "end_turn"), "Now then."])
    assert await scene.run() == "Now then."
    assert scene.executor.ran == []
    assert texts(scene.requests[1])[-1] == "user: tool_result text"


async def test_room_never_grows_past_what_the_model_can() -> None:
    scene = Scene([Turn(["half"], "max_tokens"), Turn(["half"], "max_tokens")])
    scene.conversation.limits = Limits(max_output=MAX_TOKENS + 1)
    with pytest.raises(ModelTruncated, match=str(MAX_TOKENS + 1)):
        await scene.run()
    assert [one.max_tokens for one in scene.requests] == [MAX_TOKENS, MAX_TOKENS + 1]
    scene = Scene([Turn(["half"], "max_tokens")])
    scene.conversation.limits = Limits(max_output=MAX_TOKENS)
    with pytest.raises(ModelTruncated):
        await scene.run()


async def test_what_the_provider_ran_itself_goes_back_and_is_not_run_again() -> None:
    use: Block = {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {"query": "x"}}
    found: Block = {
        "type": "web_search_tool_result",
        "tool_use_id": "srv_1",
        "content": [{"type": "web_search_result"}],
    }
    failed: Block = {"type": "server_tool_use", "id": "srv_2", "name": "web_search", "input": {}}
    wrong: Block = {
        "type": "web_search_tool_result",
        "tool_use_id": "srv_2",
        "content": {"type": "web_search_tool_result_error", "error_code": "max_uses_exceeded"},
    }
    content: list[str | Call | Block] = [use, found, failed, wrong, Call("look", {"q": "x"})]
    scene = Scene([Turn(content, container="container_1"), "Found."], server_tools=["web_search", "code_execution"])
    await scene.run()
    assert scene.executor.ran == [("look", 1)]
    sent = scene.requests[1].messages[1]["content"]
    assert sent[:4] == [use, found, failed, wrong]
    assert [(data["tool"], data["success"], data.get("code")) for _, data in scene.events] == [
        ("web_search", True, None),
        ("web_search", False, "max_uses_exceeded"),
        ("look", True, None),
    ]
    assert [one["name"] for one in scene.requests[0].server_tools] == ["code_execution", "web_search"]
    assert [one.container for one in scene.requests] == [None, "container_1"]


async def test_a_tool_is_demanded_only_until_one_was_called() -> None:
    scene = Scene([Turn(["half"], "max_tokens"), Call("look", {"q": "x"}), "Found."], tool_choice="look")
    await scene.run()
    assert [one.tool_choice for one in scene.requests] == ["look", "look", None]


async def test_thinking_and_effort_are_the_agents() -> None:
    scene = Scene(["Done."], thinking="adaptive", effort="low")
    await scene.run()
    assert (scene.requests[0].thinking, scene.requests[0].effort) == ("adaptive", "low")


async def test_what_is_written_is_shown_only_if_the_agent_says_so() -> None:
    for stream, shown in ((False, []), (True, [{"turn": 1, "text": "I look."}, {"turn": 2, "text": "Found."}])):
        scene = Scene([["I look.", Call("look", {"q": "x"})], "Found."], stream=stream)
        await scene.run()
        assert [data for kind, data in scene.events if kind == "text_delta"] == shown


async def test_what_was_written_before_a_failure_is_shown() -> None:
    scene = Scene([Turn(["I would"], "refusal")], stream=True)
    with pytest.raises(ModelRefused):
        await scene.run()
    assert scene.events == [("text_delta", {"turn": 1, "text": "I would"})]


async def test_a_conversation_goes_on_where_it_was_interrupted() -> None:
    """Of three calls one had ended; the others are run, and the model is asked with all three results."""
    scene = Scene(["Found."])
    calls: list[Block] = [
        {"type": "tool_use", "id": f"t{at}", "name": "look", "input": {"q": str(at)}} for at in range(3)
    ]
    done: Block = {"type": "tool_result", "tool_use_id": "t1", "content": "seen before", "is_error": False}
    history = History.opening("Do it.").reply([THINKING, *calls]).results([done])
    reply = await scene.conversation.resume(history)
    assert reply.text == "Found."
    assert scene.executor.ran == [("look", 1), ("look", 1)]
    content = scene.requests[0].messages[-1]["content"]
    assert [block["content"] for block in content if isinstance(block, dict)] == [
        said("seen 0"),
        "seen before",
        said("seen 2"),
    ]


async def test_a_conversation_that_ended_in_the_models_words_is_gone_on_with_in_ours() -> None:
    scene = Scene(["Done."])
    await scene.conversation.resume(History.opening("Do it.").reply([{"type": "text", "text": "First"}]))
    assert texts(scene.requests[0]) == ["user: plain", "assistant: text", "user: text"]


async def test_an_unknown_stop_reason_is_named() -> None:
    with pytest.raises(ModelNonsense, match="'from_next_year'"):
        await Scene([Turn(["What?"], "from_next_year")]).run()


async def test_a_tool_turn_without_a_call_is_nonsense() -> None:
    with pytest.raises(ModelNonsense, match="made none"):
        await Scene([Turn(["I will call."], "tool_use")]).run()


@pytest.mark.parametrize(
    "turns",
    [[[Call("look", {"q": "x"}, "same"), Call("look", {"q": "y"}, "same")]], [Call("look", {"q": "x"}, "same")] * 2],
    ids=["in one turn", "in two"],
)
async def test_calls_of_one_id_are_nonsense_and_not_run(turns: list[Step]) -> None:
    scene = Scene(turns)
    with pytest.raises(ModelNonsense, match="one id"):
        await scene.run()
    assert len(scene.executor.ran) == len(turns) - 1


async def test_a_made_up_name_of_any_length_fits_into_an_event() -> None:
    scene = Scene([Call("x" * 100_000, {}), "There is no such tool."])
    assert await scene.run() == "There is no such tool."
    assert [data["tool"] for kind, data in scene.events if kind == "tool_called"] == ["x" * 127 + "…"]


async def test_a_paused_turn_is_continued_with_what_it_had() -> None:
    scene = Scene([Turn([UNKNOWN], "pause_turn"), "Done."])
    assert await scene.run() == "Done."
    assert scene.requests[1].messages[1] == {"role": "assistant", "content": [UNKNOWN]}
    assert len(scene.requests[1].messages) == 2


async def test_pauses_are_capped() -> None:
    scene = Scene([Turn([UNKNOWN], "pause_turn")] * (MAX_PAUSES + 1))
    with pytest.raises(TooManyTurns, match=f"paused its turn {MAX_PAUSES + 1} times"):
        await scene.run()
    scene.model.assert_consumed()


async def test_turns_are_capped_and_paid_for() -> None:
    scene = Scene([Turn([Call("look", {"q": "x"})], usage=Usage(requests=1, cost_microusd=3))] * 4, max_turns=4)
    with pytest.raises(TooManyTurns, match="no answer in 4 turns"):
        await scene.run()
    assert scene.context.usage == Usage(requests=4, tool_calls=4, cost_microusd=12)


async def test_errors_of_the_model_go_through() -> None:
    with pytest.raises(ModelUnavailable, match="busy"):
        await Scene([ModelUnavailable("busy")]).run()


async def test_tools_are_told_the_number_of_the_attempt() -> None:
    scene = Scene([Call("look", {"q": "x"}), "Done."])
    claim = scene.context.claim.model_copy(update={"attempt": 3})
    scene.conversation.context = StepContext(claim=claim)
    await scene.run()
    assert scene.executor.ran == [("look", 3)]


class SilentExecutor:
    """Answers every call without an output, as a tool that found nothing may."""

    async def execute_all(self, blocks: Sequence[Block], attempt: int = 1) -> list[ToolCall]:
        return [
            ToolCall(
                id=str(block["id"]), tool="look", input=None, duration_ms=0.4, success=True,
                timestamp=datetime.now(UTC), attempt=attempt,
            )
            for block in blocks
        ]  # fmt: skip


async def test_a_call_without_output_still_has_its_result() -> None:
    scene = Scene([Call("look"), "Nothing."])
    scene.conversation.executor = SilentExecutor()
    await scene.run()
    assert scene.requests[1].messages[-1]["content"] == [
        {"type": "tool_result", "tool_use_id": "toolu_scripted_1_1", "content": said(""), "is_error": False}
    ]


def said(text: str) -> str:
    """What the tool said, as the model is shown it."""
    return f'<result tool="look" status="ok">\n{text}\n</result>'
