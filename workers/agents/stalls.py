"""Notices when a model goes round in circles: the same tool calls over and over, alone or in turns."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from workers.agents.blocks import Block
from workers.tools.base import ToolCall
from workers.tools.codes import Code
from workers.tools.current import canonical

WARN_AFTER: Final = 3
"""Rounds of the same calls with the same outcomes after which the model is told so."""
GIVE_UP_AFTER: Final = 6
CHANGING: Final = 2
"""Factor for calls whose outcomes change: asking for a state until it is the wanted one is no circle, for a while."""
LONGEST_CIRCLE: Final = 3
"""Turns in one round: A, B, C, A, B, C …"""

Round = tuple[tuple[str, str | None], ...]
"""The calls of one turn, each with its outcome; None: not made, for it had been made too often."""


@dataclass(frozen=True, slots=True)
class Circle:
    """That the last turns repeat."""

    rounds: int
    hopeless: bool
    """It was said before and did not help."""

    @property
    def warning(self) -> str:
        """What the model is told."""
        return (
            f"You have made the same tool calls {self.rounds} times over. They bring nothing new: change the call, use "
            "another tool, or write your answer with what you have."
        )


@dataclass(slots=True)
class Stalls:
    """What one conversation has called, turn by turn."""

    turns: list[Round] = field(default_factory=list[Round])

    def add(self, calls: Sequence[Block], records: Sequence[ToolCall]) -> Circle | None:
        """Take one turn's calls with their outcomes, in the same order; says whether they close a circle again."""
        turn: list[tuple[str, str | None]] = []
        for call, record in zip(calls, records, strict=True):
            outcome = record.output if record.success else record.error
            made = f"{call.get('name')} {canonical(call.get('input'))}"
            turn.append((made, None if record.code == Code.REPEATED_CALL else outcome or ""))
        self.turns.append(tuple(turn))
        same = max(self._rounds(length, same_outcome=True) for length in range(1, LONGEST_CIRCLE + 1))
        changing = max(self._rounds(length, same_outcome=False) for length in range(1, LONGEST_CIRCLE + 1))
        if same >= WARN_AFTER or changing >= WARN_AFTER * CHANGING:
            return Circle(changing, same >= GIVE_UP_AFTER or changing >= GIVE_UP_AFTER * CHANGING)
        return None

    def _rounds(self, length: int, *, same_outcome: bool) -> int:
        """How often in a row the last `length` turns have been made."""
        count, at = 1, len(self.turns) - length
        while at >= length and all(
            _alike(self.turns[at - length + step], self.turns[at + step], same_outcome) for step in range(length)
        ):
            count, at = count + 1, at - length
        return count


def _alike(one: Round, other: Round, same_outcome: bool) -> bool:
    if [made for made, _ in one] != [made for made, _ in other]:
        return False
    pairs = zip(one, other, strict=True)
    return not same_outcome or all(None in (a, b) or a == b for (_, a), (_, b) in pairs)
