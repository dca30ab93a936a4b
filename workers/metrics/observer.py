"""Takes figures from what running attempts do."""

from collections.abc import Generator
from contextlib import contextmanager

from tasks.trace import SpanKind
from workers.llm.turn_waits import measuring_waits
from workers.metrics.figures import WorkerFigures
from workers.spans import AttemptSpan, CallSpan
from workers.tools.codes import Code


class MetricsObserver:
    """See `Observer`."""

    def __init__(self, figures: WorkerFigures) -> None:
        self._figures = figures

    @contextmanager
    def attempt(self, span: AttemptSpan) -> Generator[None]:
        """See `Observer.attempt`."""
        yield
        self._figures.attempt(span.claim.step.agent, span.outcome.partition(":")[0])

    @contextmanager
    def call(self, span: CallSpan) -> Generator[None]:
        """See `Observer.call`."""
        with measuring_waits() as waits:
            yield
        if span.duration_ms is None:  # its step was parked in it
            return
        seconds, agent = span.duration_ms / 1000, span.claim.step.agent
        if span.kind is SpanKind.MODEL_CALL:
            self._figures.model_call(agent, span.name, span.code, seconds, waits.seconds)
        elif span.kind is SpanKind.TOOL_CALL and span.tool_call is not None:
            made_up = span.code == Code.UNKNOWN_TOOL and span.tool_call.tries == 0
            self._figures.tool_call(None if made_up else span.name, span.code, seconds)
