"""Starts OpenTelemetry's SDK as the environment says, and ends it within bounds. Importing this loads the SDK."""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import entry_points, version
from typing import Any, Final, TypeVar

from opentelemetry import metrics, trace
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from tasks.errors import BadSetting
from tasks.telemetry.environment import Signal, TelemetrySettings
from tasks.telemetry.instruments import Instruments
from tasks.telemetry.tracing import DerivedIds, Tracing

DELAY_MS: Final = 1000.0
"""Between two batches of spans. The SDK's own 5 s lose more with a process that is killed."""
CLOSE_WITHIN_S: Final = 3.0
"""How long a process that ends waits for what is left to be sent."""
SELDOM_S: Final = 60.0
"""At most one line in this time says that nothing can be sent."""
SENDERS: Final = ("opentelemetry.sdk._shared_internal", "opentelemetry.sdk.metrics._internal.export")
"""Loggers of the SDK that speak when nothing can be sent, beside those of exporters."""

T = TypeVar("T")


class Seldom(logging.Filter):
    """Lets one line through, and then none for a while: a collector that is down is said once, not for each batch."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self.now = now
        self.last: float | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        """See `logging.Filter`."""
        if self.last is not None and self.now() - self.last < SELDOM_S:
            return False
        self.last = self.now()
        return True


@dataclass(slots=True)
class Telemetry:
    """OpenTelemetry in one process."""

    tracing: Tracing
    instruments: Instruments
    content: bool
    """Whether spans may hold what was said."""
    providers: tuple[TracerProvider | MeterProvider, ...]
    """Those that have something to send."""
    own: bool = True
    """Whether they are ended with the process; others' are only flushed."""

    def flush(self, within_s: float = CLOSE_WITHIN_S) -> bool:
        """Send what there is; False when that took too long, and goes on. Blocks: not for the event loop."""
        return _within(within_s, [provider.force_flush for provider in self.providers])

    def close(self, within_s: float = CLOSE_WITHIN_S) -> bool:
        """Send what is left and end. False when it could not be sent in time: it is then lost."""
        done = self.flush(within_s)
        if self.own:
            done = _within(within_s if done else 0.0, [provider.shutdown for provider in self.providers]) and done
        return done


def start(service: str, instance: str, settings: TelemetrySettings) -> Telemetry | None:
    """Start what the environment asks for; None when that is nothing. Once a process, after any fork.

    Where the process's own code, or `opentelemetry-instrument`, has set providers, they are used as they are.

    Args:
        service: `service.name`, unless the environment has one.
        instance: `service.instance.id`, unless the environment has one.

    Raises:
        BadSetting: an exporter is not installed, or a variable of it is malformed.
    """
    found = trace.get_tracer_provider()
    spans, numbers = settings.exporters("traces"), settings.exporters("metrics")
    if isinstance(found, TracerProvider):
        meters = metrics.get_meter_provider()
        providers = (found, meters) if isinstance(meters, MeterProvider) else (found,)
        return Telemetry(Tracing(found), Instruments(meters), settings.content, providers, own=False)
    if not spans and not numbers:
        return None
    resource = resource_of(service, instance)
    tracers, meters = _tracers(spans, resource, settings), _meters(numbers, resource)
    providers = tuple(one for one in (tracers, meters) if one is not None)
    if tracers is not None:
        trace.set_tracer_provider(tracers)
    if meters is not None:
        metrics.set_meter_provider(meters)
    tracing = Tracing(tracers or TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False))
    return Telemetry(tracing, Instruments(meters or NoOpMeterProvider()), settings.content, providers)


def resource_of(service: str, instance: str) -> Resource:
    """What the process says of itself; what OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say wins."""
    ours = {"service.name": service, "service.instance.id": instance, "service.version": version("troupe")}
    named = OTELResourceDetector().detect().attributes
    return Resource.create({name: value for name, value in ours.items() if name not in named})


def _tracers(exporters: Iterable[str], resource: Resource, settings: TelemetrySettings) -> TracerProvider | None:
    made = [_made("traces", name, SpanExporter) for name in exporters]
    if not made:
        return None
    # Not ended at exit: that waits for half a minute where nobody listens. `Telemetry.close` does it in time.
    provider = TracerProvider(resource=resource, id_generator=DerivedIds(), shutdown_on_exit=False)
    for exporter in made:
        delay = None if settings.schedule_delay else DELAY_MS
        provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=delay))
    return provider


def _meters(exporters: Iterable[str], resource: Resource) -> MeterProvider | None:
    made = [_made("metrics", name, (MetricExporter, MetricReader)) for name in exporters]
    if not made:
        return None
    readers = [PeriodicExportingMetricReader(one) if isinstance(one, MetricExporter) else one for one in made]
    return MeterProvider(readers, resource=resource, shutdown_on_exit=False)


def _made(signal: Signal, name: str, kind: Any) -> Any:
    found = [*entry_points(group=f"opentelemetry_{signal}_exporter", name=name)]
    if not found:
        raise BadSetting(f"OTEL_{signal.upper()}_EXPORTER: no exporter {name!r} is installed for {signal}")
    try:
        exporter = found[0].load()()
    except Exception as error:  # another package's code, of any kind: whatever it says, it cannot be used
        raise BadSetting(f"OTEL_{signal.upper()}_EXPORTER: {name!r} cannot be used: {error}") from error
    if not isinstance(exporter, kind):
        raise BadSetting(f"OTEL_{signal.upper()}_EXPORTER: {name!r} is no exporter of {signal}")
    for logger in {*SENDERS, *(base.__module__ for base in type(exporter).__mro__)}:
        if logger.startswith("opentelemetry."):
            logging.getLogger(logger).addFilter(Seldom())
    return exporter


def _within(seconds: float, calls: list[Callable[[], Any]]) -> bool:
    """Call them one after the other in a thread that nobody waits for longer than that."""

    def work() -> None:
        for call in calls:
            call()

    thread = threading.Thread(target=work, name="telemetry-flush", daemon=True)
    thread.start()
    thread.join(seconds)
    return not thread.is_alive()
