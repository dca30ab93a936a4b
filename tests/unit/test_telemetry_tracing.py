"""Identifiers of spans are derived; the decision to record a job is the same everywhere."""

from typing import Any, cast

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBasedTraceIdRatio
from opentelemetry.trace import StatusCode

from tasks.ids import JobId, new_job_id
from tasks.telemetry.tracing import Tracing, fail
from tasks.trace_ids import span_id_of, trace_id_of
from tests.support.telemetry import Memory, parent_id, span_id, trace_id

JOB = JobId("j0123456789abcdefgh3")
PRODUCER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
OWN = span_id_of("own")


def test_a_span_has_the_id_that_is_computed_for_it() -> None:
    memory = Memory()
    trace = memory.tracing.job(JOB, None)
    memory.tracing.start(trace, OWN, "a span", trace.below(span_id_of(JOB)), {}, links=[span_id_of("other")]).end()
    span = memory.span
    assert (trace_id(span), span_id(span), parent_id(span)) == (trace_id_of(JOB), OWN, span_id_of(JOB))
    assert [f"{link.context.span_id:016x}" for link in span.links] == [span_id_of("other")]


def test_a_jobs_own_span_is_at_the_top_of_its_trace() -> None:
    memory = Memory()
    trace = memory.tracing.job(JOB, None)
    memory.tracing.start(trace, OWN, "a span", trace.top(), {}).end()
    assert (trace_id(memory.span), span_id(memory.span), parent_id(memory.span)) == (trace_id_of(JOB), OWN, None)


def test_a_jobs_own_span_is_below_that_of_its_producer() -> None:
    memory = Memory()
    trace = memory.tracing.job(JOB, PRODUCER)
    memory.tracing.start(trace, OWN, "a span", trace.top(), {}).end()
    assert trace_id(memory.span) == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert (span_id(memory.span), parent_id(memory.span)) == (OWN, "00f067aa0ba902b7")


def test_spans_of_other_libraries_keep_identifiers_of_their_own() -> None:
    memory = Memory()
    trace = memory.tracing.job(JOB, None)
    with memory.tracing.tracer.start_as_current_span("another"):
        memory.tracing.start(trace, OWN, "ours", trace.top(), {}).end()
    ours, other = memory.spans
    assert span_id(ours) == OWN
    assert span_id(other) != OWN
    assert trace_id(other) != trace_id_of(JOB)


def test_a_provider_that_others_have_set_gives_our_spans_alone_our_identifiers() -> None:
    kept = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracing = Tracing(provider)
    trace = tracing.job(JOB, None)
    tracing.start(trace, OWN, "ours", trace.top(), {}).end()
    provider.get_tracer("another").start_span("another").end()
    ours, other = kept.get_finished_spans()
    assert span_id(ours) == OWN
    assert trace_id(other) != trace_id(ours)


@pytest.mark.parametrize(("flags", "sampled"), [("01", True), ("00", False)])
def test_a_job_is_recorded_as_its_producers_trace_is(flags: str, sampled: bool) -> None:
    memory = Memory(sampler=ParentBasedTraceIdRatio(0.0 if sampled else 1.0))
    assert memory.tracing.job(JOB, PRODUCER[:-2] + flags).sampled is sampled


def test_two_processes_record_the_same_jobs() -> None:
    one, other = (Memory(sampler=ParentBasedTraceIdRatio(0.5)) for _ in range(2))
    jobs = [new_job_id(0) for _ in range(64)]
    decided = [one.tracing.job(job, None).sampled for job in jobs]
    assert decided == [other.tracing.job(job, None).sampled for job in jobs]
    assert len(set(decided)) == 2


def test_spans_below_a_job_that_is_not_recorded_are_not_either() -> None:
    memory = Memory(sampler=ParentBasedTraceIdRatio(0.0))
    trace = memory.tracing.job(JOB, None)
    memory.tracing.start(trace, OWN, "a span", trace.below(span_id_of(JOB)), {}).end()
    memory.tracing.start(trace, OWN, "a span", trace.top(), {}).end()
    assert memory.spans == []
    assert not Memory(sampler=ALWAYS_OFF).tracing.job(JOB, None).sampled


def test_a_failed_span_holds_the_code_and_no_message() -> None:
    memory = Memory()
    trace = memory.tracing.job(JOB, None)
    span = memory.tracing.start(trace, OWN, "a span", trace.top(), {})
    fail(span, "model_unavailable")
    span.end()
    assert cast(Any, memory.span.attributes) == {"error.type": "model_unavailable"}
    assert (memory.span.status.status_code, memory.span.status.description) == (StatusCode.ERROR, None)
