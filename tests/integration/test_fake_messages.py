"""The real SDK client against the fake Messages API, over real HTTP."""

import asyncio
import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic import JsonValue

from tasks.errors import (
    BadSetting,
    ContractError,
    ModelNonsense,
    ModelTruncated,
    ModelUnavailable,
    SpendLimitReached,
    TroupeError,
    UnknownModel,
)
from tasks.models import Plan
from tests.unit.attempts import make_claim
from workers.agents.blocks import as_blocks
from workers.context import StepContext, enter_step
from workers.llm.base import Block, ChatMessage, JsonSchema, ModelRequest
from workers.llm.claude import ClaudeModel
from workers.llm.settings import ModelSettings
from workers.testing import Break, FakeMessages, Fault, Hang, Limits, Say

MODEL = "claude-sonnet-5-5"
STREAMED = 20_000
"""Longest answer above which the adapter streams."""
BOTH = pytest.mark.parametrize("max_tokens", [1_000, STREAMED], ids=["json", "sse"])


@dataclass(frozen=True)
class Look:
    name: str = "look"
    description: str = "Looks it up."

    @property
    def input_schema(self) -> JsonSchema:
        return {"type": "object", "properties": {"q": {"type": "string"}}}


BASE = ModelRequest(model=MODEL, agent="search", system="", messages=[{"role": "user", "content": "What is it?"}])


def request(**fields: Any) -> ModelRequest:
    return replace(BASE, **fields)


@pytest.fixture
def fake() -> Iterator[FakeMessages]:
    with FakeMessages(lambda body: f"You said: {body['messages'][-1]['content']}") as server:
        yield server


@pytest.fixture
async def claude(fake: FakeMessages, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ClaudeModel]:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", fake.url)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-test")
    monkeypatch.setenv("TROUPE_ALLOW_MODEL_REQUESTS", "false")  # loopback is allowed all the same
    model = ClaudeModel(MODEL, ModelSettings())
    yield model
    await model.close()


async def wait_until(true: Any, within: float = 5.0) -> None:
    async with asyncio.timeout(within):
        while not true():  # noqa: ASYNC110 - what is waited for happens in a thread
            await asyncio.sleep(0.01)


@BOTH
async def test_an_answer_comes_back(fake: FakeMessages, claude: ClaudeModel, max_tokens: int) -> None:
    reply = await claude.reply(request(max_tokens=max_tokens))
    assert (reply.text, reply.stop_reason, reply.model) == ("You said: What is it?", "end_turn", MODEL)
    assert reply.usage.input_tokens > 0
    assert fake.requests[0].body.get("stream", False) is (max_tokens == STREAMED)
    assert fake.requests[0].headers["anthropic-version"]
    assert "sk-ant-test" not in str(fake.requests[0].headers)
    assert fake.violations == []


@BOTH
async def test_a_tool_round_trip_keeps_every_block_as_it_was(
    fake: FakeMessages, claude: ClaudeModel, max_tokens: int
) -> None:
    content: list[Block] = [
        {"type": "thinking", "thinking": "Ünïcode " * 20, "signature": "c2ln+/=="},
        {"type": "redacted_thinking", "data": "AAAA"},
        {"type": "hologram_2027", "payload": [{"z": 1, "a": 1.50}]},
        {"type": "text", "text": "I look it up, and you wait a little while, for looking takes its time."},
        {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"q": "é"}, "caller": {"type": "direct"}},
    ]
    fake.queue(Say(content=content), Say(content="Done."))
    first = await claude.reply(request(max_tokens=max_tokens, tools=[Look()]))
    assert first.stop_reason == "tool_use"
    assert json.dumps(first.content) == json.dumps(content)
    messages: list[ChatMessage] = [
        *BASE.messages,
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "seen"}]},
    ]
    second = await claude.reply(request(max_tokens=max_tokens, tools=[Look()], messages=messages))
    assert second.text == "Done."
    assert json.dumps(fake.requests[1].body["messages"][1]["content"]) == json.dumps(content)
    assert fake.violations == []


async def test_a_changed_thinking_block_is_caught(fake: FakeMessages, claude: ClaudeModel) -> None:
    thinking: Block = {"type": "thinking", "thinking": "so", "signature": "s"}
    fake.queue(Say(content=[thinking, {"type": "text", "text": "Hm."}]))
    await claude.reply(request())
    changed: Sequence[ChatMessage] = [
        *BASE.messages,
        {"role": "assistant", "content": [{**thinking, "thinking": "not so"}]},
        {"role": "user", "content": "Go on."},
    ]
    with pytest.raises(ContractError, match="cannot be modified"):
        await claude.reply(request(messages=changed))
    assert len(fake.violations) == 1


@BOTH
async def test_structured_output_is_asked_for_and_comes_raw(
    fake: FakeMessages, claude: ClaudeModel, max_tokens: int
) -> None:
    plan = Plan.model_validate({"steps": [{"id": "a", "description": "Do it.", "agent": "search"}]})
    fake.queue(Say(content=plan.model_dump_json()))
    reply = await claude.reply(request(output=Plan, max_tokens=max_tokens))
    assert Plan.model_validate_json(reply.text) == plan
    assert fake.requests[0].body["output_config"]["format"]["schema"]["title"] == "Plan"
    assert fake.violations == []


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(status=400, type="invalid_request_error"), ContractError),
        (Fault(status=401, type="authentication_error"), BadSetting),
        (Fault(status=403, type="permission_error"), UnknownModel),
        (Fault(status=404, type="not_found_error"), UnknownModel),
        (Fault(status=402, type="billing_error"), SpendLimitReached),
        (Fault(status=408, type="timeout_error"), ModelUnavailable),
        (Fault(status=409, type="conflict_error"), ModelUnavailable),
        (Fault(status=413, type="request_too_large"), ModelTruncated),
        (Fault(status=429, type="rate_limit_error"), ModelUnavailable),
        (Fault(status=429, type="rate_limit_error", error_code="ramp_limit_exceeded"), ModelUnavailable),
        (Fault(status=429, type="rate_limit_error", error_code="enforced_spend_limit_reached"), SpendLimitReached),
        (Fault(status=500, type="api_error"), ModelUnavailable),
        (Fault(status=503, type="api_error"), ModelUnavailable),
        (Fault(status=504, type="timeout_error"), ModelUnavailable),
        (Fault(), ModelUnavailable),
        (Break(how="dropped"), ModelUnavailable),
        (Break(how="truncated"), ModelUnavailable),
        (Break(how="malformed"), ModelNonsense),
        (Break(how="error_event"), ModelUnavailable),
    ],
    ids=str,
)
@BOTH
async def test_every_failure_has_its_error_and_the_next_call_works(
    fake: FakeMessages, claude: ClaudeModel, fault: Fault | Break, error: type[TroupeError], max_tokens: int
) -> None:
    fake.queue(fault)
    with pytest.raises(error) as caught:
        await claude.reply(request(max_tokens=max_tokens))
    assert type(caught.value) is error
    assert fake.calls == 1
    assert (await claude.reply(request(max_tokens=max_tokens))).stop_reason == "end_turn"


async def test_the_wait_that_the_provider_asks_for_is_handed_on(fake: FakeMessages, claude: ClaudeModel) -> None:
    fake.queue(Fault(status=429, type="rate_limit_error", retry_after="12"))
    with pytest.raises(ModelUnavailable) as caught:
        await claude.reply(request())
    assert caught.value.retry_after == timedelta(seconds=12)


@BOTH
async def test_cancelling_ends_the_http_call(fake: FakeMessages, claude: ClaudeModel, max_tokens: int) -> None:
    fake.queue(Hang())
    call = asyncio.create_task(claude.reply(request(max_tokens=max_tokens)))
    await wait_until(lambda: fake.calls == 1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await wait_until(lambda: fake.aborted == 1)


async def test_a_client_that_leaves_during_a_delay_is_noticed(fake: FakeMessages, claude: ClaudeModel) -> None:
    fake.queue(Say(content="too late", delay_s=30))
    call = asyncio.create_task(claude.reply(request()))
    await wait_until(lambda: fake.calls == 1)
    call.cancel()
    await wait_until(lambda: fake.aborted == 1)
    assert fake.usage_total == {}


async def test_a_hanging_request_does_not_hold_up_the_end() -> None:
    body = {"model": MODEL, "max_tokens": 1, "messages": BASE.messages}
    with FakeMessages(script=[Hang()]) as fake:
        headers = {"x-api-key": "k", "anthropic-version": "2026-10-21"}
        asked = urllib.request.Request(f"{fake.url}/v1/messages", json.dumps(body).encode(), headers)  # noqa: S310
        call = asyncio.create_task(asyncio.to_thread(urllib.request.urlopen, asked))
        await wait_until(lambda: fake.calls == 1)
    with pytest.raises(OSError, match="closed"):
        await call


async def test_a_silent_provider_runs_into_the_timeout(fake: FakeMessages, claude: ClaudeModel) -> None:
    fake.queue(Hang())
    impatient = ClaudeModel(MODEL, ModelSettings(model_timeout_s=0.1))
    with pytest.raises(ModelUnavailable, match="no answer in time"):
        await impatient.reply(request())
    await impatient.close()


async def test_an_unreachable_provider_is_unavailable(monkeypatch: pytest.MonkeyPatch, claude: ClaudeModel) -> None:
    with FakeMessages() as gone:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", gone.url)
    model = ClaudeModel(MODEL, ModelSettings())
    with pytest.raises(ModelUnavailable, match="cannot be reached"):
        await model.reply(request())
    await model.close()


async def test_a_delayed_answer_still_comes(fake: FakeMessages, claude: ClaudeModel) -> None:
    fake.queue(Say(content="late", delay_s=0.05))
    assert (await claude.reply(request())).text == "late"


async def test_usage_adds_up_on_both_sides(fake: FakeMessages, claude: ClaudeModel) -> None:
    fake.queue(Say(content="a", usage={"input_tokens": 1000, "cache_read_input_tokens": 2000, "output_tokens": 10}))
    replies = [await claude.reply(request(max_tokens=size)) for size in (1_000, STREAMED, 1_000)]
    assert sum(reply.usage.input_tokens for reply in replies) == fake.usage_total["input_tokens"]
    assert sum(reply.usage.output_tokens for reply in replies) == fake.usage_total["output_tokens"]
    assert replies[0].usage.cost_microusd == 2000 + 200 + 100
    assert replies[1].usage == replies[2].usage  # streamed or not


async def test_many_calls_at_once_all_come_back(fake: FakeMessages, claude: ClaudeModel) -> None:
    fake.queue(*(Say(content=f"answer {number}", delay_s=0.05) for number in range(50)))
    replies = await asyncio.gather(*(claude.reply(request()) for _ in range(50)))
    assert sorted(reply.text for reply in replies) == sorted(f"answer {number}" for number in range(50))
    assert len({reply.id for reply in replies}) == 50


async def test_a_broken_rule_is_refused_and_recorded(fake: FakeMessages, claude: ClaudeModel) -> None:
    messages: list[ChatMessage] = [{"role": "assistant", "content": "I begin."}]
    with pytest.raises(ContractError, match=r"roles must alternate.*\[req_fake_000001\]"):
        await claude.reply(request(messages=messages))
    assert fake.violations[0].startswith("request 1: messages.0.role")


async def test_a_script_that_runs_out_is_a_violation(monkeypatch: pytest.MonkeyPatch, claude: ClaudeModel) -> None:
    with FakeMessages(script=[Say(content="only one")]) as scripted:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", scripted.url)
        model = ClaudeModel(MODEL, ModelSettings())
        assert (await model.reply(request())).text == "only one"
        with pytest.raises(ContractError, match="no answer left"):
            await model.reply(request())
        await model.close()
        assert scripted.violations == ["request 2: the script has no answer left"]


async def test_a_wrong_key_is_refused_without_being_told(monkeypatch: pytest.MonkeyPatch, claude: ClaudeModel) -> None:
    with FakeMessages(lambda _: "in", api_key="sk-ant-right") as guarded:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", guarded.url)
        model = ClaudeModel(MODEL, ModelSettings())
        with pytest.raises(BadSetting, match=r"ANTHROPIC_API_KEY was refused \(401\)") as caught:
            await model.reply(request())
        assert "sk-ant-test" not in str(caught.value)
        await model.close()


async def test_a_responder_may_be_async_and_its_errors_are_seen(
    monkeypatch: pytest.MonkeyPatch, claude: ClaudeModel
) -> None:
    async def respond(body: dict[str, Any]) -> Say:
        if body["system"] == "fail":
            raise ValueError("on purpose")
        return Say(content="async")

    with FakeMessages(respond) as fake:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", fake.url)
        model = ClaudeModel(MODEL, ModelSettings())
        assert (await model.reply(request(system="go"))).text == "async"
        with pytest.raises(ModelUnavailable, match="on purpose"):
            await model.reply(request(system="fail"))
        await model.close()
        assert "on purpose" in fake.violations[0]


async def test_by_default_the_offline_rules_answer(monkeypatch: pytest.MonkeyPatch, claude: ClaudeModel) -> None:
    opening = (
        '<agents>\n[{"name": "search", "description": "Searches.", "capabilities": []}]\n</agents>\n\n'
        "<task>\nWhat is a lease?\n</task>\n\n"
        '<step id="plan" agent="planner" kind="plan">\nPlan the task.\n</step>'
    )
    with FakeMessages() as fake:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", fake.url)
        model = ClaudeModel(MODEL, ModelSettings())
        messages: list[ChatMessage] = [{"role": "user", "content": opening}]
        reply = await model.reply(request(messages=messages, agent="planner", output=Plan))
        await model.close()
        assert fake.violations == []
    assert Plan.model_validate_json(reply.text).steps


async def ask_directly(fake: FakeMessages, **fields: Any) -> tuple[int, dict[str, str], dict[str, Any]]:
    body = {"model": MODEL, "max_tokens": 100, "messages": BASE.messages, **fields}
    headers = {"x-api-key": "k", "anthropic-version": "2026-10-21"}
    path = "/v1/messages"
    asked = urllib.request.Request(f"{fake.url}{path}", json.dumps(body).encode(), headers)  # noqa: S310 - loopback
    return await asyncio.to_thread(_open, asked)


def _open(asked: urllib.request.Request) -> tuple[int, dict[str, str], dict[str, Any]]:
    try:
        with urllib.request.urlopen(asked, timeout=10) as response:  # noqa: S310 - loopback
            return response.status, {k.lower(): v for k, v in response.headers.items()}, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, {k.lower(): v for k, v in error.headers.items()}, json.load(error)


SYSTEM: list[dict[str, Any]] = [{"type": "text", "text": "rule " * 2000, "cache_control": {"type": "ephemeral"}}]


async def test_one_prefix_is_written_once_when_the_first_answer_has_begun_before_the_others() -> None:
    with FakeMessages(lambda _: "ok") as fake:
        await ask_directly(fake, system=SYSTEM)
        await asyncio.gather(*(ask_directly(fake, system=SYSTEM) for _ in range(9)))
        wrote = [one.usage["cache_creation_input_tokens"] > 0 for one in fake.served]
        read = [one.usage["cache_read_input_tokens"] > 0 for one in fake.served]
    assert (wrote, read) == ([True] + [False] * 9, [False] + [True] * 9)


async def test_sent_together_all_write() -> None:
    with FakeMessages(lambda _: "ok", latency_s=0.3) as fake:
        await asyncio.gather(*(ask_directly(fake, system=SYSTEM) for _ in range(4)))
        assert [one.usage["cache_read_input_tokens"] for one in fake.served] == [0] * 4


async def test_what_was_served_has_its_price(fake: FakeMessages, claude: ClaudeModel) -> None:
    usage: dict[str, JsonValue] = {
        "input_tokens": 10,
        "cache_creation_input_tokens": 1000,
        "cache_read_input_tokens": 50,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 400},
    }
    fake.queue(Say(content="a", usage=usage), Fault(), Say(content="b"))
    first = await claude.reply(request())
    with pytest.raises(ModelUnavailable):
        await claude.reply(request())
    second = await claude.reply(request(max_tokens=STREAMED))
    assert fake.cost_microusd == first.usage.cost_microusd + second.usage.cost_microusd
    assert [one.number for one in fake.served] == [1, 3]
    assert fake.record.stats["cost_microusd"] == fake.cost_microusd


async def test_over_the_rate_limit_comes_a_429_that_says_when_and_costs_no_scripted_answer() -> None:
    with FakeMessages(script=[Say(content="a"), Say(content="b")], limits=Limits(requests=60, burst=0.02)) as fake:
        status, headers, _ = await ask_directly(fake)
        assert (status, headers["anthropic-ratelimit-requests-remaining"]) == (200, "0")
        status, headers, body = await ask_directly(fake)
        assert (status, headers["retry-after"]) == (429, "1")
        assert body["error"]["type"] == "rate_limit_error"
        assert (fake.limited, len(fake.served), fake.record.stats["queued"]) == (1, 1, 1)


async def test_a_limited_call_is_told_how_long_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeMessages(lambda _: "ok", limits=Limits(output_tokens=1, requests=50)) as fake:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", fake.url)
        monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
        model = ClaudeModel(MODEL, ModelSettings())
        await model.reply(request(max_tokens=STREAMED))
        with pytest.raises(ModelUnavailable) as caught:
            await model.reply(request())
        await model.close()
    assert caught.value.retry_after is not None
    assert caught.value.retry_after >= timedelta(seconds=1)


@pytest.mark.parametrize(
    ("spoilt", "error"),
    [
        (Break(how="half_event"), ModelUnavailable | ModelNonsense),
        (Break(how="error_event", status=500), ModelUnavailable),
        (Break(how="error_event", status=400), ContractError),
        (Break(how="empty"), ModelUnavailable | ModelNonsense),
        (Break(how="html"), ModelUnavailable | ModelNonsense),
    ],
    ids=str,
)
@BOTH
async def test_every_spoilt_answer_is_an_error(
    fake: FakeMessages, claude: ClaudeModel, spoilt: Break, error: Any, max_tokens: int
) -> None:
    fake.queue(spoilt)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which ones is what is tested
        await claude.reply(request(max_tokens=max_tokens))
    assert isinstance(caught.value, error)


async def test_thinking_that_came_with_a_call_must_come_back_with_it(fake: FakeMessages, claude: ClaudeModel) -> None:
    thinking: Block = {"type": "thinking", "thinking": "so", "signature": "s"}
    call: Block = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
    fake.queue(Say(content=[thinking, {"type": "redacted_thinking", "data": "AAAA"}, call]))
    await claude.reply(request(tools=[Look()]))
    kept: Sequence[ChatMessage] = [
        *BASE.messages,
        {"role": "assistant", "content": [thinking, call]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "x"}]},
    ]
    with pytest.raises(ContractError, match="must come back with it"):
        await claude.reply(request(tools=[Look()], messages=kept))


@pytest.mark.parametrize("change", ["opening", "left out", "system"])
async def test_thinking_is_bound_to_what_stood_before_it(fake: FakeMessages, claude: ClaudeModel, change: str) -> None:
    thinking: list[Block] = [{"type": "thinking", "thinking": f"so {at}", "signature": f"s{at}"} for at in range(2)]
    history: list[ChatMessage] = list(BASE.messages)
    for at, thought in enumerate(thinking):
        content: list[Block] = [thought, {"type": "text", "text": f"So {at}."}]
        fake.queue(Say(content=content))
        await claude.reply(request(messages=history))
        history.append({"role": "assistant", "content": content})
        history.append({"role": "user", "content": "And?"})
    await claude.reply(request(messages=history))
    if change == "opening":
        history[0] = {"role": "user", "content": "What was it?"}
    if change == "left out":
        history[1] = {"role": "assistant", "content": [{"type": "text", "text": "So 0."}]}
    with pytest.raises(ContractError, match="bound to a different conversation"):
        await claude.reply(request(messages=history, system="Be brief." if change == "system" else ""))
    bare: list[ChatMessage] = []
    for one in history:
        kept = [block for block in as_blocks(one["content"]) if block["type"] == "text"]
        bare.append({"role": one["role"], "content": kept})
    await claude.reply(request(messages=bare))
    older = replace(BASE, model="claude-haiku-4-5", messages=history)
    await claude.reply(older)  # which does not check


async def test_a_slow_stream_that_nobody_reads_any_more_is_noticed(fake: FakeMessages, claude: ClaudeModel) -> None:
    fake.queue(Say(content="slow " * 100, pace_s=0.5))
    call = asyncio.create_task(claude.reply(request(max_tokens=STREAMED)))
    await wait_until(lambda: len(fake.served) == 1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await wait_until(lambda: fake.aborted == 1)
    assert fake.cost_microusd > 0  # it was begun, so it is paid


async def test_tokens_can_be_counted_without_a_call(fake: FakeMessages) -> None:
    body = {"model": MODEL, "messages": BASE.messages, "system": SYSTEM}
    headers = {"x-api-key": "k", "anthropic-version": "2026-10-21"}
    for path, status in ((f"{fake.url}/v1/messages/count_tokens", 200), (f"{fake.url}/v1/messages/count", 404)):
        asked = urllib.request.Request(path, json.dumps(body).encode(), headers)  # noqa: S310 - loopback
        given, _, answer = await asyncio.to_thread(_open, asked)
        assert given == status
        assert answer.get("input_tokens", 2500) > 2000
    bad = urllib.request.Request(f"{fake.url}/v1/messages/count_tokens", b"{}", headers)  # noqa: S310 - loopback
    assert (await asyncio.to_thread(_open, bad))[0] == 400
    assert fake.calls == 0


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"system": [{"type": "text", "text": str(n), "cache_control": {"type": "ephemeral"}} for n in range(5)]},
            "at most 4",
        ),
        ({"tool_choice": {"type": "any"}}, "only be given with tools"),
        ({"tool_choice": {"type": "some"}}, "must be auto, any, tool or none"),
        ({"tool_choice": "auto"}, "must be auto, any, tool or none"),
    ],
)
async def test_more_rules_are_kept(fake: FakeMessages, fields: dict[str, Any], words: str) -> None:
    status, _, body = await ask_directly(fake, **fields)
    assert (status, words in body["error"]["message"]) == (400, True)


def test_an_error_of_each_status_has_its_type() -> None:
    assert Fault.of(404).type == "not_found_error"
    assert Fault.of(418).type == "invalid_request_error"
    assert Fault.of(599).type == "api_error"
    assert Fault.of(429, "ramp_limit_exceeded", retry_after="3").retry_after == "3"


def fetch(url: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=5) as response:  # noqa: S310 - loopback
        return json.load(response)


async def test_another_process_can_look_and_queue(fake: FakeMessages, claude: ClaudeModel) -> None:
    await asyncio.to_thread(fetch, f"{fake.url}/_fake/queue", [{"kind": "say", "content": "from afar"}])
    assert (await claude.reply(request())).text == "from afar"
    stats = await asyncio.to_thread(fetch, f"{fake.url}/_fake/stats")
    assert (stats["calls"], stats["violations"], stats["queued"]) == (1, [], 0)
    assert stats["usage_total"] == fake.usage_total
    requests = await asyncio.to_thread(fetch, f"{fake.url}/_fake/requests")
    assert requests == [{"number": 1, "body": fake.requests[0].body}]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/models", None, 404),
        ("/v1/other", {}, 404),
        ("/_fake/queue", [{"kind": "sing"}], 400),
        ("/v1/messages", {}, 401),
    ],
)
def test_whatever_else_is_asked_is_refused(fake: FakeMessages, path: str, body: object, status: int) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        fetch(f"{fake.url}{path}", body)
    with caught.value as error:
        assert error.code == status
        assert json.load(error)["type"] == "error"


async def test_an_unpriced_model_is_not_found(fake: FakeMessages) -> None:
    body = {"model": "claude-foo", "max_tokens": 1, "messages": [{"role": "user", "content": "x"}]}
    headers = {"x-api-key": "k", "anthropic-version": "2026-10-21"}
    asked = urllib.request.Request(f"{fake.url}/v1/messages", json.dumps(body).encode(), headers)  # noqa: S310 - loopback
    with pytest.raises(urllib.error.HTTPError) as caught:
        await asyncio.to_thread(urllib.request.urlopen, asked)
    with caught.value as error:
        assert error.code == 404


def test_it_runs_as_a_process_of_its_own() -> None:
    command = [sys.executable, "-m", "workers.testing.fake_messages", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert fetch(f"{url}/_fake/stats")["calls"] == 0
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


class Heard(StepContext):
    """Counts signs of life."""

    signs = 0

    def sign(self) -> None:
        Heard.signs += 1
        super().sign()


@pytest.mark.parametrize(("max_tokens", "streamed"), [(1000, False), (20_000, True)])
async def test_the_pieces_of_a_streamed_answer_are_signs_of_life(
    claude: ClaudeModel, max_tokens: int, streamed: bool
) -> None:
    context = Heard(claim=make_claim())
    Heard.signs = 0

    async def ask() -> None:
        enter_step(context)
        with context.waiting():
            await claude.reply(request(max_tokens=max_tokens))

    await asyncio.create_task(ask())
    assert context.unseen == 0
    assert (Heard.signs > 2) is streamed, "two are of the wait itself"
