"""What was said, as OpenTelemetry's conventions write it: only where it is asked for, and without what looks secret."""

import json
from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from tasks.redaction import redact_text
from tasks.telemetry import conventions as names
from tasks.telemetry.conventions import Value
from workers.llm.base import ChatMessage, ModelReply, ModelRequest
from workers.tools.base import ToolCall

Part = dict[str, JsonValue]


def request_content(request: ModelRequest) -> dict[str, Value]:
    """Prompt and instructions of a model call."""
    messages = [{"role": _role(message), "parts": _parts(message["content"])} for message in request.messages]
    found: dict[str, Value] = {names.INPUT_MESSAGES: _text(messages)}
    if request.system:
        found[names.INSTRUCTIONS] = _text([{"type": "text", "content": request.system}])
    return found


def reply_content(reply: ModelReply) -> dict[str, Value]:
    """Answer of a model call."""
    said = {"role": "assistant", "parts": _parts(reply.content), "finish_reason": reply.stop_reason}
    return {names.OUTPUT_MESSAGES: _text([said])}


def tool_content(call: ToolCall) -> dict[str, Value]:
    """Arguments and result of a tool call."""
    shown = call.shown()
    found: dict[str, Value] = {names.ARGUMENTS: _text(shown.input)}
    if shown.output is not None:
        found[names.RESULT] = shown.output
    return found


def _role(message: ChatMessage) -> str:
    """Results of tools travel in messages of the user; the conventions give them a role of their own."""
    content = message["content"]
    results = not isinstance(content, str) and any(block.get("type") == "tool_result" for block in content)
    return "tool" if results else message["role"]


def _parts(content: str | Sequence[Mapping[str, JsonValue]]) -> list[Part]:
    if isinstance(content, str):
        return [{"type": "text", "content": content}]
    return [_part(block) for block in content]


def _part(block: Mapping[str, JsonValue]) -> Part:
    match block.get("type"):
        case "text":
            return {"type": "text", "content": block.get("text")}
        case "tool_use":
            called = {"id": block.get("id"), "name": block.get("name"), "arguments": block.get("input")}
            return {"type": "tool_call", **called}
        case "tool_result":
            return {"type": "tool_call_response", "id": block.get("tool_use_id"), "response": block.get("content")}
        case "thinking":
            return {"type": "reasoning", "content": block.get("thinking")}
        case other:
            return {"type": str(other)}


def _text(value: object) -> str:
    return redact_text(json.dumps(value, ensure_ascii=False))
