"""The agent loop: every way in which a model can end its turn."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from pydantic import BaseModel, JsonValue

from tasks.errors import ModelNonsense, ModelRefused, ModelTruncated, ModelUnavailable, TooManyTurns
from tasks.models import Usage
from tests.unit.attempts import make_context
from workers.agents.base import Agent
from workers.agents.conversation import MAX_PAUSES, MAX_TOKENS, ROOM, Conversation
from workers.context import StepContext
from workers.llm.base import Block, ModelRequest
from workers.llm.scripted import Call, ScriptedModel, Step, Turn
from workers.tools.base import ToolCall
from workers.tools.executor import DEFAULT_CAP, ToolExecutor

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

    async def execute_all(self, blocks: Sequence[Block], attempt: int = 1, cap: int = DEFAULT_CAP) -> list[ToolCall]:
        self.ran += [(str(block["name"]), attempt) for block in blocks]
        return await super().execute_all(blocks, attempt, cap)


class Scene:
    """One conversation with a scripted model."""

    def __init__(self, turns: Sequence[Step], *, max_turns: int = 16, output: type[BaseModel] | None = None) -> None:
        self.model = ScriptedModel(turns)
        self.events: list[tuple[str, dict[str, JsonValue]]] = []
        self.context = make_context()
        self.context.emit = lambda kind, data: self.events.append((kind, data))
        agent = Agent(name="search", description="Looks.", tools=[look, fail], max_turns=max_turns, output=output)
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
            {"type": "tool_result", "tool_use_id": "toolu_scripted_1_1", "content": "seen x", "is_error": False}
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


async def test_a_structured_answer_that_stays_wrong_is_given_up() -> None:
    scene = Scene(["nope"] * 3, output=Verdict)
    with pytest.raises(ModelNonsense, match="This does not parse"):
        await scene.run()
    scene.model.assert_consumed()


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
    assert [one.max_tokens for one in scene.requests] == [tokens, tokens * ROOM]


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


async def test_a_full_context_is_said_so() -> None:
    with pytest.raises(ModelTruncated, match="no longer fits"):
        await Scene([Turn(["half"], "model_context_window_exceeded")]).run()


async def test_an_unknown_stop_reason_is_named() -> None:
    with pytest.raises(ModelNonsense, match="'from_next_year'"):
        await Scene([Turn(["What?"], "from_next_year")]).run()


async def test_a_tool_turn_without_a_call_is_nonsense() -> None:
    with pytest.raises(ModelNonsense, match="made none"):
        await Scene([Turn(["I will call."], "tool_use")]).run()


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
        {"type": "tool_result", "tool_use_id": "toolu_scripted_1_1", "content": "", "is_error": False}
    ]
