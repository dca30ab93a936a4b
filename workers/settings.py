"""Settings of a worker process."""

from datetime import timedelta

from pydantic import Field

from tasks.settings import RoomSettings


class WorkerSettings(RoomSettings):
    """What a worker offers, and how it stops."""

    agents: str = ""
    """Modules with own agents, separated by commas; importable names, looked up also in the working directory."""
    concurrency: int = Field(default=50, ge=1, le=5000)
    """Attempts at the same time in one process. Steps wait for models, so many threads cost little."""
    drain_s: float = Field(default=20.0, ge=0)
    """How long a stopping worker lets its attempts go on before it hands them back."""
    task_events: bool = False
    """Send events for Flower from the start. Without it Flower switches them on, some seconds after both have started.
    They cost a fifth of what a message costs."""
    settle_s: float = Field(default=180.0, gt=0)
    """How long a finished attempt waits for a store that is away before its result is dropped and it runs again."""
    approval_expires_s: float = Field(default=0.0, ge=0)
    """How long a step waits for what it asks people: approvals and answers. Tools and agents may say otherwise. 0: as
    long as the step and its job may take."""

    @property
    def approval_expires(self) -> timedelta | None:
        """The same, as a time."""
        return timedelta(seconds=self.approval_expires_s) if self.approval_expires_s > 0 else None

    @property
    def agent_modules(self) -> tuple[str, ...]:
        """The modules, in order."""
        return tuple(name.strip() for name in self.agents.split(",") if name.strip())
