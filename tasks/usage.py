"""What model and tool calls consume, what they may consume, and the ledger of what they did.

Counts of tokens are the provider's; money is whole micro-dollars.
"""

import math
from typing import Self

from pydantic import Field

from tasks.ids import StepId
from tasks.wire import Wire


class Usage(Wire):
    """What model calls consumed. Counts of tokens as the provider reports them; money in micro-dollars."""

    input_tokens: int = 0
    """Tokens of the prompt that were neither read from nor written to the provider's cache."""
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    requests: int = 0
    """Model calls that were answered."""
    tool_calls: int = 0
    cost_microusd: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cache_read_tokens=self.cache_read_tokens + other.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            requests=self.requests + other.requests,
            tool_calls=self.tool_calls + other.tool_calls,
            cost_microusd=self.cost_microusd + other.cost_microusd,
        )

    def beyond(self, other: "Usage") -> "Usage":
        """As much of it as goes beyond another one."""
        mine, theirs = self.model_dump(), other.model_dump()
        return Usage.model_validate({name: max(0, mine[name] - theirs[name]) for name in mine})

    @property
    def tokens(self) -> int:
        """All of them, cached ones included."""
        return self.input_tokens + self.output_tokens + self.cache_read_tokens + self.cache_write_tokens


class Budget(Wire):
    """The most that may be consumed; None: no limit. Each is kept before a call, by the most that the call can take."""

    cost_microusd: int | None = Field(default=None, ge=0)
    tokens: int | None = Field(default=None, ge=0)
    """Of prompts and answers, cached ones included."""
    requests: int | None = Field(default=None, ge=0)
    """Model calls."""
    tool_calls: int | None = Field(default=None, ge=0)

    @classmethod
    def of(
        cls,
        *,
        usd: float | None = None,
        tokens: int | None = None,
        requests: int | None = None,
        tool_calls: int | None = None,
    ) -> Self:
        """A budget with its money in dollars.

        Raises:
            pydantic.ValidationError: a limit is negative, or no number.
        """
        cost = None if usd is None else round(usd * 1_000_000) if math.isfinite(usd * 1_000_000) else usd
        return cls.model_validate(
            {"cost_microusd": cost, "tokens": tokens, "requests": requests, "tool_calls": tool_calls}
        )

    @property
    def endless(self) -> bool:
        """Whether it limits nothing."""
        return self == Budget()


class LedgerLine(Wire):
    """What one step has consumed with one agent and model, over all attempts: a leaf of the ledger."""

    step: StepId
    agent: str
    model: str
    """`-` for what an agent's own code counted."""
    usage: Usage


class Ledger(Wire):
    """What a job has consumed. The lines add up to its total."""

    lines: tuple[LedgerLine, ...] = ()
    unanswered: int = 0
    """Calls that were begun and whose answer nobody got, since their worker died, say: they may have cost something."""

    @property
    def total(self) -> Usage:
        """Sum of all lines."""
        return sum((line.usage for line in self.lines), Usage())
