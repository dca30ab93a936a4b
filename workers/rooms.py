"""All settings that a worker reads, so that a wrong one ends it at start and not in the middle of a step."""

from typing import Final

from tasks.logs import LogSettings
from tasks.metrics.settings import MetricsSettings
from tasks.outbound.settings import OutboundSettings
from tasks.settings import RoomSettings, StoreSettings, read_settings
from tasks.signing import SigningSettings
from tasks.telemetry.environment import TelemetrySettings
from workers.knowledge.settings import KnowledgeSettings
from workers.llm.settings import ModelSettings
from workers.settings import WorkerSettings
from workers.tools.mcp_settings import McpSettings
from workers.tools.table_settings import TableSettings

ROOMS: Final[tuple[type[RoomSettings], ...]] = (
    StoreSettings,
    LogSettings,
    MetricsSettings,
    WorkerSettings,
    ModelSettings,
    KnowledgeSettings,
    McpSettings,
    TableSettings,
    SigningSettings,
    TelemetrySettings,
    OutboundSettings,
)


def check_settings() -> None:
    """Read the settings of every room.

    Raises:
        BadSetting: one is wrong; names the variable.
    """
    for room in ROOMS:
        read_settings(room)
