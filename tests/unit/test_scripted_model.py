"""The scripted model says what it is told, and complains about the rest."""

from dataclasses import replace

import pytest

from tasks.errors import ModelUnavailable
from tasks.usage import Usage
from workers.llm.base import ChatMessage, ModelReply, ModelRequest
from workers.llm.scripted import Call, ScriptedModel, Turn, UnexpectedCall


def request(agent: str = "search", text: str = "Find it.") -> ModelRequest:
    messages: list[ChatMessage] = [{"role": "user", "content": text}]
    return ModelRequest(model="scripted", agent=agent, system="", messages=messages)


async def test_turns_are_played_in_order() -> None:
    model = ScriptedModel([Call("look", {"q": "x"}), "Done."])
    first, second = await model.reply(request()), await model.reply(request())
    assert first.stop_reason == "tool_use"
    assert first.tool_uses == [{"type": "tool_use", "id": "toolu_scripted_1_1", "name": "look", "input": {"q": "x"}}]
    assert (second.text, second.stop_reason, second.id) == ("Done.", "end_turn", "msg_scripted_2")
    model.assert_consumed()


async def test_text_and_calls_can_be_mixed_in_one_turn() -> None:
    reply = await ScriptedModel([["I look.", Call("a"), Call("b", id="toolu_own")]]).reply(request())
    assert [block.get("id") for block in reply.content] == [None, "toolu_scripted_1_2", "toolu_own"]


async def test_a_turn_can_set_everything() -> None:
    turn = Turn([{"type": "thinking", "thinking": "…"}], "refusal", refusal="cyber", usage=Usage(cost_microusd=7))
    reply = await ScriptedModel([turn]).reply(request())
    assert (reply.stop_reason, reply.refusal, reply.usage.cost_microusd) == ("refusal", "cyber", 7)
    assert reply.content == [{"type": "thinking", "thinking": "…"}]


async def test_errors_are_raised_and_functions_are_asked() -> None:
    async def later(asked: ModelRequest) -> str:
        return f"later {asked.agent}"

    model = ScriptedModel([ModelUnavailable("busy"), lambda asked: f"for {asked.agent}", later])
    with pytest.raises(ModelUnavailable, match="busy"):
        await model.reply(request())
    assert (await model.reply(request())).text == "for search"
    assert (await model.reply(request())).text == "later search"


async def test_a_whole_reply_goes_through_untouched() -> None:
    reply = ModelReply(id="m", model="x", content=[], stop_reason="pause_turn", usage=Usage())
    assert await ScriptedModel([reply]).reply(request()) is reply


async def test_each_agent_can_have_its_own_turns() -> None:
    model = ScriptedModel({"search": ["found"], "*": ["other"]})
    assert (await model.reply(request("summary"))).text == "other"
    assert (await model.reply(request("search"))).text == "found"
    model.assert_consumed()


async def test_an_unexpected_call_fails_and_is_remembered() -> None:
    model = ScriptedModel({"search": []})
    with pytest.raises(UnexpectedCall, match="'search'"):
        await model.reply(request())
    with pytest.raises(AssertionError, match="call 1, by agent 'search', was not expected"):
        model.assert_consumed()


async def test_unplayed_turns_are_reported() -> None:
    model = ScriptedModel(["one", "two"])
    await model.reply(request())
    with pytest.raises(AssertionError, match="1 unplayed turns"):
        model.assert_consumed()


async def test_requests_are_kept_as_they_were() -> None:
    messages: list[ChatMessage] = [{"role": "user", "content": [{"type": "text", "text": "first"}]}]
    model = ScriptedModel(["a"], name="fake")
    await model.reply(ModelRequest(model="m", agent="a", system="", messages=messages))
    messages.append({"role": "assistant", "content": "a"})
    assert [len(one.messages) for one in model.requests] == [1]
    assert model.name == "fake"


async def test_the_same_script_gives_the_same_usage() -> None:
    replies = [await ScriptedModel(["Twelve chars"]).reply(request()) for _ in range(2)]
    assert replies[0] == replies[1]
    assert replies[0].usage.requests == 1
    assert replies[0].usage.output_tokens > 0


async def test_closing_is_noted() -> None:
    model = ScriptedModel()
    await model.close()
    assert model.closed


def test_as_a_context_it_checks_itself_unless_something_else_went_wrong() -> None:
    with ScriptedModel() as model:
        assert model.requests == []
    with pytest.raises(AssertionError, match="1 unplayed"), ScriptedModel(["never asked"]):
        pass
    with pytest.raises(ValueError, match="the real fault"), ScriptedModel(["never asked"]):
        raise ValueError("the real fault")


async def test_the_whole_text_is_given_to_who_wants_it_while_it_is_written() -> None:
    shown: list[str] = []
    model = ScriptedModel([["I look.", Call("look")], Call("look"), "So."])
    for _ in range(3):
        await model.reply(replace(request(), on_text=shown.append))
    assert shown == ["I look.", "So."]
