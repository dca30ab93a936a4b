"""Counts of tool calls: gathered by workers, added up in the store, turned into figures for people."""

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from tasks.histogram import bucket_of
from tasks.redaction import redact_text

UNKNOWN: Final = "(unknown)"
"""Stands for every tool that does not exist: models invent names without end."""
OTHER: Final = "(other)"
"""Stands for codes, and for pairs of agent and tool, beyond those that are told apart."""
MAX_CODES: Final = 16
"""Error codes that are told apart for one tool of one agent; tools may make up their own."""
MAX_NAME_CHARS: Final = 128

_STRANGE: Final = re.compile(r"[^A-Za-z0-9_.()-]")


def plain_name(text: str) -> str:
    """A name that can be part of a field in Redis and is no secret."""
    return _STRANGE.sub("_", redact_text(text))[:MAX_NAME_CHARS] or "_"


@dataclass(slots=True)
class ToolCounts:
    """Counts of one tool, used by one agent. Of constant size, however many calls there are."""

    calls: int = 0
    succeeded: int = 0
    cut: int = 0
    """Calls that succeeded, with an output that was too large."""
    ran: int = 0
    """Calls whose tool was run; the others were refused before. Durations are of these."""
    total_us: int = 0
    buckets: Counter[int] = field(default_factory=Counter[int])
    errors: Counter[str] = field(default_factory=Counter[str])

    def note(self, duration_ms: float | None, *, code: str | None, success: bool) -> None:
        """Count one call.

        Args:
            duration_ms: None when the tool was not run.
        """
        self.calls += 1
        self.succeeded += success
        self.cut += success and code is not None
        if duration_ms is not None:
            self.ran += 1
            self.total_us += round(duration_ms * 1000)
            self.buckets[bucket_of(duration_ms)] += 1
        if not success:
            name = plain_name(code or "_")
            known = name in self.errors or len(self.errors) < MAX_CODES
            self.errors[name if known else OTHER] += 1

    def add(self, other: "ToolCounts") -> None:
        """Take over the counts of another."""
        self.calls += other.calls
        self.succeeded += other.succeeded
        self.cut += other.cut
        self.ran += other.ran
        self.total_us += other.total_us
        self.buckets.update(other.buckets)
        self.errors.update(other.errors)
