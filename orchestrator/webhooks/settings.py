"""Settings of webhooks."""

from datetime import timedelta
from typing import Final

from pydantic import Field

from tasks.settings import RoomSettings

FIRST_PAUSE: Final = timedelta(seconds=10)
LONGEST_PAUSE: Final = timedelta(hours=2)


class WebhookSettings(RoomSettings):
    """How receivers of webhooks are told. Read by the processes that serve the API."""

    webhook_timeout_s: float = Field(default=15.0, gt=0, le=60)
    """Longest delivery, in seconds."""
    webhook_give_up_s: float = Field(default=86_400.0, ge=0, le=604_800)
    """How long a delivery is tried again, with pauses that grow from 10 s to 2 h; then it is dropped and logged."""
    webhook_at_once: int = Field(default=32, ge=1, le=1000)
    """Deliveries of one process at the same time; to one host a quarter of that at most."""

    @property
    def lease(self) -> timedelta:
        """How long a delivery that was taken is left to who took it: longer than it can take."""
        return timedelta(seconds=2 * self.webhook_timeout_s + 30)

    def pause(self, tries: int, chance: float) -> timedelta:
        """The pause after so many tries; half of it by chance (0 to 1), so that not all come back at once."""
        whole = min(FIRST_PAUSE * 2 ** min(tries, 20), LONGEST_PAUSE)
        return whole * (0.5 + chance / 2)
