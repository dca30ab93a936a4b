"""Histories for property tests: whole ones of every shape, and what a crash, a cut or a bad journal leaves of them."""

import copy
from typing import cast

from hypothesis import strategies as st

from workers.agents.blocks import text_block
from workers.llm.base import Block, ChatMessage

OPENING = "Find out how high it is."
WORDS = st.sampled_from(["So.", "It is 12 m high.", "Let me look. " * 30, "ü ∞ 漢字", "{}"])
THOUGHTS: list[Block] = [
    {"type": "thinking", "thinking": "Hm. " * 20, "signature": "c2ln"},
    {"type": "redacted_thinking", "data": "Zm9v"},
]
OTHERS: list[Block] = [
    {"type": "from_next_year", "payload": {"deep": [1, None, "ä"]}},
    {"type": "compaction", "content": "What was said before."},
]
BLANK: Block = {"type": "text", "text": " \n"}


@st.composite
def conversations(draw: st.DrawFn, max_turns: int = 8) -> list[ChatMessage]:
    """A whole conversation, as the loop would have it: with every kind of block and of turn."""
    messages: list[ChatMessage] = [{"role": "user", "content": OPENING}]
    for turn in range(draw(st.integers(0, max_turns))):
        calls = draw(st.integers(0, 3))
        content: list[Block] = [*draw(st.lists(st.sampled_from(THOUGHTS), max_size=2))]
        content += [text_block(text) for text in draw(st.lists(WORDS, max_size=1))]
        content += draw(st.lists(st.sampled_from(OTHERS), max_size=1))
        content += _server_use(draw, turn)
        content += [_call(turn, at) for at in range(calls)]
        if all(block["type"] in ("thinking", "redacted_thinking") for block in content):
            content.append(text_block("Well."))
        messages.append({"role": "assistant", "content": content})
        messages.append({"role": "user", "content": _answer(draw, turn, calls)})
    return copy.deepcopy(messages)


def _call(turn: int, at: int) -> Block:
    return {"type": "tool_use", "id": f"toolu_{turn}_{at}", "name": "look", "input": {"q": "x" * at}}


def _server_use(draw: st.DrawFn, turn: int) -> list[Block]:
    if not draw(st.booleans()):
        return []
    use: Block = {"type": "server_tool_use", "id": f"srvtoolu_{turn}", "name": "web_search", "input": {"query": "x"}}
    found: Block = {"type": "web_search_tool_result", "tool_use_id": f"srvtoolu_{turn}", "content": []}
    return [use, found]


def _answer(draw: st.DrawFn, turn: int, calls: int) -> list[Block]:
    results: list[Block] = [
        {
            "type": "tool_result",
            "tool_use_id": f"toolu_{turn}_{at}",
            "content": draw(st.sampled_from(["", "12 m", "long " * 200])),
            "is_error": draw(st.booleans()),
        }
        for at in range(calls)
    ]
    said = draw(st.lists(WORDS, min_size=0 if results else 1, max_size=1))
    return results + [text_block(text) for text in said]


@st.composite
def remains(draw: st.DrawFn) -> list[ChatMessage]:
    """What is left of a conversation: cut at both ends and within messages, written twice, mixed up, with blanks."""
    messages = draw(conversations())
    start = draw(st.integers(0, len(messages)))
    end = draw(st.integers(start, len(messages)))
    kept = messages[start:end] if draw(st.booleans()) else messages[:end]
    if kept and draw(st.booleans()):  # the last message was half written
        last = kept[-1]["content"]
        if not isinstance(last, str):
            kept[-1] = {"role": kept[-1]["role"], "content": last[: draw(st.integers(0, len(last)))]}
    for _ in range(draw(st.integers(0, 3))):
        kept = _spoil(draw, kept)
    return kept


def _spoil(draw: st.DrawFn, messages: list[ChatMessage]) -> list[ChatMessage]:
    if not messages:
        return messages
    at = draw(st.integers(0, len(messages) - 1))
    message = messages[at]
    how = draw(st.sampled_from(["lose", "twice", "swap", "blank", "part", "role", "empty"]))
    content = message["content"] if not isinstance(message["content"], str) else [{"type": "text", "text": "So."}]
    spoilt = cast("list[Block]", copy.deepcopy(content))
    match how:
        case "lose":
            return messages[:at] + messages[at + 1 :]
        case "twice":
            return [*messages[: at + 1], copy.deepcopy(message), *messages[at + 1 :]]
        case "swap":
            return [*messages[:at], *reversed(messages[at : at + 2]), *messages[at + 2 :]]
        case "blank":
            spoilt.insert(draw(st.integers(0, len(spoilt))), dict(BLANK))
        case "part":
            spoilt = [block for block in spoilt if draw(st.booleans())]
        case "empty":
            spoilt = []
        case _:
            other = "user" if message["role"] == "assistant" else "assistant"
            return [*messages[:at], {"role": other, "content": spoilt}, *messages[at + 1 :]]
    return [*messages[:at], {"role": message["role"], "content": spoilt}, *messages[at + 1 :]]
