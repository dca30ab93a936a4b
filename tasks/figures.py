"""What the whole fleet counted, exact: the store counts in the same moves that change the state."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import AwareDatetime

from tasks.histogram import middle_of
from tasks.usage import Usage
from tasks.wire import Wire


@dataclass(slots=True)
class Durations:
    """How long things took."""

    count: int = 0
    buckets: Counter[int] = field(default_factory=Counter[int])
    """By `tasks.histogram.bucket_of`."""

    @property
    def total_ms(self) -> float:
        """All together, from the middles of the buckets: off by less than 5 percent."""
        return sum(middle_of(bucket) * count for bucket, count in self.buckets.items())


@dataclass(slots=True)
class FleetFigures:
    """Counts since ever, or in a window of time."""

    since: datetime | None
    """None: since ever."""
    until: datetime
    attempts: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    """(agent, outcome) of attempts that ended: succeeded, failed, lost, returned, parked; cancelled: with
    its job."""
    steps: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    """(agent, status) of steps that ended: succeeded, failed, skipped, cancelled."""
    running: dict[tuple[str, str], Durations] = field(default_factory=dict[tuple[str, str], Durations])
    """(agent, outcome) → from the claim to the end of the attempt."""
    dispatch: dict[str, Durations] = field(default_factory=dict[str, Durations])
    """Queue → from ready to dispatched: slots, and the orchestrator."""
    pickup: dict[str, Durations] = field(default_factory=dict[str, Durations])
    """Queue → from dispatched to claimed: broker and busy workers."""
    retries: Counter[str] = field(default_factory=Counter[str])
    """Queue → attempts that are to follow one that failed or was lost."""
    dropped: Counter[str] = field(default_factory=Counter[str])
    """Queue → messages that came twice or too late."""
    refused: Counter[str] = field(default_factory=Counter[str])
    """Kind of budget (cost, tokens, requests, tool_calls) → calls that it did not allow."""
    usage: dict[tuple[str, str], Usage] = field(default_factory=dict[tuple[str, str], Usage])
    """(agent, model) → what calls consumed; the same numbers as in the ledgers."""
    unanswered: int = 0
    """Model calls whose answer nobody got."""
    jobs: Counter[str] = field(default_factory=Counter[str])
    """`submitted`, and the final statuses: jobs that came there. One that was reopened ends again."""
    job_times: Durations = field(default_factory=Durations)
    """From submit to the end."""
    tenants: dict[str, Usage] = field(default_factory=dict[str, Usage])
    """Tenant → what its jobs consumed. Jobs without a tenant are in none. Beyond 1,000 names, of tenants as of agents,
    models and queues, the rest is `(other)`."""
    tenant_jobs: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    """(tenant, `submitted` or final status)."""


class QueueFigures(Wire):
    """One queue, as the store has it now."""

    queue: str
    ready: int
    """Steps that may begin, and wait for a slot or the orchestrator."""
    dispatched: int
    """Steps whose message waits in the broker, or is on its way."""
    running: int
    oldest_ready: AwareDatetime | None
    """Since when the one that has been ready for longest is."""
    oldest_dispatched: AwareDatetime | None
