"""History under everything that can happen to it: 100 examples a property, 4,000 with `--hypothesis-profile=many`."""

import copy
import json
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from tests.support.histories import OPENING, conversations, remains
from workers.agents.blocks import as_blocks
from workers.agents.history import EMPTIED, LEFT_OUT, History, faults_in
from workers.llm.base import Block, ChatMessage
from workers.llm.tokens import estimate_tokens
from workers.testing.rules import broken_rules

HEADERS = {"anthropic-version": "2026-10-21"}
THINKING = ("thinking", "redacted_thinking")


def tokens(messages: Sequence[ChatMessage]) -> int:
    return estimate_tokens(list(messages))


def refused(history: History) -> list[str]:
    """What the fake Messages API says to it; independent of the code under test."""
    return broken_rules({"model": "m", "max_tokens": 1, "messages": list(history.messages)}, HEADERS)


def keys(messages: Sequence[ChatMessage]) -> set[str]:
    """Each block as text."""
    return {json.dumps(block, sort_keys=True) for one in messages for block in as_blocks(one["content"])}


def thoughts(messages: Sequence[ChatMessage]) -> list[Block]:
    return [block for one in messages for block in as_blocks(one["content"]) if block["type"] in THINKING]


@given(conversations())
def test_a_whole_history_breaks_no_rule_and_repair_leaves_it_alone(messages: list[ChatMessage]) -> None:
    assert faults_in(messages) == []
    assert list(History.repair(messages, OPENING).messages) == messages


@given(remains())
def test_whatever_is_left_of_a_history_is_repaired(messages: list[ChatMessage]) -> None:
    before = copy.deepcopy(messages)
    history = History.repair(messages, OPENING).ready("Go on.")
    assert messages == before
    assert faults_in(history.messages) == []
    assert refused(history) == []
    assert as_blocks(history.messages[0]["content"])[0] == {"type": "text", "text": OPENING}
    assert history.open_calls == []
    assert History.repair(history.messages, OPENING) == history


@given(remains())
def test_repair_invents_nothing_but_errors_for_missing_results(messages: list[ChatMessage]) -> None:
    history = History.repair(messages, OPENING)
    made = [json.loads(text) for text in keys(history.messages) - keys(messages)]
    for block in made:
        assert block in ({"type": "text", "text": OPENING}, {"type": "text", "text": "So."}) or (
            block["type"] == "tool_result" and block["is_error"] is True
        )


@given(conversations(), st.integers(0, 3000), st.booleans())
def test_a_trimmed_history_keeps_every_rule(messages: list[ChatMessage], bound: int, bound_thinking: bool) -> None:
    history = History(tuple(messages))
    before = copy.deepcopy(messages)
    short = history.trim(bound, tokens, bound_thinking=bound_thinking)
    assert list(history.messages) == before
    assert faults_in(short.messages) == []
    assert refused(short) == []
    assert tokens(short.messages) <= max(bound, tokens(messages))
    assert as_blocks(short.messages[0]["content"])[0] == {"type": "text", "text": OPENING}
    assert short.messages[-1] == messages[-1]
    if tokens(messages) <= bound:
        assert short == history
    # Nothing is changed but what is taken away, and marked as such.
    assert all(
        json.loads(text).get("text") == LEFT_OUT or EMPTIED in text for text in keys(short.messages) - keys(messages)
    )


@given(conversations(), st.integers(0, 3000))
def test_trimming_keeps_thinking_whole_or_takes_it_all_from_the_change_on(
    messages: list[ChatMessage], bound: int
) -> None:
    history = History(tuple(messages))
    kept, taken = history.trim(bound, tokens), history.trim(bound, tokens, bound_thinking=True)
    told = thoughts(messages)
    count = len(thoughts(kept.messages))
    assert thoughts(kept.messages) == told[len(told) - count :]
    same = next((at for at, pair in enumerate(zip(taken.messages, messages, strict=False)) if pair[0] != pair[1]), None)
    assert thoughts(taken.messages[:same]) == thoughts(messages[:same])
    assert same is None or thoughts(taken.messages[same:]) == []


@given(conversations(), st.integers(0, 2000), st.integers(0, 2000))
def test_trimming_twice_is_trimming_to_the_smaller_bound_at_least(
    messages: list[ChatMessage], one: int, other: int
) -> None:
    short = History(tuple(messages)).trim(one, tokens).trim(other, tokens)
    assert faults_in(short.messages) == []
    notes = [block for block in as_blocks(short.messages[0]["content"]) if block.get("text") == LEFT_OUT]
    assert len(notes) <= 1


@given(conversations(), st.data())
def test_results_may_come_one_by_one_in_any_order(messages: list[ChatMessage], data: st.DataObject) -> None:
    ends = [
        at for at, one in enumerate(messages) if any(block["type"] == "tool_use" for block in as_blocks(one["content"]))
    ]
    if not ends:
        return
    at = data.draw(st.sampled_from(ends))
    history = History(tuple(messages[: at + 1]))
    results: list[Block] = [block for block in as_blocks(messages[at + 1]["content"]) if block["type"] == "tool_result"]
    for count, result in enumerate(data.draw(st.permutations(results)), start=1):
        history = history.results([result])
        assert len(history.open_calls) == len(results) - count
        assert faults_in(history.messages) == []
    assert history.messages[-1]["content"] == results
