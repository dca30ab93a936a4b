"""The rules of the Messages API that a request must keep, as a list of what it breaks.

Stricter than the API in two things: roles must alternate, where the API would merge neighbours, and every tool needs a
description.
Sources: https://platform.claude.com/docs/en/api/messages and …/build-with-claude/structured-outputs.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

from workers.testing.cache import MAX_BREAKPOINTS, breakpoints

Json = dict[str, Any]

TOOL_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,128}")
TOOL_USE_ID: Final = re.compile(r"[a-zA-Z0-9_-]+")
SAMPLING: Final = ("temperature", "top_p", "top_k")
FIELDS: Final = (
    {"model", "max_tokens", "messages", "cache_control", "container", "context_management", "diagnostics", "system"}
    | {"inference_geo", "mcp_servers", "metadata", "output_config", "service_tier", "speed", "stop_sequences"}
    | {"stream", "thinking", "tool_choice", "tools"}
)
NOT_IN_SCHEMAS: Final = {
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
} | {"maxItems", "uniqueItems", "minProperties", "maxProperties", "patternProperties", "oneOf", "not", "if"}


def broken_rules(body: Json, headers: Mapping[str, str]) -> list[str]:
    """Everything that is wrong with a request, in the order that the API would look."""
    faults = [*_head(body, headers), *_messages(body.get("messages")), *_tools(body), *_choice(body)]
    faults += _output(body.get("output_config"))
    if not faults and breakpoints(body) > MAX_BREAKPOINTS:
        faults.append(f"cache_control: at most {MAX_BREAKPOINTS} blocks may have one, and {breakpoints(body)} have")
    return faults


def _head(body: Json, headers: Mapping[str, str]) -> Iterator[str]:
    if not headers.get("anthropic-version"):
        yield "anthropic-version: header is required"
    if not isinstance(body.get("model"), str) or not body["model"]:
        yield "model: Field required"
    tokens = body.get("max_tokens")
    if not isinstance(tokens, int) or isinstance(tokens, bool) or tokens < 1:
        yield "max_tokens: a whole number above 0 is required"
    for name in sorted(body.keys() - FIELDS):
        said = "is not supported by this model" if name in SAMPLING else "Extra inputs are not permitted"
        yield f"{name}: {said}"
    system = body.get("system", "")
    if isinstance(system, list):
        yield from _texts("system", _dicts(cast("list[Any]", system)))
    elif not isinstance(system, str):
        yield "system: must be text or a list of text blocks"


def _messages(messages: object) -> Iterator[str]:
    if not isinstance(messages, list) or not messages:
        yield "messages: at least one message is required"
        return
    waiting: list[str] = []
    seen: set[str] = set()
    turns = _dicts(cast("list[Any]", messages))
    for at, message in enumerate(turns):
        where, role = f"messages.{at}", message.get("role")
        if role != ("user", "assistant")[at % 2]:
            yield f"{where}.role: roles must alternate and begin with user, not {role!r}"
        content = message.get("content")
        if not isinstance(content, list):
            if not isinstance(content, str) or not content.strip():
                yield f"{where}.content: text content must be non-empty"
            content = []
        elif not content:
            yield f"{where}.content: must not be empty"
        blocks = _dicts(cast("list[Any]", content))
        yield from _texts(where, blocks)
        yield from _results(where, blocks, waiting)
        waiting = []
        for block in (one for one in blocks if one.get("type") == "tool_use"):
            yield from _call(where, block, role, seen)
            waiting.append(str(block.get("id")))
    if turns[-1].get("role") != "user" and not _is_paused(turns[-1]):
        yield "messages: the conversation must end with a user message; prefill is not supported by this model"
    if waiting:
        yield f"messages: tool_use without tool_result immediately after: {', '.join(waiting)}"


def _is_paused(turn: Json) -> bool:
    """A turn that the provider paused, for its own tools or a compaction, is gone on with by sending it back last."""
    content = turn.get("content")
    blocks = _dicts(cast("list[Any]", content)) if isinstance(content, list) else []
    kinds = {str(block.get("type")) for block in blocks}
    return turn.get("role") == "assistant" and not kinds <= {"text", "tool_use", "thinking", "redacted_thinking"}


def _texts(where: str, blocks: Sequence[Json]) -> Iterator[str]:
    for at, block in enumerate(blocks):
        if not isinstance(block.get("type"), str):
            yield f"{where}.content.{at}.type: Field required"
        text = block.get("text")
        if block.get("type") == "text" and not (isinstance(text, str) and text.strip()):
            yield f"{where}.content.{at}.text: text content blocks must be non-empty"


def _results(where: str, blocks: Sequence[Json], waiting: Sequence[str]) -> Iterator[str]:
    results = [block for block in blocks if block.get("type") == "tool_result"]
    answered = [str(block.get("tool_use_id")) for block in results]
    if blocks[: len(results)] != results:
        yield f"{where}: tool_result blocks must come first"
    for call in waiting:
        if call not in answered:
            yield f"{where}: tool_use without tool_result immediately after: {call}"
    for at, call in enumerate(answered):
        if call in answered[:at]:
            yield f"{where}: each tool_use must have a single tool_result: {call}"
        elif call not in waiting:
            yield f"{where}: unexpected tool_use_id in tool_result: {call}; no such tool_use in the previous message"


def _call(where: str, block: Json, role: object, seen: set[str]) -> Iterator[str]:
    call = str(block.get("id"))
    if role != "assistant":
        yield f"{where}: only the assistant may have tool_use blocks"
    if TOOL_USE_ID.fullmatch(call) is None or not isinstance(block.get("name"), str):
        yield f"{where}: tool_use needs an id and a name"
    if not isinstance(block.get("input"), dict):
        yield f"{where}: tool_use.input must be an object"
    if call in seen:
        yield f"{where}: tool_use ids must be unique: {call}"
    seen.add(call)


def _tools(body: Json) -> Iterator[str]:
    names: set[str] = set()
    for at, tool in enumerate(_dicts(cast("list[Any]", body.get("tools") or []))):
        where, name = f"tools.{at}", str(tool.get("name", ""))
        if tool.get("type", "custom") != "custom":
            continue  # the provider's own tools have neither description nor schema
        if TOOL_NAME.fullmatch(name) is None:
            yield f"{where}.name: {name!r} does not match ^[a-zA-Z0-9_-]{{1,128}}$"
        if not isinstance(tool.get("description"), str) or not tool["description"]:
            yield f"{where}.description: Field required"
        schema = tool.get("input_schema")
        if not isinstance(schema, dict) or cast("Json", schema).get("type") != "object":
            yield f"{where}.input_schema: must be a JSON Schema of type object"
        if name in names:
            yield f"{where}: tool names must be unique: {name}"
        names.add(name)


def _choice(body: Json) -> Iterator[str]:
    choice = body.get("tool_choice")
    if choice is None:
        return
    kind = cast("Json", choice).get("type") if isinstance(choice, dict) else None
    if kind not in ("auto", "any", "tool", "none"):
        yield "tool_choice.type: must be auto, any, tool or none"
    elif not body.get("tools"):
        yield "tool_choice: may only be given with tools"
    elif kind == "tool" and choice["name"] not in [one.get("name") for one in body["tools"]]:
        yield f"tool_choice.name: there is no tool {choice['name']!r}"


def _output(config: object) -> Iterator[str]:
    form = cast("Json", config).get("format") if isinstance(config, dict) else None
    if not isinstance(form, dict):
        return
    form = cast("Json", form)
    if form.get("type") != "json_schema" or not isinstance(form.get("schema"), dict):
        yield "output_config.format: must be a json_schema with a schema"
        return
    yield from _schema("output_config.format.schema", form["schema"])


def _schema(where: str, schema: Json) -> Iterator[str]:
    if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
        yield f"{where}: for 'object' type, 'additionalProperties' must be explicitly set to false"
    for name in sorted(NOT_IN_SCHEMAS & schema.keys()):
        yield f"{where}: {name!r} is not supported"
    for name in ("properties", "$defs"):
        for key, part in cast("dict[str, Json]", schema.get(name) or {}).items():
            yield from _schema(f"{where}.{name}.{key}", part)
    parts: list[Any] = [schema.get("items"), *(schema.get("anyOf") or []), *(schema.get("allOf") or [])]
    for part in _dicts([part for part in parts if part is not None]):
        yield from _schema(where, part)


def _dicts(values: list[Any]) -> list[Json]:
    """The values, with an empty object for whatever is none, which then breaks a rule of its own."""
    return [cast("Json", value) if isinstance(value, dict) else {} for value in values]
