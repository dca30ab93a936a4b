"""A producer's trace goes into its job, and the job's trace into messages."""

from opentelemetry.sdk.trace import TracerProvider

from tasks.ids import JobId
from tasks.telemetry.propagation import Remote, current_traceparent, job_traceparent, read_traceparent
from tasks.trace_ids import span_id_of, trace_id_of

JOB = JobId("j0123456789abcdefgh3")
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_a_header_is_read_as_it_was_written() -> None:
    header = f"00-{TRACE}-{SPAN}-01"
    assert read_traceparent(f" {header} ") == Remote(TRACE, SPAN, 1)
    assert Remote(TRACE, SPAN, 1).traceparent == header


def test_a_header_that_is_not_valid_names_nothing() -> None:
    assert read_traceparent(f"00-{TRACE}-{'0' * 16}-01") is None
    assert read_traceparent(None) is None


def test_a_producer_that_is_in_a_span_says_so() -> None:
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("test")
    assert current_traceparent() is None
    with tracer.start_as_current_span("request") as span:
        here = read_traceparent(current_traceparent())
    assert here is not None
    assert (int(here.trace, 16), int(here.span, 16)) == (
        span.get_span_context().trace_id,
        span.get_span_context().span_id,
    )
    assert here.flags & 1


def test_a_message_names_the_span_of_its_job() -> None:
    assert job_traceparent(JOB, None, sampled=True) == f"00-{trace_id_of(JOB)}-{span_id_of(JOB)}-01"
    assert job_traceparent(JOB, f"00-{TRACE}-{SPAN}-01", sampled=False) == f"00-{TRACE}-{span_id_of(JOB)}-00"
