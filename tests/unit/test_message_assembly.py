"""Streamed answers, put together from their events."""

import json
import time
from typing import Any

import pytest

from tasks.errors import BadSetting, ContractError, ModelNonsense, ModelUnavailable, TroupeError
from workers.llm.stream import MessageAssembly
from workers.testing.events import events

MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-opus-5",
    "content": [
        {
            "type": "thinking",
            "thinking": "Let me think about this for longer than one single delta holds.",
            "signature": "s==",
        },
        {
            "type": "text",
            "text": "See ½.",
            "citations": [{"type": "page_location", "x": 1}, {"type": "char_location"}],
            "new": 1,
        },
        {"type": "hologram_2027", "payload": {"z": 1, "a": [None]}},
        {
            "type": "tool_use",
            "id": "toolu_1",
            "name": "look",
            "input": {"query": "a long one " * 9, "n": 1.0},
            "caller": {},
        },
        {"type": "tool_use", "id": "toolu_2", "name": "list", "input": {}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "stop_details": None,
    "usage": {"input_tokens": 12, "cache_read_input_tokens": 3, "output_tokens": 40},
}


def parsed(message: dict[str, Any]) -> list[dict[str, Any]]:
    return [json.loads(one.decode().split("data: ", 1)[1]) for one in events(message)]


def assembled(*taken: dict[str, Any]) -> dict[str, Any]:
    assembly = MessageAssembly("claude-opus-5")
    for event in taken:
        assembly.add(event)
    return assembly.finish()


def test_a_streamed_message_is_the_unstreamed_one() -> None:
    whole = assembled(*parsed(MESSAGE))
    assert json.dumps(whole["content"]) == json.dumps(MESSAGE["content"])
    assert whole == MESSAGE


@pytest.mark.parametrize(
    ("block", "kind", "name"),
    [
        ({"type": "text", "text": ""}, "text_delta", "text"),
        ({"type": "tool_use", "id": "1", "name": "n", "input": {}}, "input_json_delta", "partial_json"),
    ],
)
def test_a_long_answer_costs_no_more_for_each_piece_than_a_short_one(
    block: dict[str, Any], kind: str, name: str
) -> None:
    begun = time.process_time()
    assembly = MessageAssembly("claude-opus-5")
    assembly.add({"type": "message_start", "message": {"usage": {}}})
    assembly.add({"type": "content_block_start", "index": 0, "content_block": block})
    for at in range(200_000):
        piece = '"abc ' if at == 0 else "abcd "
        assembly.add({"type": "content_block_delta", "index": 0, "delta": {"type": kind, name: piece}})
    assembly.add({"type": "content_block_delta", "index": 0, "delta": {"type": kind, name: '"'}})
    assembly.add({"type": "message_stop"})
    assembly.finish()
    assert time.process_time() - begun < 10, "it took a second, and more than a minute when each piece was added up"


def test_unknown_events_are_skipped() -> None:
    assert assembled({"type": "weather", "sky": "blue"}, *parsed(MESSAGE)) == MESSAGE


@pytest.mark.parametrize("cut", [0, 1, 4, -1])
def test_a_stream_that_ends_early_is_unavailability(cut: int) -> None:
    with pytest.raises(ModelUnavailable, match="broke off") as caught:
        assembled(*parsed(MESSAGE)[:cut])
    assert caught.value.begun


def test_an_answer_that_an_error_cuts_off_was_begun() -> None:
    with pytest.raises(ModelUnavailable) as caught:
        assembled(*parsed(MESSAGE)[:3], {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}})
    assert caught.value.begun


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"type": "message_start"},
        {"type": "content_block_start", "index": 0},
        {"type": "content_block_delta", "index": 9, "delta": {"type": "text_delta", "text": "x"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "hologram_delta"}},
        {"type": "message_delta"},
        {"type": "error", "error": "text"},
    ],
)
def test_a_malformed_event_is_nonsense(event: dict[str, Any]) -> None:
    with pytest.raises(ModelNonsense):
        assembled(*parsed(MESSAGE)[:4], event)


def test_a_stream_must_begin_at_its_beginning() -> None:
    with pytest.raises(ModelNonsense, match="message_start"):
        assembled({"type": "message_delta", "delta": {}, "usage": {}})


def half_a_call(stop_reason: str) -> list[dict[str, Any]]:
    call = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"query": "x"}}
    taken = parsed({**MESSAGE, "content": [call], "stop_reason": stop_reason})
    for event in taken:
        if event["type"] == "content_block_delta":
            event["delta"]["partial_json"] = '{"query": "x'
    return taken


def test_a_tool_call_cut_off_by_the_limit_has_no_input() -> None:
    assert assembled(*half_a_call("max_tokens"))["content"][0]["input"] == {}


def test_a_finished_tool_call_with_broken_input_is_nonsense() -> None:
    with pytest.raises(ModelNonsense, match="input of a tool call"):
        assembled(*half_a_call("tool_use"))


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("overloaded_error", ModelUnavailable),
        ("api_error", ModelUnavailable),
        ("rate_limit_error", ModelUnavailable),
        ("brand_new_error", ModelUnavailable),
        ("invalid_request_error", ContractError),
        ("authentication_error", BadSetting),
    ],
)
def test_an_error_event_means_what_its_status_would(kind: str, error: type[TroupeError]) -> None:
    with pytest.raises(error, match="said"):
        assembled(*parsed(MESSAGE)[:3], {"type": "error", "error": {"type": kind, "message": "said"}})


def test_a_count_that_is_absent_at_the_end_keeps_its_value_of_the_start() -> None:
    taken = parsed(MESSAGE)
    taken[-2]["usage"] = {"output_tokens": 40, "input_tokens": None}
    assert assembled(*taken)["usage"] == MESSAGE["usage"]


def test_a_streamed_compaction_is_kept() -> None:
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"id": "m", "content": [], "usage": {}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "compaction", "content": None}},
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "compaction_delta", "content": "So far.", "encrypted_content": None},
        },
        {"type": "message_stop"},
    ]
    assert assembled(*events)["content"] == [{"type": "compaction", "content": "So far."}]


def test_text_that_a_block_begins_with_is_shown_too() -> None:
    shown: list[str] = []
    assembly = MessageAssembly("m", shown.append)
    assembly.add({"type": "message_start", "message": {"usage": {}}})
    assembly.add({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "It"}})
    for text in (" is", ""):
        assembly.add({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}})
    assert shown == ["It", " is"]
