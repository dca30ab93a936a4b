"""Thinking blocks are bound to all that stood before them: on newer models the API refuses one after a change there.

See https://platform.claude.com/docs/en/build-with-claude/preserved-thinking.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

Json = dict[str, Any]

THINKING: Final = frozenset({"thinking", "redacted_thinking"})


def blocks_of(turn: Json) -> list[Json]:
    """A message's content as blocks."""
    content: str | list[Json] = turn["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def signature_of(block: Json) -> str:
    """What a thinking block is known by."""
    return str(block.get("signature") or block.get("data"))


def bindings(body: Json, answer: Sequence[Json] = ()) -> Iterator[tuple[int, str, str]]:
    """Of each thinking block of a request, and of an answer to it: its message, its signature, and what it is bound to.

    Each message has one of an empty signature before, for its own beginning.
    Neighbours of one role count as one message, and cache breakpoints and blank text as nothing, as the API has it.
    """
    digest = hashlib.sha256(json.dumps([body.get("system"), body.get("tools")], sort_keys=True).encode())
    turns: list[Json] = [*body["messages"], {"role": "assistant", "content": list(answer)}]
    for at, turn in enumerate(turns):
        yield at, "", digest.hexdigest()
        for block in blocks_of(turn):
            if block.get("type") in THINKING:
                yield at, signature_of(block), digest.hexdigest()
            plain = {name: value for name, value in block.items() if name != "cache_control"}
            if block.get("type") != "text" or str(block.get("text")).strip():
                digest.update(json.dumps([turn["role"], plain], sort_keys=True).encode())
