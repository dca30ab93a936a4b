"""Whether this process uses OpenTelemetry. Importing this loads nothing of it."""

import sys
from typing import TYPE_CHECKING

from tasks.settings import read_settings
from tasks.telemetry.environment import TelemetrySettings

if TYPE_CHECKING:
    from tasks.telemetry.setup import Telemetry


def begin(service: str, instance: str) -> "Telemetry | None":
    """OpenTelemetry of this process, started; None where neither the environment nor the process's own code asks for
    it. Once a process, after any fork. Takes some 0.3 s where it is on.

    Args:
        service: `troupe-worker` …
        instance: Name of the process.

    Raises:
        BadSetting: what the environment asks for cannot be had.
    """
    settings = read_settings(TelemetrySettings)
    asked = settings.exporters("traces") or settings.exporters("metrics")
    if not asked and not _set_by_others(settings):
        return None
    from tasks.telemetry.setup import start

    return start(service, instance, settings)


def _set_by_others(settings: TelemetrySettings) -> bool:
    """Whether an agent's module, or `opentelemetry-instrument`, may have set providers."""
    return "opentelemetry.sdk.trace" in sys.modules and settings.sdk_disabled.strip().lower() != "true"
