"""OpenTelemetry in memory: what a process would have sent."""

from collections.abc import Mapping
from typing import Any, cast

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler

from tasks.telemetry.instruments import Instruments
from tasks.telemetry.setup import Telemetry
from tasks.telemetry.tracing import Tracing


class Memory:
    """Keeps spans and metrics."""

    def __init__(self, *, content: bool = False, sampler: Sampler = ALWAYS_ON) -> None:
        self.exporter = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        tracers = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        meters = MeterProvider([self.reader], shutdown_on_exit=False)
        self.tracing = Tracing(tracers)
        self.telemetry = Telemetry(self.tracing, Instruments(meters), content, (tracers, meters), own=False)

    @property
    def spans(self) -> list[ReadableSpan]:
        """Those that have ended, in that order."""
        return list(self.exporter.get_finished_spans())

    @property
    def span(self) -> ReadableSpan:
        """The only one."""
        (span,) = self.spans
        return span

    def points(self, metric: str) -> list[Any]:
        """Data points of a histogram."""
        data: Any = self.reader.get_metrics_data()
        if data is None:
            return []
        found = [one for resource in data.resource_metrics for scope in resource.scope_metrics for one in scope.metrics]
        return [point for one in found if one.name == metric for point in one.data.data_points]


def span_id(span: ReadableSpan) -> str:
    """Sixteen hexadecimal digits."""
    return f"{cast(Any, span.context).span_id:016x}"


def parent_id(span: ReadableSpan) -> str | None:
    """The same of its parent; None: it has none."""
    return None if span.parent is None else f"{span.parent.span_id:016x}"


def trace_id(span: ReadableSpan) -> str:
    """Thirty-two hexadecimal digits."""
    return f"{cast(Any, span.context).trace_id:032x}"


def attributes(span: ReadableSpan) -> Mapping[str, Any]:
    """What is said of it."""
    return cast("Mapping[str, Any]", span.attributes or {})


def seconds(span: ReadableSpan) -> float:
    """How long it took."""
    return (cast(int, span.end_time) - cast(int, span.start_time)) / 1e9
