"""What a step has called so far: how often each tool, and how often the same call with the same outcome."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

MAX_IDENTICAL: Final = 3
"""Times that one call may have one outcome; the next one is refused, and after that it may be tried afresh."""


@dataclass(slots=True)
class _Same:
    seen: int = 0
    running: int = 0
    """Calls since the outcome last changed."""
    outcome: str | None = None


@dataclass(slots=True)
class Tally:
    """Counts of one step. Takes no clock and no chance: replaying the same calls gives the same counts."""

    uses: Counter[str] = field(default_factory=Counter[str])
    _same: dict[tuple[str, str], _Same] = field(default_factory=dict[tuple[str, str], _Same])

    def occurrence(self, tool: str, text: str) -> int:
        """Count a call; says which one of its kind it is, from 1."""
        same = self._same.setdefault((tool, text), _Same())
        same.seen += 1
        return same.seen

    def repeats(self, tool: str, text: str) -> bool:
        """Whether this would be one identical call too many."""
        same = self._same.setdefault((tool, text), _Same())
        same.running += 1
        if same.running <= MAX_IDENTICAL:
            return False
        same.running = 0
        return True

    def ended(self, tool: str, text: str, outcome: str) -> None:
        """Note what a call gave; one whose outcome changes (a status that is polled) is no repetition."""
        same = self._same.setdefault((tool, text), _Same())
        if outcome != same.outcome:
            same.outcome, same.running = outcome, 1
