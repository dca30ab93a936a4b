"""Settings of the figures for Prometheus."""

from typing import Final

from pydantic import Field

from tasks.settings import RoomSettings

LAST_PORT: Final = 65_535
USUAL_PORT: Final = 9464
"""What `troupe up --metrics` begins with."""


class MetricsSettings(RoomSettings):
    """Figures for Prometheus."""

    metrics_port: int = Field(default=0, ge=0, le=LAST_PORT)
    """Where this process serves `/metrics`; 0: nowhere. A port that is taken, by another process of the fleet on this
    host, say, gives way to the next free one of the 100 after it."""
    metrics_host: str = Field(default="127.0.0.1", min_length=1)
    """Address to serve it on; `0.0.0.0` for all. There is no password: keep it inside."""
