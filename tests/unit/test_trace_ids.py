"""Identifiers of traces and spans."""

from hashlib import sha256
from typing import Any

import pytest

from tasks import trace_ids
from tasks.ids import JobId
from tasks.trace_ids import span_id_of, trace_id_of

JOB = JobId("j0123456789abcdefgh3")
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_a_job_has_the_same_trace_in_every_process() -> None:
    assert trace_id_of(JOB) == sha256(b"troupe-trace:" + JOB.encode()).hexdigest()[:32]


def test_two_jobs_have_two_traces() -> None:
    assert trace_id_of(JOB) != trace_id_of(JobId("j0123456789abcdefgh4"))


def test_a_span_has_the_same_id_in_every_process() -> None:
    assert span_id_of("a", "b") == sha256(b"troupe-span:a\x1fb").hexdigest()[:16]


def test_the_parts_of_a_span_do_not_run_together() -> None:
    assert len({span_id_of("ab", "c"), span_id_of("a", "bc"), span_id_of("abc")}) == 3


@pytest.mark.parametrize(
    "header",
    [
        f"00-{TRACE}-{SPAN}-01",
        f" 00-{TRACE}-{SPAN}-00 ",
        f"01-{TRACE}-{SPAN}-01-of-a-later-version",
    ],
)
def test_a_job_joins_the_trace_of_whoever_submitted_it(header: str) -> None:
    assert trace_id_of(JOB, header) == TRACE


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "no header",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"01-{TRACE}-{SPAN}-01more",
        f"00-{TRACE}-{SPAN}",
    ],
)
def test_a_header_that_is_not_valid_counts_as_none(header: str | None) -> None:
    assert trace_id_of(JOB, header) == trace_id_of(JOB)


def test_no_id_is_all_zeros(monkeypatch: pytest.MonkeyPatch) -> None:
    class Zeros:
        def hexdigest(self) -> str:
            return "0" * 64

    def zeros(_data: bytes) -> Any:
        return Zeros()

    monkeypatch.setattr(trace_ids, "sha256", zeros)
    assert (trace_id_of(JOB), span_id_of("a")) == ("0" * 31 + "1", "0" * 15 + "1")
