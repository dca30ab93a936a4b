"""What an orchestrator says of its own work; nobody listens unless figures are wanted."""

from collections.abc import Sequence
from typing import Protocol

from tasks.store import Entry


class Watch(Protocol):
    """Is told what an orchestrator does."""

    def acted(self, entries: Sequence[Entry]) -> None:
        """These control entries were acted on just now."""
        ...

    def swept(self, seconds: float, due: int) -> None:
        """A partition was swept, and so many timers were due."""
        ...

    def failed(self, chore: str) -> None:
        """Store or broker was away for a chore: read, sweep or take_over."""
        ...


class NobodyWatches:
    """The default."""

    def acted(self, entries: Sequence[Entry]) -> None:
        """See `Watch`."""

    def swept(self, seconds: float, due: int) -> None:
        """See `Watch`."""

    def failed(self, chore: str) -> None:
        """See `Watch`."""
