"""A message as the events of a streamed answer: https://platform.claude.com/docs/en/build-with-claude/streaming."""

import json
from collections.abc import Iterator
from typing import Any, Final

Json = dict[str, Any]

PIECE_CHARS: Final = 48
"""Length of one delta; small, so that tests meet pieces that end in the middle of words and of JSON."""


def events(message: Json) -> Iterator[bytes]:
    """Server-sent events, one by one, from message_start to message_stop."""
    start: Json = {**message, "content": [], "stop_reason": None, "stop_sequence": None}
    start["usage"] = {**message["usage"], "output_tokens": 1}
    start.pop("stop_details", None)
    yield event("message_start", {"message": start})
    yield event("ping", {})
    for index, block in enumerate(message["content"]):
        opening, deltas = _take_apart(block)
        yield event("content_block_start", {"index": index, "content_block": opening})
        for delta in deltas:
            yield event("content_block_delta", {"index": index, "delta": delta})
        yield event("content_block_stop", {"index": index})
    delta = {name: message.get(name) for name in ("stop_reason", "stop_sequence", "stop_details")}
    yield event("message_delta", {"delta": delta, "usage": {"output_tokens": message["usage"]["output_tokens"]}})
    yield event("message_stop", {})


def event(kind: str, data: Json) -> bytes:
    """One server-sent event."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode()


def _take_apart(block: Json) -> tuple[Json, list[Json]]:
    """A block's first event and its deltas; a block of a kind without deltas comes whole."""
    kind = block["type"]
    if kind == "text":
        deltas: list[Json] = [{"type": "text_delta", "text": piece} for piece in _pieces(block["text"])]
        citations: list[Json] = block.get("citations") or []
        deltas += [{"type": "citations_delta", "citation": one} for one in citations]
        return {**block, "text": ""} | ({"citations": []} if citations else {}), deltas
    if kind == "thinking":
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in _pieces(block["thinking"])]
        deltas.append({"type": "signature_delta", "signature": block.get("signature", "")})
        return {**block, "thinking": "", "signature": ""}, deltas
    if kind == "tool_use":
        pieces = _pieces(json.dumps(block["input"]) if block["input"] else "")
        return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    return block, []


def _pieces(text: str) -> list[str]:
    return [text[at : at + PIECE_CHARS] for at in range(0, len(text), PIECE_CHARS)]
