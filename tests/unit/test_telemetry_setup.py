"""Providers are made as the environment says, used as others have set them, and ended within bounds."""

import logging
import threading
from collections.abc import Sequence

import pytest
from opentelemetry import metrics, trace
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from tasks.errors import BadSetting
from tasks.ids import JobId
from tasks.settings import read_settings
from tasks.telemetry import setup
from tasks.telemetry.environment import TelemetrySettings
from tasks.telemetry.instruments import Instruments
from tasks.telemetry.setup import SELDOM_S, Seldom, Telemetry, start
from tasks.telemetry.tracing import Tracing

JOB = JobId("j0123456789abcdefgh3")


class Globals:
    """Stands in for the providers of the process, which can be set once only."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tracers: object = None
        self.meters: object = NoOpMeterProvider()
        monkeypatch.setattr(trace, "get_tracer_provider", lambda: self.tracers)
        monkeypatch.setattr(metrics, "get_meter_provider", lambda: self.meters)
        monkeypatch.setattr(trace, "set_tracer_provider", self.set_tracers)
        monkeypatch.setattr(metrics, "set_meter_provider", self.set_meters)

    def set_tracers(self, provider: object) -> None:
        self.tracers = provider

    def set_meters(self, provider: object) -> None:
        self.meters = provider


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Globals:
    return Globals(monkeypatch)


class Stuck(SpanExporter):
    """A collector that takes what it is sent and never answers."""

    def __init__(self) -> None:
        self.asked, self.let_go = threading.Event(), threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.asked.set()
        self.let_go.wait(30)
        return SpanExportResult.FAILURE


def test_one_signal_can_be_on_without_the_other(process: Globals, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    telemetry = start("troupe-worker", "w1", read_settings(TelemetrySettings))
    assert telemetry is not None
    assert telemetry.providers == (process.tracers,)
    telemetry.tracing.provider.shutdown()
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "console")
    process.tracers = None
    telemetry = start("troupe-worker", "w1", read_settings(TelemetrySettings))
    assert telemetry is not None
    assert telemetry.providers == (process.meters,)
    assert not telemetry.tracing.job(JOB, None).sampled
    assert isinstance(process.meters, MeterProvider)
    process.meters.shutdown()


def test_without_any_nothing_is_made(process: Globals) -> None:
    assert start("troupe-worker", "w1", read_settings(TelemetrySettings)) is None
    assert process.tracers is None


def test_providers_that_others_have_set_are_used_and_left_open(process: Globals) -> None:
    process.tracers = TracerProvider(shutdown_on_exit=False)
    telemetry = start("troupe-worker", "w1", read_settings(TelemetrySettings))
    assert telemetry is not None
    assert telemetry.tracing.provider is process.tracers
    assert not telemetry.own


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("OTEL_TRACES_EXPORTER", "nosuch", "OTEL_TRACES_EXPORTER: no exporter 'nosuch' is installed for traces"),
        ("OTEL_METRICS_EXPORTER", "nosuch", "OTEL_METRICS_EXPORTER: no exporter 'nosuch' is installed for metrics"),
    ],
)
def test_an_exporter_that_is_not_installed_is_named(
    variable: str, value: str, said: str, process: Globals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(BadSetting, match=said):
        start("troupe-worker", "w1", read_settings(TelemetrySettings))


def test_the_environment_names_the_process_where_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    def named(resource: Resource) -> tuple[object, object]:
        return resource.attributes["service.name"], resource.attributes["service.instance.id"]

    assert named(setup.resource_of("troupe-worker", "w1")) == ("troupe-worker", "w1")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=pod-7,team=a")
    resource = setup.resource_of("troupe-worker", "w1")
    assert named(resource) == ("shop", "pod-7")
    assert resource.attributes["team"] == "a"


def test_a_collector_that_never_answers_holds_up_neither_work_nor_the_end() -> None:
    stuck = Stuck()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(
        BatchSpanProcessor(stuck, schedule_delay_millis=1, max_queue_size=8, max_export_batch_size=4)
    )
    telemetry = Telemetry(Tracing(provider), Instruments(NoOpMeterProvider()), False, (provider,))
    trace = telemetry.tracing.job(JOB, None)
    for number in range(100):  # many more than it keeps
        telemetry.tracing.start(trace, f"{number + 1:016x}", "a span", trace.top(), {}).end()
    assert stuck.asked.wait(30)
    assert telemetry.close(within_s=0.05) is False
    stuck.let_go.set()


def test_what_there_is_is_sent_at_the_end() -> None:
    class Kept(SpanExporter):
        def __init__(self) -> None:
            self.names: list[str] = []
            self.ended = False

        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            self.names += [span.name for span in spans]
            return SpanExportResult.SUCCESS

        def shutdown(self) -> None:
            self.ended = True

    kept = Kept()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(kept, schedule_delay_millis=60_000))
    telemetry = Telemetry(Tracing(provider), Instruments(NoOpMeterProvider()), False, (provider,))
    trace = telemetry.tracing.job(JOB, None)
    telemetry.tracing.start(trace, "1" * 16, "a span", trace.top(), {}).end()
    assert telemetry.close(within_s=30)
    assert (kept.names, kept.ended) == (["a span"], True)


def test_a_collector_that_is_down_is_said_once_in_a_while() -> None:
    clock = [0.0]
    seldom = Seldom(lambda: clock[0])
    record = logging.LogRecord("x", logging.WARNING, "", 0, "down", None, None)
    assert [seldom.filter(record) for _ in range(3)] == [True, False, False]
    clock[0] = SELDOM_S
    assert seldom.filter(record)
