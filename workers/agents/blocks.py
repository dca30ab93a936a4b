"""Content blocks of a conversation: which are what, and the few that we write ourselves."""

from collections.abc import Sequence
from typing import Any, Final, cast

from pydantic import JsonValue

from workers.llm.base import Block, ChatMessage

THINKING: Final = frozenset({"thinking", "redacted_thinking"})
MAX_NAME_CHARS: Final = 128
"""Longest name of a tool that the API takes."""
NOT_RUN: Final = "this call was not run: the turn that made it had not ended for it"


def text_block(text: str) -> Block:
    """A block of text."""
    return {"type": "text", "text": text}


def failed_result(call: Block, said: str) -> Block:
    """The result of a call that has none."""
    return {"type": "tool_result", "tool_use_id": call.get("id"), "content": said, "is_error": True}


def as_blocks(content: str | Sequence[Block]) -> list[Block]:
    """A message's content as blocks."""
    return [text_block(content)] if isinstance(content, str) else list(content)


def calls_in(blocks: Sequence[Block]) -> list[Block]:
    """The calls that we are to run; those of the provider's own tools are `server_tool_use` and none of ours."""
    return [block for block in blocks if block.get("type") == "tool_use"]


def short_name(name: str) -> str:
    """A name as events show it: models make up names of any length, and an event that is too large fails its step."""
    return name if len(name) <= MAX_NAME_CHARS else name[: MAX_NAME_CHARS - 1] + "…"


def server_calls(blocks: Sequence[Block]) -> list[dict[str, JsonValue]]:
    """Uses of the provider's own tools in one reply, as events; how long they took nobody tells."""
    results = {str(block.get("tool_use_id")): block.get("content") for block in blocks}
    uses = [block for block in blocks if block.get("type") in ("server_tool_use", "mcp_tool_use")]
    events: list[dict[str, JsonValue]] = []
    for use in uses:
        result = results.get(str(use.get("id")))
        code = cast("dict[str, Any]", result).get("error_code") if isinstance(result, dict) else None
        name = short_name(str(use.get("name")))
        event: dict[str, JsonValue] = {"tool": name, "success": code is None, "duration_ms": 0}
        events.append(event if code is None else {**event, "code": short_name(str(code))})
    return events


def is_result(block: Block) -> bool:
    """Whether it answers a call of ours."""
    return block.get("type") == "tool_result"


def without_blanks(blocks: Sequence[Block]) -> list[Block]:
    """Without blank text, which models do write and the API does not take back."""
    return [block for block in blocks if not _is_blank(block)]


def kept_of_reply(blocks: Sequence[Block]) -> list[Block]:
    """What goes back of a reply: nothing when it says nothing, for thinking alone is refused as a message."""
    kept = without_blanks(blocks)
    return [] if all(block.get("type") in THINKING for block in kept) else kept


def is_paused(message: ChatMessage) -> bool:
    """Whether an assistant's message may be gone on with: it ends in the provider's own work, not in words to us."""
    last = as_blocks(message["content"])[-1].get("type")
    return message["role"] == "assistant" and last not in {"text", "tool_use", *THINKING}


def merged(message: ChatMessage, blocks: Sequence[Block]) -> ChatMessage:
    """The message with more at its end."""
    return {"role": message["role"], "content": [*as_blocks(message["content"]), *blocks]}


def _is_blank(block: Block) -> bool:
    return block.get("type") == "text" and not str(block.get("text") or "").strip()
