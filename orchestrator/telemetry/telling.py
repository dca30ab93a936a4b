"""Whether an orchestrator uses OpenTelemetry. Importing this loads nothing of it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.scheduling.dispatch import Headers
from tasks.store import Snapshots, Store
from tasks.telemetry.switch import begin

if TYPE_CHECKING:
    from orchestrator.telemetry.workflows import Workflows

SERVICE = "troupe-orchestrator"


@dataclass(frozen=True, slots=True)
class Telling:
    """What an orchestrator does for OpenTelemetry."""

    headers: Headers
    workflows: "Workflows"


def tell(store: Store, name: str) -> Telling | None:
    """What this replica does for OpenTelemetry; None where it is off."""
    telemetry = begin(SERVICE, name)
    if telemetry is None:
        return None
    from orchestrator.telemetry.headers import TraceHeaders
    from orchestrator.telemetry.workflows import Workflows

    return Telling(TraceHeaders(telemetry.tracing, Snapshots(store)).of, Workflows(telemetry, store, name))
