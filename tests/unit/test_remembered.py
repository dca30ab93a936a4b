"""What agents are shown of a session's earlier messages."""

import json
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from tasks.ids import JobId
from tasks.sessions import Message, Role
from workers.agents.remembered import before, remembered, talk
from workers.llm.tokens import CHARS_PER_TOKEN

JOBS = [JobId(f"j0123456789abcdefg{letter}3") for letter in "hjkm"]


def message(seq: int, role: Role, text: str, job: JobId | None = None) -> Message:
    return Message.model_validate({"role": role, "content": text, "seq": seq, "job": job})


def texts(shown: dict[str, Any]) -> list[str]:
    return [one["text"] for one in shown.get("messages", [])]


def test_a_job_is_shown_what_was_said_before_its_own_message() -> None:
    said = [
        message(1, "user", "One?", JOBS[0]),
        message(2, "assistant", "1.", JOBS[0]),
        message(3, "user", "Two?", JOBS[1]),
    ]
    assert [one.seq for one in before(said, JOBS[1])] == [1, 2]
    assert before(said, JOBS[0]) == []


def test_an_answer_stands_behind_its_question_also_when_others_had_come_before_it() -> None:
    said = [
        message(1, "user", "One?", JOBS[0]),
        message(2, "user", "Two?", JOBS[1]),
        message(3, "user", "Three?", JOBS[2]),
        message(4, "assistant", "1.", JOBS[0]),
        message(5, "system", "This request failed.", JOBS[1]),
    ]
    assert [one.text for one in before(said, JOBS[2])] == ["One?", "1.", "Two?", "This request failed."]
    assert [one.text for one in before(said, JOBS[1])] == ["One?", "1."]


def test_what_comes_while_it_runs_is_not_shown_and_what_no_job_asked_is() -> None:
    said = [
        message(1, "system", "We close at six.", None),
        message(2, "user", "One?", JOBS[0]),
        message(3, "system", "We close at five.", None),
    ]
    assert [one.seq for one in before(said, JOBS[0])] == [1]


def test_a_job_whose_own_message_was_dropped_is_shown_what_there_is() -> None:
    said = [message(7, "user", "Seven?", JOBS[1]), message(8, "assistant", "7.", JOBS[1])]
    assert [one.seq for one in before(said, JOBS[0])] == [7, 8]


def test_messages_that_fit_are_shown_whole() -> None:
    said = [message(1, "user", "Who signs?"), message(2, "assistant", "The manager [1].\n\nNobody else.")]
    assert remembered(said, 100) == {
        "messages": [
            {"role": "user", "text": "Who signs?"},
            {"role": "assistant", "text": "The manager [1].\n\nNobody else."},
        ]
    }
    assert json.loads(talk(said, 100)) == remembered(said, 100)
    assert talk([], 100) == ""


def test_older_ones_are_shortened_to_their_first_sentence_without_numbers_of_sources() -> None:
    long = f"# Signatures\n\nThe manager signs [12]. {'Much more is to be said of it. ' * 30}"
    said = [message(1, "user", "Who signs? I wonder."), message(2, "assistant", long)]
    said += [message(at, "user", "x" * 300) for at in (3, 4)]
    shown = remembered(said, 200)
    assert shown["earlier"] == ["user: Who signs?", "assistant: The manager signs."]
    assert texts(shown) == ["x" * 300] * 2


def test_those_that_not_even_have_room_for_a_line_are_counted() -> None:
    said = [message(at, "user", f"{at:>40}") for at in range(1, 101)]
    shown = remembered(said, 100)
    earlier = cast("list[str]", shown["earlier"])
    counted = 100 - len(texts(shown)) - (len(earlier) - 1)
    assert earlier[0] == f"({counted} messages before these are left out)"


def test_a_newest_message_that_is_too_long_by_itself_is_cut() -> None:
    shown = remembered([message(1, "user", "x" * 10_000)], 100)
    (text,) = texts(shown)
    assert text.endswith("…")
    assert len(text) <= 100 * CHARS_PER_TOKEN


def test_messages_without_text_are_left_out() -> None:
    image = Message.model_validate({"role": "user", "content": [{"type": "image", "source": {"data": "…"}}], "seq": 1})
    assert remembered([image], 100) == {}


@given(st.lists(st.text(min_size=1, max_size=400), max_size=60), st.integers(100, 2_000))
def test_it_never_takes_more_room_than_there_is_and_always_ends_with_the_newest(said: list[str], tokens: int) -> None:
    messages = [message(at, "user", text) for at, text in enumerate(said, 1)]
    shown = remembered(messages, tokens)
    lines = [one for one in cast("list[str]", shown.get("earlier", [])) if not one.startswith("(")]
    assert sum(map(len, texts(shown))) + sum(map(len, lines)) <= tokens * CHARS_PER_TOKEN
    spoken = [text for text in said if text.strip()]
    if spoken:
        assert texts(shown)[-1][:50] == spoken[-1][:50]
    assert remembered(messages, tokens) == shown
