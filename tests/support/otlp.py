"""An OpenTelemetry collector on loopback: takes OTLP over HTTP, and keeps what it got."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self, cast

from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

KINDS = {1: "INTERNAL", 2: "SERVER", 3: "CLIENT", 4: "PRODUCER", 5: "CONSUMER"}


@dataclass(frozen=True, slots=True)
class Received:
    """One span."""

    trace: str
    id: str
    parent: str
    name: str
    kind: str
    begun_ns: int
    ended_ns: int
    attributes: dict[str, Any]
    links: tuple[str, ...]
    failed: bool
    service: str
    instance: str
    scope: str

    @property
    def operation(self) -> str:
        """`chat` …"""
        return str(self.attributes.get("gen_ai.operation.name", ""))

    @property
    def agent(self) -> str:
        """Whose attempt it is, or belongs to."""
        return str(self.attributes.get("gen_ai.agent.name", ""))


class Collector:
    """Use it as a context manager."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.bodies: list[tuple[str, bytes]] = []
        """Path and content of each request."""
        self.repeated = 0
        """Requests that came again: an exporter that had no answer in time sends the same bytes once more."""
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.take(self.path, body)
                self.send_response(collector.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object, **__: object) -> None:
                """Nothing on stderr."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)

    def take(self, path: str, body: bytes) -> None:
        """Keep a request, unless it is a repetition."""
        if (path, body) in self.bodies:
            self.repeated += 1
        else:
            self.bodies.append((path, body))

    @property
    def url(self) -> str:
        """For OTEL_EXPORTER_OTLP_ENDPOINT."""
        return f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def spans(self) -> list[Received]:
        """All spans so far, as they came."""
        return [span for path, body in list(self.bodies) if path == "/v1/traces" for span in _spans(body)]

    def of(self, operation: str) -> list[Received]:
        """Spans of one operation."""
        return [span for span in self.spans if span.operation == operation]

    @property
    def counts(self) -> dict[str, int]:
        """Metric → recordings, by the last that each process sent."""
        last: dict[tuple[str, str], int] = {}
        for path, body in list(self.bodies):
            if path == "/v1/metrics":
                last.update(_counts(body))
        names = {name for name, _ in last}
        return {name: sum(count for (one, _), count in last.items() if one == name) for name in names}


def _spans(body: bytes) -> Iterator[Received]:
    request = cast(Any, trace_service_pb2).ExportTraceServiceRequest()
    request.ParseFromString(body)
    for resource in request.resource_spans:
        about = _attributes(resource.resource.attributes)
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Received(
                    trace=span.trace_id.hex(),
                    id=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    name=span.name,
                    kind=KINDS[span.kind],
                    begun_ns=span.start_time_unix_nano,
                    ended_ns=span.end_time_unix_nano,
                    attributes=_attributes(span.attributes),
                    links=tuple(link.span_id.hex() for link in span.links),
                    failed=span.status.code == 2,
                    service=str(about.get("service.name")),
                    instance=str(about.get("service.instance.id")),
                    scope=scope.scope.name,
                )


def _counts(body: bytes) -> Iterator[tuple[tuple[str, str], int]]:
    request = cast(Any, metrics_service_pb2).ExportMetricsServiceRequest()
    request.ParseFromString(body)
    for resource in request.resource_metrics:
        instance = str(_attributes(resource.resource.attributes).get("service.instance.id"))
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                yield (metric.name, instance), sum(point.count for point in metric.histogram.data_points)


def _attributes(pairs: Sequence[Any]) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    found = getattr(value, kind)
    return [_value(one) for one in found.values] if kind == "array_value" else found
