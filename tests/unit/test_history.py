"""History, rule by rule."""

import pytest

from workers.agents.history import EMPTIED, LEFT_OUT, History, faults_in
from workers.llm.base import Block, ChatMessage

THINKING: Block = {"type": "thinking", "thinking": "Hm.", "signature": "abc"}

SERVER_USE: Block = {"type": "server_tool_use", "id": "s1"}
UNKNOWN: Block = {"type": "from_next_year", "payload": None}


def call(number: int) -> Block:
    return {"type": "tool_use", "id": f"toolu_{number}", "name": "look", "input": {}}


def result(number: int, text: str = "seen") -> Block:
    return {"type": "tool_result", "tool_use_id": f"toolu_{number}", "content": text, "is_error": False}


def text(said: str) -> Block:
    return {"type": "text", "text": said}


def characters(messages: object) -> int:
    return len(str(messages))


def turns(count: int, *, long: str = "seen") -> History:
    history = History.opening("Task.")
    for number in range(count):
        history = history.reply([THINKING, call(number)]).results([result(number, long)])
    return history


def test_a_history_is_a_value() -> None:
    opening = History.opening("Task.")
    assert opening.reply([text("So.")]) != opening
    assert opening.messages == ({"role": "user", "content": "Task."},)
    assert History.opening("Task.") == opening


def test_what_the_assistant_said_stands_as_it_came() -> None:
    said = [THINKING, text("I look."), UNKNOWN, call(1)]
    assert History.opening("Task.").reply(said).messages[1] == {"role": "assistant", "content": said}


def test_a_blank_text_is_left_out_of_a_reply() -> None:
    history = History.opening("Task.").reply([text(" "), call(1)])
    assert history.messages[1]["content"] == [call(1)]


@pytest.mark.parametrize("said", [[], [text("\n")], [THINKING], [THINKING, text("")]])
def test_a_reply_that_says_nothing_changes_nothing(said: list[Block]) -> None:
    assert History.opening("Task.").reply(said) == History.opening("Task.")


def test_two_replies_in_a_row_are_one_message() -> None:
    history = History.opening("Task.").reply([SERVER_USE]).reply([text("So.")])
    assert [one["role"] for one in history.messages] == ["user", "assistant"]
    assert len(history.messages[1]["content"]) == 2


def test_words_after_results_stand_in_the_same_message() -> None:
    history = turns(1).say("Hurry.")
    assert history.messages[-1]["content"] == [result(0), text("Hurry.")]
    assert History.opening("Task.").say("Hurry.").messages[0]["content"] == [text("Task."), text("Hurry.")]


def test_speaking_over_open_calls_answers_them_first() -> None:
    history = History.opening("Task.").reply([call(1)]).say("Hurry.")
    content = history.messages[-1]["content"]
    assert isinstance(content, list)
    assert (content[0]["tool_use_id"], content[0]["is_error"], content[1]) == ("toolu_1", True, text("Hurry."))
    assert faults_in(history.messages) == []


def test_results_come_to_stand_in_the_order_of_the_calls() -> None:
    history = History.opening("Task.").reply([call(1), call(2)]).results([result(2)])
    assert history.open_calls == [call(1)]
    assert history.results([result(1)]).messages[-1]["content"] == [result(1), result(2)]


@pytest.mark.parametrize("given", [[result(3)], [result(1), result(1)]])
def test_a_result_that_answers_no_open_call_is_refused(given: list[Block]) -> None:
    with pytest.raises(ValueError, match="answers no open call"):
        History.opening("Task.").reply([call(1)]).results(given)


def test_no_results_change_nothing() -> None:
    history = History.opening("Task.").reply([call(1)])
    assert history.results([]) == history
    assert turns(1).close() == turns(1)
    assert History().open_calls == []


def test_trimming_empties_old_results_first() -> None:
    history = turns(3, long="x" * 500)
    short = history.trim(characters(history.messages) - 300, characters)
    emptied = [EMPTIED in str(short.messages[at]["content"]) for at in (2, 4, 6)]
    assert emptied == [True, False, False]
    assert short.messages[3] == history.messages[3]


def test_trimming_takes_bound_thinking_away_only_after_the_change() -> None:
    history = turns(3, long="x" * 500)
    short = history.trim(characters(history.messages) - 300, characters, bound_thinking=True)
    assert [len(short.messages[at]["content"]) for at in (1, 3, 5)] == [2, 1, 1]


def test_trimming_then_leaves_out_whole_turns_and_says_so() -> None:
    short = turns(4).trim(0, characters)
    assert short.messages[0]["content"] == [text("Task."), text(LEFT_OUT)]
    assert short.messages[1:] == turns(4).messages[-2:]


def test_what_a_kept_turn_refers_to_is_kept() -> None:
    history = History.opening("Task.").reply([call(1)]).results([result(1)])
    history = history.reply([SERVER_USE, call(2)]).results([result(2)])
    found: Block = {"type": "code_result", "tool_use_id": "s1"}
    history = history.reply([found, call(3)]).results([result(3)])
    assert history.trim(0, characters).messages[1:] == history.messages[3:]


def test_nothing_is_left_out_of_a_single_turn() -> None:
    assert turns(1).trim(0, characters) == turns(1)
    assert History.opening("Task.").trim(0, characters) == History.opening("Task.")


def test_repair_of_nothing_is_the_task() -> None:
    assert History.repair([], "Task.") == History.opening("Task.")


def test_repair_puts_the_task_in_front() -> None:
    messages: list[ChatMessage] = [{"role": "user", "content": [result(1), text("Hurry.")]}]
    assert History.repair(messages, "Task.").messages[0]["content"] == [text("Task."), text("Hurry.")]


def test_repair_drops_calls_that_are_none() -> None:
    bad: list[Block] = [
        {"type": "tool_use", "id": 7, "name": "look", "input": {}},
        {"type": "tool_use", "id": "t", "input": {}},
        {"type": "tool_use", "id": "t", "name": "look", "input": "cut of"},
    ]
    messages: list[ChatMessage] = [{"role": "assistant", "content": [*bad, text("So.")]}]
    assert History.repair(messages, "Task.").messages[1]["content"] == [text("So.")]


def test_a_reply_written_twice_counts_once() -> None:
    whole = turns(1).messages
    assert History.repair([whole[0], whole[1], whole[1], whole[2]], "Task.") == turns(1)


def test_what_ends_with_the_assistants_words_is_gone_on_with_in_ours() -> None:
    history = History.opening("Task.").reply([text("So.")])
    assert history.ready("Go on.").messages[-1] == {"role": "user", "content": [text("Go on.")]}
    assert turns(1).ready("Go on.") == turns(1)


def test_a_paused_turn_is_gone_on_with_as_it_is() -> None:
    history = History.opening("Task.").reply([SERVER_USE])
    assert history.ready("Go on.") == history


def user(*blocks: Block) -> ChatMessage:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Block) -> ChatMessage:
    return {"role": "assistant", "content": list(blocks)}


BROKEN: list[tuple[list[ChatMessage], str]] = [
    ([assistant(text("So."))], "alternate"),
    ([user()], "empty"),
    ([user(text("T")), assistant(THINKING)], "thinking alone"),
    ([user(text("So."), result(1))], "come first"),
    ([user(result(1))], "of the calls"),
    ([user(text("T")), assistant(call(1)), user(text("So.")), assistant(text("So."))], "of the calls"),
    ([user(text("T")), assistant(call(1), call(1))], "one id"),
]


@pytest.mark.parametrize(("messages", "fault"), BROKEN)
def test_the_rules_name_what_is_broken(messages: list[ChatMessage], fault: str) -> None:
    assert any(fault in one for one in faults_in(messages))
