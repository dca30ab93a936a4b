"""Whether this process uses OpenTelemetry. Importing this loads nothing of it."""

import sys
from typing import TYPE_CHECKING

import structlog

from tasks.errors import BadSetting
from tasks.settings import read_settings
from tasks.telemetry.environment import TelemetrySettings

log = structlog.get_logger("telemetry")

if TYPE_CHECKING:
    from tasks.telemetry.setup import Telemetry


def begin(service: str, instance: str) -> "Telemetry | None":
    """OpenTelemetry of this process, started; None where neither the environment nor the process's own code asks for
    it, or what it asks for cannot be had, which is logged. Once a process, after any fork. Takes some 0.3 s.

    Args:
        service: `troupe-worker` …
        instance: Name of the process.
    """
    settings = read_settings(TelemetrySettings)
    if not settings.asked and not _set_by_others(settings):
        return None
    try:
        from tasks.telemetry.setup import start

        telemetry = start(service, instance, settings)
    except ImportError as error:
        log.error("telemetry_is_off", reason=f"pip install 'troupe[otel]' installs what it needs ({error})")
        return None
    except BadSetting as error:  # what only looks on must not cost the work
        log.error("telemetry_is_off", reason=str(error))
        return None
    if telemetry is not None:
        log.info("telemetry_is_on", service=service, content=settings.content)
    return telemetry


def _set_by_others(settings: TelemetrySettings) -> bool:
    """Whether an agent's module, or `opentelemetry-instrument`, may have set providers."""
    return "opentelemetry.sdk.trace" in sys.modules and not settings.off
