"""W3C trace context: where a producer's trace goes into a job, and a job's trace into its messages.

https://www.w3.org/TR/trace-context/. Within the fleet nothing travels: `tasks.trace_ids` computes the same identifiers
everywhere.
"""

import sys
from typing import Final, NamedTuple, Protocol, cast

from tasks.ids import JobId
from tasks.trace_ids import TRACEPARENT, span_id_of, trace_id_of

HEADER: Final = "traceparent"
SAMPLED: Final = 1
"""Flag of a trace that is recorded."""


class _SpanContext(Protocol):
    trace_id: int
    span_id: int
    trace_flags: int
    is_valid: bool


class Remote(NamedTuple):
    """A span of another process."""

    trace: str
    span: str
    flags: int

    @property
    def traceparent(self) -> str:
        """The header that names it."""
        return f"00-{self.trace}-{self.span}-{self.flags:02x}"


def read_traceparent(header: str | None) -> Remote | None:
    """The span that a header names; None for one that is not valid, as the standard asks."""
    text = header.strip() if header else ""
    if TRACEPARENT.fullmatch(text) is None:
        return None
    return Remote(text[3:35], text[36:52], int(text[53:55], 16))


def current_traceparent() -> str | None:
    """The span that the caller is in, if its process uses OpenTelemetry and is in one; loads nothing."""
    api = sys.modules.get("opentelemetry.trace")
    if api is None:
        return None
    here = cast("_SpanContext", api.get_current_span().get_span_context())
    if not here.is_valid:
        return None
    return Remote(f"{here.trace_id:032x}", f"{here.span_id:016x}", int(here.trace_flags) & 0xFF).traceparent


def job_traceparent(job: JobId, given: str | None, *, sampled: bool) -> str:
    """The header that names a job's own span, for what is done on its behalf.

    Args:
        given: What its producer was in.
    """
    return Remote(trace_id_of(job, given), span_id_of(job), SAMPLED if sampled else 0).traceparent
