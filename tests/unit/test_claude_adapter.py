"""The Claude adapter against a transport in memory: what is sent, what comes back, what errors mean."""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from pydantic import BaseModel, Field

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
from workers.llm.base import Block, ChatMessage, JsonSchema, ModelReply, ModelRequest
from workers.llm.claude import ClaudeModel
from workers.llm.settings import ModelSettings
from workers.testing.events import events

Handle = Callable[[httpx2.Request], httpx2.Response]
MODEL = "claude-sonnet-5-5"


@dataclass(frozen=True)
class Spec:
    name: str
    description: str = "Does it."

    @property
    def input_schema(self) -> JsonSchema:
        return {"type": "object", "properties": {}}


def message(content: Sequence[Block], **fields: Any) -> dict[str, Any]:
    usage = {"input_tokens": 1000, "output_tokens": 100}
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": list(content),
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": usage,
        **fields,
    }


HELLO: dict[str, Any] = message([{"type": "text", "text": "Hello"}])


BASE = ModelRequest(model=MODEL, agent="search", system="", messages=[{"role": "user", "content": "Hi"}])


def request(**fields: Any) -> ModelRequest:
    return replace(BASE, **fields)


class Wire:
    """A model on a transport in memory, and the bodies it sent."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-secret")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
        self.bodies: list[dict[str, Any]] = []
        self.raw: list[bytes] = []
        self.models: list[ClaudeModel] = []

    def model(self, handle: Handle, name: str = MODEL, **options: Any) -> ClaudeModel:
        def note(sent: httpx2.Request) -> httpx2.Response:
            self.raw.append(sent.content)
            self.bodies.append(json.loads(sent.content))
            return handle(sent)

        http = httpx2.AsyncClient(transport=httpx2.MockTransport(note))
        self.models.append(ClaudeModel(name, ModelSettings(), http_client=http, **options))
        return self.models[-1]

    async def ask(self, answer: Any, asked: ModelRequest | None = None) -> ModelReply:
        text = json.dumps(answer)  # escaped, where httpx2 would send UTF-8: half a surrogate pair gets through
        return await self.model(lambda _: httpx2.Response(200, text=text)).reply(asked or request())


@pytest.fixture
async def wire(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Wire]:
    made = Wire(monkeypatch)
    yield made
    for model in made.models:
        await model.close()


async def test_a_plain_request_holds_nothing_but_what_is_needed(wire: Wire) -> None:
    await wire.ask(HELLO)
    assert wire.bodies == [{"max_tokens": 8192, "messages": [{"role": "user", "content": "Hi"}], "model": MODEL}]


async def test_tools_are_sent_in_order_of_their_names(wire: Wire) -> None:
    await wire.ask(HELLO, request(tools=[Spec("b"), Spec("a")], system="Be brief."))
    assert [tool["name"] for tool in wire.bodies[0]["tools"]] == ["a", "b"]
    assert wire.bodies[0]["tools"][0].keys() == {"name", "description", "input_schema"}
    assert wire.bodies[0]["system"] == "Be brief."


async def test_the_same_request_is_the_same_bytes(wire: Wire) -> None:
    for tools in ([Spec("b"), Spec("a")], [Spec("a"), Spec("b")]):
        await wire.ask(HELLO, request(tools=tools, system="s", output=Plan))
    assert wire.raw[0] == wire.raw[1]


async def test_structured_output_is_asked_for_with_closed_objects(wire: Wire) -> None:
    reply = await wire.ask(message([{"type": "text", "text": "{}"}]), request(output=Plan))
    form = wire.bodies[0]["output_config"]["format"]
    assert form["type"] == "json_schema"
    assert form["schema"]["additionalProperties"] is False
    assert form["schema"]["$defs"]["PlannedStep"]["additionalProperties"] is False
    assert reply.text == "{}"  # as it came: validation is the loop's


async def test_bounds_go_into_the_description(wire: Wire) -> None:
    class Score(BaseModel):
        value: int = Field(ge=1, le=5)

    await wire.ask(HELLO, request(output=Score))
    value = wire.bodies[0]["output_config"]["format"]["schema"]["properties"]["value"]
    assert "minimum" not in value
    assert "minimum: 1" in value["description"]


async def test_an_output_without_a_schema_is_refused(wire: Wire) -> None:
    class Anything(BaseModel):
        value: Any

    with pytest.raises(ContractError, match="Anything cannot be asked for"):
        await wire.ask(HELLO, request(output=Anything))


async def test_the_longest_answer_is_capped_by_what_the_model_can(wire: Wire) -> None:
    asked = request(model="claude-haiku-4-5-20251001", max_tokens=100_000)
    with pytest.raises(ModelUnavailable, match="broke off"):  # it streams, and this is no stream
        await wire.ask(HELLO, asked)
    assert wire.bodies[0]["max_tokens"] == 64_000
    assert wire.bodies[0]["model"] == "claude-haiku-4-5-20251001"


async def test_unknown_blocks_and_fields_come_back_and_go_out_as_they_were(wire: Wire) -> None:
    content: list[Block] = [
        {
            "type": "thinking",
            "thinking": "Hm… ½ \u2028",
            "signature": "c2ln+/==",
            "new_field": {"z": 1, "a": [1.50, None]},
        },
        {"type": "redacted_thinking", "data": "AAAA"},
        {"type": "hologram_2027", "payload": [{"deep": {"b": True, "a": 10**20}}], "z": "", "a": None},
        {
            "type": "tool_use",
            "id": "toolu_1",
            "name": "look",
            "input": {"q": "é", "n": 1.0},
            "caller": {"type": "direct"},
        },
    ]
    answer = message(content, stop_reason="tool_use")
    reply = await wire.ask(answer)
    assert json.dumps(reply.content) == json.dumps(content)
    messages: list[ChatMessage] = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": reply.content},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "seen"}]},
    ]
    await wire.ask(HELLO, request(messages=messages))
    assert json.dumps(wire.bodies[1]["messages"][1]["content"]) == json.dumps(content)


async def test_usage_is_counted_and_priced(wire: Wire) -> None:
    usage = {
        "input_tokens": 100,
        "output_tokens": 10,
        "cache_read_input_tokens": 1000,
        "cache_creation_input_tokens": 300,
        "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 100},
    }
    reply = await wire.ask({**HELLO, "usage": usage})
    used = reply.usage
    assert (used.input_tokens, used.output_tokens, used.cache_read_tokens, used.cache_write_tokens) == (
        100,
        10,
        1000,
        300,
    )
    assert used.requests == 1
    assert used.cost_microusd == 200 + 100 + 100 + 500 + 400


async def test_batches_are_priced_as_batches_and_nulls_as_nothing(wire: Wire) -> None:
    usage = {"input_tokens": 1000, "output_tokens": 0, "service_tier": "batch", "cache_read_input_tokens": None}
    assert (await wire.ask({**HELLO, "usage": usage})).usage.cost_microusd == 1000


async def test_a_refusal_carries_its_category(wire: Wire) -> None:
    refusal = message(
        [], stop_reason="refusal", stop_details={"type": "refusal", "category": "cyber", "explanation": None}
    )
    reply = await wire.ask(refusal)
    assert (reply.stop_reason, reply.refusal, reply.text) == ("refusal", "cyber", "")


async def test_stop_reasons_newer_than_this_release_go_through(wire: Wire) -> None:
    assert (await wire.ask({**HELLO, "stop_reason": "sunset"})).stop_reason == "sunset"


MALFORMED: list[Any] = [
    {},
    [],
    None,
    {**HELLO, "content": "text"},
    {**HELLO, "content": [{"text": "no type"}]},
    {**HELLO, "content": ["text"]},
    {**HELLO, "stop_reason": None},
    {**HELLO, "usage": {"input_tokens": -1, "output_tokens": 1}},
    {**HELLO, "usage": {"input_tokens": "1", "output_tokens": 1}},
    {**HELLO, "usage": {"input_tokens": 10**30, "output_tokens": 1}},
    {**HELLO, "content": [{"type": "tool_use", "id": "toolu_1", "name": "x", "input": "text"}]},
    {**HELLO, "content": [{"type": "tool_use", "name": "x", "input": {}}]},
    {**HELLO, "content": [{"type": "text", "text": "half a pair: \ud83d"}]},
]


@pytest.mark.parametrize("answer", MALFORMED)
async def test_an_answer_of_another_form_is_nonsense(wire: Wire, answer: Any) -> None:
    with pytest.raises(ModelNonsense):
        await wire.ask(answer)


async def test_nonsense_that_says_what_it_cost_tells_it(wire: Wire) -> None:
    with pytest.raises(ModelNonsense) as caught:
        await wire.ask({**HELLO, "content": [{"type": "tool_use", "name": "x", "input": {}}]})
    assert caught.value.usage == (await wire.ask(HELLO)).usage


@pytest.mark.parametrize("body", [b"<html>", b"", b'{"id": ', b"\xff\xfe", b"[" * 100_000, b'{"a": NaN}'])
async def test_a_body_that_is_not_json_is_nonsense(wire: Wire, body: bytes) -> None:
    model = wire.model(lambda _: httpx2.Response(200, content=body, headers={"content-type": "application/json"}))
    with pytest.raises(ModelNonsense, match="not JSON"):
        await model.reply(request())


async def test_a_cut_off_tool_call_is_handed_over_with_its_stop_reason(wire: Wire) -> None:
    cut = message([{"type": "tool_use", "id": "toolu_1", "name": "x", "input": None}], stop_reason="max_tokens")
    assert (await wire.ask(cut)).stop_reason == "max_tokens"


def refusing(status: int, kind: str, text: str = "said", headers: dict[str, str] | None = None, **more: Any) -> Handle:
    body = {"type": "error", "error": {"type": kind, "message": text, **more}}
    return lambda _: httpx2.Response(status, json=body, headers={"request-id": "req_7", **(headers or {})})


@pytest.mark.parametrize(
    ("status", "kind", "error", "says"),
    [
        (400, "invalid_request_error", ContractError, "refused the request (400): said [req_7]"),
        (401, "authentication_error", BadSetting, "ANTHROPIC_API_KEY was refused (401)"),
        (402, "billing_error", SpendLimitReached, "(402)"),
        (403, "permission_error", UnknownModel, "may not be used with this key (403)"),
        (404, "not_found_error", UnknownModel, "is not known to the provider (404)"),
        (408, "timeout_error", ModelUnavailable, "(408)"),
        (409, "conflict_error", ModelUnavailable, "(409)"),
        (413, "request_too_large", ModelTruncated, "(413)"),
        (422, "invalid_request_error", ContractError, "(422)"),
        (429, "rate_limit_error", ModelUnavailable, "(429)"),
        (500, "api_error", ModelUnavailable, "(500)"),
        (503, "api_error", ModelUnavailable, "(503)"),
        (504, "timeout_error", ModelUnavailable, "(504)"),
        (529, "overloaded_error", ModelUnavailable, "(529)"),
    ],
)
async def test_each_status_becomes_the_error_that_says_what_to_do(
    wire: Wire, status: int, kind: str, error: type[TroupeError], says: str
) -> None:
    model = wire.model(refusing(status, kind))
    with pytest.raises(error) as caught:
        await model.reply(request())
    assert type(caught.value) is error
    assert says in str(caught.value)
    assert len(wire.bodies) == 1  # nothing is retried here


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "Sat, 21 Nov 2026 00:01:00 GMT", "date": "Sat, 21 Nov 2026 00:00:30 GMT"}, 30),
        ({"retry-after": "Sat, 21 Nov 2026 00:00:00 GMT", "date": "Sat, 21 Nov 2026 00:00:30 GMT"}, 0),
        ({"retry-after": "1e300"}, 31 * 86_400),
    ],
)
async def test_the_provider_says_when_to_come_back(wire: Wire, headers: dict[str, str], seconds: float) -> None:
    model = wire.model(refusing(429, "rate_limit_error", headers=headers))
    with pytest.raises(ModelUnavailable) as caught:
        await model.reply(request())
    assert caught.value.retry_after == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf", "Sat, 21 Nov 2026 00:01:00 GMT", ""])
async def test_an_unreadable_retry_after_is_none(wire: Wire, text: str) -> None:
    model = wire.model(refusing(429, "rate_limit_error", headers={"retry-after": text}))
    with pytest.raises(ModelUnavailable) as caught:
        await model.reply(request())
    assert caught.value.retry_after is None


async def test_a_reached_spend_limit_is_not_worth_a_retry(wire: Wire) -> None:
    details = {"error_code": "enforced_spend_limit_reached"}
    model = wire.model(refusing(429, "rate_limit_error", details=details))
    with pytest.raises(ContractError, match="spend limit"):
        await model.reply(request())


async def test_no_key_gets_into_a_message(wire: Wire) -> None:
    model = wire.model(refusing(401, "authentication_error", f"sk-ant-api03-abc_DEF is wrong {'x' * 1000}"))
    with pytest.raises(BadSetting) as caught:
        await model.reply(request())
    assert "abc_DEF" not in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("error", "says", "begun"),
    [
        (httpx2.ConnectError("refused"), "cannot be reached", False),
        (httpx2.ConnectTimeout("slow"), "gave no answer in time", False),
        (httpx2.RemoteProtocolError("cut"), "cannot be reached", True),
        (httpx2.ReadTimeout("slow"), "gave no answer in time", True),
    ],
)
async def test_without_a_connection_the_model_is_unavailable_and_may_have_begun_to_answer(
    wire: Wire, error: httpx2.HTTPError, says: str, begun: bool
) -> None:
    def fail(_: httpx2.Request) -> httpx2.Response:
        raise error

    with pytest.raises(ModelUnavailable, match=says) as caught:
        await wire.model(fail).reply(request())
    assert caught.value.begun is begun


async def test_without_a_key_the_first_call_says_so(monkeypatch: pytest.MonkeyPatch, wire: Wire, tmp_path: Any) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    for name in ("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_PROFILE", "ANTHROPIC_CONFIG_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    model = wire.model(lambda _: httpx2.Response(200, json=HELLO))
    with pytest.raises(BadSetting, match="set ANTHROPIC_API_KEY"):
        await model.reply(request())


async def test_a_forbidden_call_never_leaves(monkeypatch: pytest.MonkeyPatch, wire: Wire) -> None:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "https://api.anthropic.com")
    monkeypatch.setenv("TROUPE_ALLOW_MODEL_REQUESTS", "false")
    model = wire.model(lambda _: httpx2.Response(200, json=HELLO))
    with pytest.raises(ContractError, match="TROUPE_ALLOW_MODEL_REQUESTS"):
        await model.reply(request())
    assert wire.bodies == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://localhost:9", "http://[::1]:9"])
async def test_a_forbidden_call_may_stay_on_this_machine(monkeypatch: pytest.MonkeyPatch, wire: Wire, url: str) -> None:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", url)
    monkeypatch.setenv("TROUPE_ALLOW_MODEL_REQUESTS", "false")
    assert (await wire.ask(HELLO)).text == "Hello"


async def test_one_client_serves_every_call_and_can_be_closed(wire: Wire) -> None:
    model = wire.model(lambda _: httpx2.Response(200, json=HELLO))
    await model.close()
    await model.reply(request())
    await model.reply(request(model="claude-opus-5-5"))
    assert [body["model"] for body in wire.bodies] == [MODEL, "claude-opus-5-5"]


async def test_middleware_sees_failed_responses_too(wire: Wire) -> None:
    seen: list[tuple[int, str | None]] = []

    async def watch(sent: Any, call_next: Any) -> Any:
        response = await call_next(sent)
        seen.append((response.status_code, response.headers.get("anthropic-ratelimit-requests-remaining")))
        return response

    handle = refusing(529, "overloaded_error", headers={"anthropic-ratelimit-requests-remaining": "3"})
    with pytest.raises(ModelUnavailable):
        await wire.model(handle, middleware=[watch]).reply(request())
    assert seen == [(529, "3")]


async def test_a_request_for_another_platform_or_an_unpriced_model_is_refused(wire: Wire) -> None:
    model = wire.model(lambda _: httpx2.Response(200, json=HELLO))
    with pytest.raises(UnknownModel, match="not served by anthropic"):
        await model.reply(request(model="bedrock/anthropic.claude-opus-5-5"))
    with pytest.raises(UnknownModel, match="TROUPE_PRICING"):
        await model.reply(request(model="claude-foo"))
    assert wire.bodies == []


async def test_clouds_are_called_through_their_own_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    from anthropic import AsyncAnthropicFoundry
    from anthropic.lib.bedrock import AsyncAnthropicBedrock
    from anthropic.lib.vertex import AsyncAnthropicVertex

    from workers.llm.clients import open_client
    from workers.llm.names import Platform

    monkeypatch.setenv("TROUPE_ALLOW_MODEL_REQUESTS", "true")  # clients are made, none is called
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "token")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("CLOUD_ML_REGION", "europe-west1")
    monkeypatch.setenv("ANTHROPIC_VERTEX_PROJECT_ID", "project")
    monkeypatch.setenv("ANTHROPIC_FOUNDRY_API_KEY", "key")
    monkeypatch.setenv("ANTHROPIC_FOUNDRY_RESOURCE", "resource")
    kinds = {
        Platform.BEDROCK: AsyncAnthropicBedrock,
        Platform.VERTEX: AsyncAnthropicVertex,
        Platform.FOUNDRY: AsyncAnthropicFoundry,
    }
    for platform, kind in kinds.items():
        client = await open_client(platform, ModelSettings())
        assert isinstance(client, kind)
        assert client.max_retries == 0
        await client.close()


async def test_a_cloud_without_its_settings_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from workers.llm.clients import open_client
    from workers.llm.names import Platform

    for name in (
        "CLOUD_ML_REGION",
        "ANTHROPIC_FOUNDRY_API_KEY",
        "ANTHROPIC_FOUNDRY_RESOURCE",
        "ANTHROPIC_FOUNDRY_BASE_URL",
    ):
        monkeypatch.delenv(name, raising=False)
    for platform in (Platform.VERTEX, Platform.FOUNDRY):
        with pytest.raises(BadSetting, match=f"no client for {platform}"):
            await open_client(platform, ModelSettings())


class BrokenStream(httpx2.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"event: ping\n\n"
        raise httpx2.ReadError("connection reset")


async def test_a_connection_lost_in_a_stream_is_unavailability(wire: Wire) -> None:
    model = wire.model(lambda _: httpx2.Response(200, stream=BrokenStream()))
    with pytest.raises(ModelUnavailable, match="broke off") as caught:
        await model.reply(request(max_tokens=20_000))
    assert caught.value.begun


async def test_credentials_that_cannot_be_fetched_are_a_setting_to_mend(wire: Wire) -> None:
    from anthropic import AnthropicError

    async def fail(sent: Any, call_next: Any) -> Any:
        raise AnthropicError("no token at hand")

    with pytest.raises(BadSetting, match="no token at hand"):
        await wire.model(lambda _: httpx2.Response(200), middleware=[fail]).reply(request())


SEARCH: JsonSchema = {"name": "web_search", "type": "web_search_20250305"}


async def test_the_providers_own_tools_come_after_ours_as_they_are_defined(wire: Wire) -> None:
    execution: JsonSchema = {"name": "code_execution", "type": "code_execution_20250825"}
    await wire.ask(HELLO, request(tools=[Spec("zoom")], server_tools=[SEARCH, execution], container="container_1"))
    assert [tool["name"] for tool in wire.bodies[0]["tools"]] == ["zoom", "code_execution", "web_search"]
    assert wire.bodies[0]["tools"][2] == SEARCH
    assert wire.bodies[0]["container"] == "container_1"
    await wire.ask(HELLO, request(server_tools=[SEARCH]))
    assert wire.bodies[1]["tools"] == [SEARCH]


@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        ({"thinking": "adaptive"}, {"thinking": {"type": "adaptive"}}),
        ({"thinking": "between_tools"}, {"thinking": {"type": "between_tools"}}),
        ({"effort": "low"}, {"output_config": {"effort": "low"}}),
        ({"thinking": "enabled"}, {"thinking": {"type": "enabled", "budget_tokens": 4096}}),
        ({"tools": [Spec("a")], "tool_choice": "any"}, {"tool_choice": {"type": "any"}}),
        ({"tools": [Spec("a")], "tool_choice": "a"}, {"tool_choice": {"type": "tool", "name": "a"}}),
    ],
)
async def test_what_the_agent_wants_is_sent(wire: Wire, fields: dict[str, Any], sent: dict[str, Any]) -> None:
    await wire.ask(HELLO, request(**fields))
    plain = {"max_tokens": 8192, "messages": BASE.messages, "model": MODEL}
    assert {name: value for name, value in wire.bodies[0].items() if name != "tools"} == {**plain, **sent}


async def test_effort_and_form_stand_side_by_side(wire: Wire) -> None:
    await wire.ask(HELLO, request(output=Plan, effort="max"))
    assert wire.bodies[0]["output_config"].keys() == {"effort", "format"}


async def test_uses_of_the_providers_tools_are_counted_and_searches_paid_for(wire: Wire) -> None:
    uses = {"web_search_requests": 3, "web_fetch_requests": 0, "tool_of_2027_requests": 2}
    usage = {"input_tokens": 10, "output_tokens": 1, "server_tool_use": uses}
    reply = await wire.ask({**HELLO, "usage": usage, "container": {"id": "container_1", "expires_at": "2027-01-01"}})
    assert reply.server_tools == {"tool_of_2027_requests": 2, "web_search_requests": 3}
    assert reply.usage.tool_calls == 5
    assert reply.usage.cost_microusd == 20 + 10 + 3 * 10_000
    assert reply.container == "container_1"


def streamed(answer: dict[str, Any]) -> Handle:
    body = b"".join(events(answer))
    return lambda _: httpx2.Response(200, content=body, headers={"content-type": "text/event-stream"})


async def test_text_is_given_away_piece_by_piece_when_somebody_wants_it(wire: Wire) -> None:
    said = "A long answer, " * 20
    thinking: Block = {"type": "thinking", "thinking": "Secret. " * 20, "signature": "s"}
    answer = message([thinking, {"type": "text", "text": said}])
    pieces: list[str] = []
    reply = await wire.model(streamed(answer)).reply(request(on_text=pieces.append))
    assert wire.bodies[0]["stream"] is True
    assert reply.content == answer["content"]
    assert "".join(pieces) == said
    assert len(pieces) > 3


async def test_without_a_sink_short_answers_are_not_streamed(wire: Wire) -> None:
    await wire.ask(HELLO)
    assert "stream" not in wire.bodies[0]


async def test_what_was_given_away_before_a_stream_broke_stays(wire: Wire) -> None:
    body = b"".join(events(message([{"type": "text", "text": "Half of it."}])))
    cut = body[: body.index(b"event: message_delta")]
    pieces: list[str] = []
    handle: Handle = lambda _: httpx2.Response(200, content=cut, headers={"content-type": "text/event-stream"})  # noqa: E731
    with pytest.raises(ModelUnavailable, match="broke off"):
        await wire.model(handle).reply(request(on_text=pieces.append))
    assert "".join(pieces) == "Half of it."
