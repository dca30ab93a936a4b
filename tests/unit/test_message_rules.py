"""The rules that the fake Messages API holds requests against."""

from typing import Any

import pytest

from workers.testing.responder import model_request
from workers.testing.rules import broken_rules

Json = dict[str, Any]
HEADERS = {"anthropic-version": "2026-10-21"}
USER: Json = {"role": "user", "content": "Hi"}
CALL: Json = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
RESULT: Json = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "seen"}
TOOL: Json = {"name": "look", "description": "Looks.", "input_schema": {"type": "object"}}
TEXT: Json = {"type": "text", "text": "And?"}
GOOD: Json = {"model": "claude-opus-5", "max_tokens": 10, "messages": [USER]}


def said(*blocks: Json) -> Json:
    return {"role": "assistant", "content": list(blocks)}


def told(*blocks: Json) -> Json:
    return {"role": "user", "content": list(blocks)}


def schema(**fields: Any) -> Json:
    return {"output_config": {"format": {"type": "json_schema", "schema": fields}}}


CLOSED: Json = {"type": "object", "additionalProperties": False}


@pytest.mark.parametrize(
    "body",
    [
        GOOD,
        {**GOOD, "system": "Be brief.", "tools": [TOOL], "stream": True},
        {**GOOD, "system": [TEXT], "tools": [{"type": "web_search_20260209", "name": "web_search"}]},
        {**GOOD, "messages": [USER, said(CALL), told(RESULT, TEXT)]},
        {**GOOD, "messages": [USER, said({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}})]},
        {**GOOD, "messages": [USER, said({"type": "thinking", "thinking": "", "signature": "x"}, CALL), told(RESULT)]},
        {**GOOD, "output_config": {"effort": "low"}},
        {**GOOD, **schema(**CLOSED, properties={"a": {"anyOf": [{"type": "string"}, CLOSED]}})},
    ],
)
def test_a_good_request_breaks_nothing(body: Json) -> None:
    assert broken_rules(body, HEADERS) == []


BAD: list[tuple[Json, str]] = [
    ({**GOOD, "model": ""}, "model: Field required"),
    ({**GOOD, "max_tokens": 0}, "max_tokens"),
    ({**GOOD, "max_tokens": True}, "max_tokens"),
    ({**GOOD, "messages": []}, "at least one message"),
    ({**GOOD, "temperature": 1}, "temperature: is not supported"),
    ({**GOOD, "surprise": 1}, "surprise: Extra inputs"),
    ({**GOOD, "system": 3}, "system"),
    ({**GOOD, "system": [{"type": "text", "text": ""}]}, "non-empty"),
    ({**GOOD, "messages": [{"role": "user", "content": " "}]}, "non-empty"),
    ({**GOOD, "messages": [{"role": "user", "content": []}]}, "must not be empty"),
    ({**GOOD, "messages": [told({"type": "text", "text": "\n"})]}, "non-empty"),
    ({**GOOD, "messages": [told({"text": "x"})]}, "type: Field required"),
    ({**GOOD, "messages": ["x"]}, "roles must alternate"),
    ({**GOOD, "messages": [said(TEXT)]}, "roles must alternate"),
    ({**GOOD, "messages": [USER, USER]}, "roles must alternate"),
    ({**GOOD, "messages": [USER, said(TEXT)]}, "end with a user message"),
    ({**GOOD, "messages": [USER, said(CALL)]}, "without tool_result"),
    ({**GOOD, "messages": [USER, said(CALL), told(TEXT)]}, "without tool_result"),
    ({**GOOD, "messages": [USER, said(CALL), told(TEXT, RESULT)]}, "must come first"),
    ({**GOOD, "messages": [USER, said(CALL), told(RESULT, RESULT)]}, "single tool_result"),
    ({**GOOD, "messages": [USER, said(TEXT), told(RESULT)]}, "unexpected tool_use_id"),
    ({**GOOD, "messages": [told(RESULT)]}, "unexpected tool_use_id"),
    ({**GOOD, "messages": [USER, said(CALL), told(RESULT), said(CALL), told(RESULT)]}, "unique"),
    ({**GOOD, "messages": [told(CALL)]}, "only the assistant"),
    ({**GOOD, "messages": [USER, said({**CALL, "input": "x"}), told(RESULT)]}, "must be an object"),
    (
        {**GOOD, "messages": [USER, said({**CALL, "id": "a b"}), told({**RESULT, "tool_use_id": "a b"})]},
        "id and a name",
    ),
    ({**GOOD, "tools": [{**TOOL, "name": "look it up"}]}, "does not match"),
    ({**GOOD, "tools": [{**TOOL, "description": ""}]}, "description: Field required"),
    ({**GOOD, "tools": [{**TOOL, "input_schema": {}}]}, "input_schema"),
    ({**GOOD, "tools": [TOOL, TOOL]}, "tool names must be unique"),
    ({**GOOD, "output_config": {"format": {"type": "json_object"}}}, "must be a json_schema"),
    ({**GOOD, **schema(type="object")}, "additionalProperties"),
    ({**GOOD, **schema(**CLOSED, properties={"a": {"type": "object"}})}, "properties.a"),
    ({**GOOD, **schema(**CLOSED, **{"$defs": {"A": {"type": "object"}}})}, "$defs.A"),
    ({**GOOD, **schema(type="array", items={"type": "object"})}, "additionalProperties"),
    ({**GOOD, **schema(anyOf=[{"type": "integer", "minimum": 1}])}, "'minimum' is not supported"),
]


@pytest.mark.parametrize(("body", "says"), BAD)
def test_a_bad_request_is_told_what_it_broke(body: Json, says: str) -> None:
    assert any(says in fault for fault in broken_rules(body, HEADERS))


def test_the_version_header_is_required() -> None:
    assert broken_rules(GOOD, {}) == ["anthropic-version: header is required"]


def test_a_body_is_read_back_as_the_request_it_was_made_of() -> None:
    opening = '<step id="s1" agent="search" kind="work">\nFind it.\n</step>'
    form = {"format": {"type": "json_schema", "schema": {"title": "Plan"}}}
    body = {**GOOD, "system": [TEXT], "messages": [told({"type": "text", "text": opening})], "tools": [TOOL]}
    request = model_request({**body, "output_config": form})
    assert (request.agent, request.system, [tool.name for tool in request.tools]) == ("search", "And?", ["look"])
    assert request.output is not None
    assert model_request(GOOD).agent == "unknown"
