"""What a worker tells OpenTelemetry of attempts, model calls and tool calls."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, get_current_span
from pydantic import BaseModel, JsonValue

from tasks import trace
from tasks.errors import ModelUnavailable
from tasks.models import Claim, Failure, Step, StepKind
from tasks.states import StepStatus
from tasks.trace_ids import span_id_of, trace_id_of
from tasks.usage import Usage
from tests.support.telemetry import Memory, attributes, parent_id, seconds, span_id, trace_id
from tests.unit.attempts import JOB, make_claim, make_input
from workers.agents.base import Agent
from workers.agents.registry import AgentRegistry
from workers.llm.base import ModelReply, ModelRequest
from workers.spans import AttemptSpan, CallSpan, Observer, observed
from workers.telemetry.observer import TelemetryObserver
from workers.tools.base import ToolCall

CLAUDE = "claude-sonnet-5-5"
SECRET = "The merger is on Friday"
USAGE = Usage(
    input_tokens=100, output_tokens=20, cache_read_tokens=30, cache_write_tokens=5, requests=1, cost_microusd=77
)
WORDS = "the words of the agent's description"


class Found(BaseModel):
    """A structured answer."""

    text: str


async def code(_: object) -> str:
    return "done"


AGENTS = AgentRegistry(
    [
        Agent(name="search", description=WORDS, version="3"),
        Agent(name="coded", description=WORDS, run=code),
        Agent(name="own", description=WORDS, model="bedrock/anthropic.claude-haiku-4-5"),
    ]
)
REPLY = ModelReply(
    id="msg_1",
    model="claude-sonnet-5-5-20261001",
    content=[
        {"type": "thinking", "thinking": f"Hm. {SECRET}"},
        {"type": "text", "text": SECRET},
        {"type": "tool_use", "id": "t1", "name": "look", "input": {"query": SECRET}},
    ],
    stop_reason="tool_use",
    usage=USAGE,
)


def a_request(model: str = CLAUDE, **fields: Any) -> ModelRequest:
    values: dict[str, Any] = {
        "model": model,
        "agent": "search",
        "system": f"You are an agent. {SECRET}",
        "messages": [
            {"role": "user", "content": f"What is it? {SECRET}"},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t0", "content": SECRET}]},
        ],
    }
    return ModelRequest(**{**values, **fields})


def a_tool_call(**fields: Any) -> ToolCall:
    values: dict[str, Any] = {
        "id": "t1",
        "tool": "look",
        "input": {"query": SECRET},
        "output": SECRET,
        "duration_ms": 1.0,
        "success": True,
        "timestamp": datetime.now(UTC),
        "tries": 2,
    }
    return ToolCall(**{**values, **fields})


def an_observer(memory: Memory) -> TelemetryObserver:
    return TelemetryObserver(memory.telemetry, AGENTS, "w1@host", CLAUDE)


def run(
    memory: Memory,
    claim: Claim | None = None,
    *,
    outcome: str = "succeeded",
    failure: Failure | None = None,
    work: Callable[[TelemetryObserver, Claim], None] | None = None,
) -> AttemptSpan:
    observer, span = an_observer(memory), AttemptSpan(claim or make_claim())
    with observer.attempt(span):
        if work is not None:
            work(observer, span.claim)
        span.outcome, span.failure, span.usage = outcome, failure, USAGE
    return span


def ask(observer: Observer, claim: Claim, request: ModelRequest, reply: ModelReply | Exception = REPLY) -> None:
    span = CallSpan(claim, trace.SpanKind.MODEL_CALL, request.model, "m1", request=request)
    with observed([observer], span):
        if isinstance(reply, Exception):
            span.failed(reply)
        else:
            span.answered(reply)


def use(observer: Observer, claim: Claim, call: ToolCall | None, name: str = "look") -> None:
    span = CallSpan(claim, trace.SpanKind.TOOL_CALL, name, "t1")
    with observed([observer], span):
        if call is not None:
            span.of(call)


def test_an_attempt_is_a_span_below_its_job() -> None:
    memory = Memory()
    run(memory)
    span = memory.span
    assert (span.name, span.kind) == ("invoke_agent search", SpanKind.INTERNAL)
    assert (trace_id(span), span_id(span)) == (trace_id_of(JOB), span_id_of(JOB, "find", "1"))
    assert parent_id(span) == span_id_of(JOB)
    assert attributes(span) == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.agent.name": "search",
        "gen_ai.agent.version": "3",
        "gen_ai.request.model": CLAUDE,
        "gen_ai.aggregated_usage.input_tokens": 135,
        "gen_ai.aggregated_usage.output_tokens": 20,
        "troupe.job.id": JOB,
        "troupe.step.id": "find",
        "troupe.attempt": 1,
        "troupe.queue": "search",
        "troupe.tenant": "default",
        "troupe.worker": "w1@host",
        "troupe.outcome": "succeeded",
        "troupe.model_calls": 1,
        "troupe.tool_calls": 0,
        "troupe.cost_microusd": 77,
    }
    assert not span.events


def test_a_planning_step_is_a_plan() -> None:
    memory = Memory()
    run(memory, make_claim(StepKind.PLAN, agent="planner"))
    assert memory.span.name == "plan planner"
    assert attributes(memory.span)["gen_ai.operation.name"] == "plan"


@pytest.mark.parametrize(
    ("agent", "model", "provider", "asked"),
    [
        ("search", None, "anthropic", CLAUDE),
        ("search", "offline", "troupe", "offline"),
        ("search", "vertex/claude-haiku-4-5", "gcp.vertex_ai", "claude-haiku-4-5"),
        ("own", "offline", "aws.bedrock", "anthropic.claude-haiku-4-5"),
        ("coded", None, "troupe", None),
        ("of another worker", None, "anthropic", CLAUDE),
    ],
)
def test_an_attempt_says_whose_model_it_asks(agent: str, model: str | None, provider: str, asked: str | None) -> None:
    memory = Memory()
    claim = make_claim(model=model)
    run(memory, claim.model_copy(update={"step": claim.step.model_copy(update={"agent": agent})}))
    about = attributes(memory.span)
    assert (about["gen_ai.provider.name"], about.get("gen_ai.request.model")) == (provider, asked)


def test_a_jobs_session_is_the_conversation() -> None:
    memory = Memory()
    claim = make_claim()
    claim = claim.model_copy(update={"job": claim.job.model_copy(update={"session": "customer-17.3"})})
    run(memory, claim, work=lambda observer, claim: ask(observer, claim, a_request()))
    assert {attributes(span)["gen_ai.conversation.id"] for span in memory.spans} == {"customer-17.3"}


def test_a_join_is_linked_to_the_attempts_that_it_builds_on() -> None:
    memory = Memory()
    good = [make_input(step).model_copy(update={"attempt": at}) for step, at in (("a", 1), ("b", 3))]
    lacking = make_input("c").model_copy(update={"result": None, "status": StepStatus.FAILED, "attempt": 2})
    of_before = make_input("d")  # claimed by an orchestrator's script of the release before
    run(memory, make_claim(inputs=[*good, lacking, of_before]))
    linked = [f"{link.context.span_id:016x}" for link in memory.span.links]
    assert linked == [span_id_of(JOB, "a", "1"), span_id_of(JOB, "b", "3")]
    assert {f"{link.context.trace_id:032x}" for link in memory.span.links} == {trace_id_of(JOB)}


def test_a_delegated_step_is_below_the_attempt_that_delegated_it() -> None:
    memory = Memory()
    claim = make_claim()
    child: Step = claim.step.model_copy(update={"parent": "boss"})
    run(memory, claim.model_copy(update={"step": child, "parent_attempt": 2}))
    assert parent_id(memory.span) == span_id_of(JOB, "boss", "2")


@pytest.mark.parametrize(
    ("outcome", "failure", "error"),
    [
        ("succeeded", None, None),
        ("parked: children", None, None),
        ("stopped: draining", None, None),
        ("stopped: cancelled", None, None),
        ("failed: bad: It was Friday.", Failure(code="bad", message=SECRET), "bad"),
        ("deferred: model_unavailable: later", Failure(code="model_unavailable", message=SECRET), "model_unavailable"),
        ("refused: cancelled", None, "refused"),
        ("raised", None, "raised"),
    ],
)
def test_an_attempt_that_fails_says_so_by_its_code(outcome: str, failure: Failure | None, error: str | None) -> None:
    memory = Memory()
    run(memory, outcome=outcome, failure=failure)
    assert attributes(memory.span).get("error.type") == error
    assert memory.span.status.is_ok is (error is None)
    assert memory.span.status.description is None
    (point,) = memory.points("gen_ai.invoke_agent.duration")
    assert point.attributes.get("error.type") == error


@pytest.mark.parametrize("outcome", ["stopped: over", "stopped: superseded", "refused: over", "refused: superseded"])
def test_an_attempt_whose_lease_was_lost_is_told_by_an_orchestrator(outcome: str) -> None:
    memory = Memory()
    run(memory, outcome=outcome)
    assert memory.spans == []


def test_a_model_call_is_one_client_span_below_its_attempt() -> None:
    memory = Memory()
    run(memory, work=lambda observer, claim: ask(observer, claim, a_request(output=Found, max_tokens=17_000)))
    chat, attempt = memory.spans
    assert (chat.name, chat.kind) == (f"chat {CLAUDE}", SpanKind.CLIENT)
    assert (parent_id(chat), span_id(chat)) == (span_id(attempt), span_id_of(JOB, "find", "1", "m1"))
    assert attributes(chat) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.agent.name": "search",
        "gen_ai.request.model": CLAUDE,
        "gen_ai.request.max_tokens": 17_000,
        "gen_ai.request.stream": True,
        "gen_ai.output.type": "json",
        "gen_ai.response.id": "msg_1",
        "gen_ai.response.model": "claude-sonnet-5-5-20261001",
        "gen_ai.response.finish_reasons": ("tool_use",),
        "gen_ai.usage.input_tokens": 135,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 30,
        "gen_ai.usage.cache_creation.input_tokens": 5,
        "gen_ai.usage.cache_write.input_tokens": 5,
        "troupe.cost_microusd": 77,
    }


def test_a_model_call_that_fails_says_so_by_its_code() -> None:
    memory = Memory()
    run(memory, work=lambda observer, claim: ask(observer, claim, a_request(), ModelUnavailable(SECRET)))
    chat = memory.spans[0]
    assert attributes(chat)["error.type"] == ModelUnavailable.code
    assert not chat.status.is_ok
    assert memory.points("gen_ai.client.token.usage") == []
    (point,) = memory.points("gen_ai.client.operation.duration")
    assert point.attributes["error.type"] == ModelUnavailable.code


def test_a_tool_call_is_a_span_below_its_attempt() -> None:
    memory = Memory()
    run(memory, work=lambda observer, claim: use(observer, claim, a_tool_call()))
    tool, attempt = memory.spans
    assert (tool.name, tool.kind, parent_id(tool)) == ("execute_tool look", SpanKind.INTERNAL, span_id(attempt))
    assert attributes(tool) == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "look",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": "t1",
        "gen_ai.agent.name": "search",
        "troupe.tool.tries": 2,
    }
    assert span_id(tool) == span_id_of(JOB, "find", "1", "t1")


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"success": False, "output": None, "code": "timeout", "error": SECRET}, "timeout"),
        ({"success": False, "output": None, "code": None, "error": SECRET}, "_OTHER"),
        ({"success": True, "code": "output_too_large"}, None),
    ],
)
def test_a_tool_call_that_fails_says_so_by_its_code(fields: dict[str, Any], error: str | None) -> None:
    memory = Memory()
    run(memory, work=lambda observer, claim: use(observer, claim, a_tool_call(**fields)))
    assert attributes(memory.spans[0]).get("error.type") == error
    (point,) = memory.points("gen_ai.execute_tool.duration")
    assert point.attributes.get("error.type") == error


def test_a_tool_that_a_model_has_made_up_names_nothing() -> None:
    memory = Memory()
    call = a_tool_call(tool="merger_on_friday", success=False, output=None, code="unknown_tool", tries=0)
    run(memory, work=lambda observer, claim: use(observer, claim, call, "merger_on_friday"))
    tool = memory.spans[0]
    assert (tool.name, attributes(tool)["gen_ai.tool.name"]) == ("execute_tool _OTHER", "_OTHER")
    (point,) = memory.points("gen_ai.execute_tool.duration")
    assert point.attributes["gen_ai.tool.name"] == "_OTHER"


def test_a_tool_call_that_parks_its_step_is_told_when_it_has_ended() -> None:
    memory = Memory()
    run(memory, outcome="parked: children", work=lambda observer, claim: use(observer, claim, None, "delegate"))
    assert [span.name for span in memory.spans] == ["invoke_agent search"]
    assert memory.points("gen_ai.execute_tool.duration") == []


def test_what_other_libraries_do_in_a_tool_is_below_its_span() -> None:
    memory = Memory()

    def work(observer: TelemetryObserver, claim: Claim) -> None:
        span = CallSpan(claim, trace.SpanKind.TOOL_CALL, "look", "t1")
        with observed([observer], span):
            memory.tracing.tracer.start_span("GET").end()
            span.of(a_tool_call())

    run(memory, work=work)
    get, tool, _ = memory.spans
    assert parent_id(get) == span_id(tool)


def test_what_is_called_in_a_span_of_the_agents_own_is_below_it() -> None:
    memory = Memory()

    def work(observer: TelemetryObserver, claim: Claim) -> None:
        own = CallSpan(claim, trace.SpanKind.CUSTOM, "tidy up", "s1", attributes={"customer": SECRET})
        with observed([observer], own):
            ask(observer, claim, a_request())

    run(memory, work=work)
    chat, own, attempt = memory.spans
    assert (parent_id(chat), parent_id(own)) == (span_id(own), span_id(attempt))
    assert (own.name, attributes(own)) == ("tidy up", {"gen_ai.agent.name": "search"})


def test_a_span_of_the_agents_own_says_that_it_failed() -> None:
    memory = Memory()

    def work(observer: TelemetryObserver, claim: Claim) -> None:
        own = CallSpan(claim, trace.SpanKind.CUSTOM, "tidy up", "s1")
        with observed([observer], own):
            own.failed(ModelUnavailable(SECRET))

    run(memory, work=work)
    assert attributes(memory.spans[0])["error.type"] == ModelUnavailable.code


def test_a_call_outside_of_any_attempt_finds_its_place_all_the_same() -> None:
    memory = Memory()
    ask(an_observer(memory), make_claim(), a_request())
    assert (trace_id(memory.span), parent_id(memory.span)) == (trace_id_of(JOB), span_id_of(JOB, "find", "1"))


def test_spans_of_another_trace_are_no_parents() -> None:
    """As those of an instrumentation of Celery's, in which the handler runs."""
    memory = Memory()
    with memory.tracing.tracer.start_as_current_span("run/search"):
        run(memory, work=lambda observer, claim: ask(observer, claim, a_request()))
        assert get_current_span().is_recording()
    chat, attempt, other = memory.spans
    assert trace_id(other) != trace_id(attempt) == trace_id(chat)
    assert parent_id(attempt) == span_id_of(JOB)


def test_no_word_of_what_was_said_is_sent() -> None:
    memory = Memory()

    def work(observer: TelemetryObserver, claim: Claim) -> None:
        ask(observer, claim, a_request())
        use(observer, claim, a_tool_call())
        use(observer, claim, a_tool_call(success=False, output=None, code="raised", error=SECRET))

    run(memory, outcome=f"failed: bad: {SECRET}", failure=Failure(code="bad", message=SECRET), work=work)
    sent = "".join(span.to_json() for span in memory.spans)
    for words in (SECRET, "What is it?", "You are an agent", WORDS):
        assert words not in sent


def content_of(memory: Memory) -> dict[str, JsonValue]:
    sent = {name: value for span in memory.spans for name, value in attributes(span).items()}
    wanted = ("gen_ai.input.", "gen_ai.output.messages", "gen_ai.system", "gen_ai.tool.call.a", "gen_ai.tool.call.r")
    return {name: value for name, value in sent.items() if name.startswith(wanted)}


def test_what_was_said_is_sent_where_it_is_asked_for() -> None:
    memory = Memory(content=True)

    def work(observer: TelemetryObserver, claim: Claim) -> None:
        ask(observer, claim, a_request())
        use(observer, claim, a_tool_call(input={"query": "password=hunter22x"}))

    run(memory, work=work)
    sent = content_of(memory)
    assert json.loads(str(sent["gen_ai.input.messages"])) == [
        {"role": "user", "parts": [{"type": "text", "content": f"What is it? {SECRET}"}]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "t0", "response": SECRET}]},
    ]
    said = [
        {"type": "reasoning", "content": f"Hm. {SECRET}"},
        {"type": "text", "content": SECRET},
        {"type": "tool_call", "id": "t1", "name": "look", "arguments": {"query": SECRET}},
    ]
    assert json.loads(str(sent["gen_ai.output.messages"])) == [
        {"role": "assistant", "parts": said, "finish_reason": "tool_use"}
    ]
    instructions = [{"type": "text", "content": f"You are an agent. {SECRET}"}]
    assert json.loads(str(sent["gen_ai.system_instructions"])) == instructions
    assert (sent["gen_ai.tool.call.arguments"], sent["gen_ai.tool.call.result"]) == (
        '{"query": "password=***"}',
        SECRET,
    )


def test_blocks_of_kinds_that_are_not_known_are_named_and_no_more() -> None:
    memory = Memory(content=True)
    request = a_request(system="", messages=[{"role": "user", "content": [{"type": "image", "source": SECRET}]}])
    run(memory, work=lambda observer, claim: ask(observer, claim, request, ModelUnavailable("away")))
    assert content_of(memory) == {"gen_ai.input.messages": '[{"role": "user", "parts": [{"type": "image"}]}]'}


def test_metrics_have_the_prescribed_buckets_and_the_spans_durations() -> None:
    memory = Memory()

    def work(observer: TelemetryObserver, claim: Claim) -> None:
        ask(observer, claim, a_request())
        use(observer, claim, a_tool_call())

    run(memory, work=work)
    chat, tool, attempt = memory.spans
    pairs = {
        "gen_ai.client.operation.duration": (chat, [0.01 * 2**at for at in range(14)]),
        "gen_ai.execute_tool.duration": (tool, [0.01 * 2**at for at in range(14)]),
        "gen_ai.invoke_agent.duration": (attempt, [0.1 * 2**at for at in range(13)]),
    }
    for metric, (span, buckets) in pairs.items():
        (point,) = memory.points(metric)
        assert list(point.explicit_bounds) == pytest.approx(buckets)
        assert point.sum == pytest.approx(seconds(span))
    tokens = {point.attributes["gen_ai.token.type"]: point for point in memory.points("gen_ai.client.token.usage")}
    assert {kind: point.sum for kind, point in tokens.items()} == {"input": 135, "output": 20}
    assert list(tokens["input"].explicit_bounds) == [4**at for at in range(14)]
    assert dict(tokens["input"].attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": CLAUDE,
        "gen_ai.response.model": "claude-sonnet-5-5-20261001",
        "gen_ai.agent.name": "search",
        "gen_ai.token.type": "input",
    }


def test_rules_count_no_tokens() -> None:
    memory = Memory()
    reply = ModelReply(id="m", model="offline", content=[], stop_reason="end_turn", usage=Usage(requests=1))
    run(memory, work=lambda observer, claim: ask(observer, claim, a_request("offline"), reply))
    assert memory.points("gen_ai.client.token.usage") == []
    assert attributes(memory.spans[0])["gen_ai.provider.name"] == "troupe"


def test_what_is_not_recorded_is_counted_all_the_same() -> None:
    memory = Memory(sampler=ALWAYS_OFF, content=True)
    run(memory, work=lambda observer, claim: ask(observer, claim, a_request()))
    assert memory.spans == []
    assert [point.count for point in memory.points("gen_ai.client.operation.duration")] == [1]
