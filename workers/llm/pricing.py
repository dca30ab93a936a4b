"""What model calls cost, and the limits of each model: `pricing.toml`, and over it the file that TROUPE_PRICING names.

A model without a price is refused, never counted as free.
"""

import tomllib
from collections.abc import Mapping
from datetime import date
from decimal import ROUND_CEILING, Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tasks.errors import BadSetting, UnknownModel
from workers.llm.base import Effort, Thinking
from workers.llm.names import PREFIXES, ModelName

PRICES: Final = frozenset({"input", "output", "cache_read", "long"})
ALL_EFFORTS: Final[tuple[Effort, ...]] = ("low", "medium", "high", "xhigh", "max")


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LongPrompt(_Row):
    """Prices of a request whose prompt is above a size; they hold for every token of that request."""

    above: int = Field(ge=1)
    """Tokens; the prompt counts with its cached part."""
    input: Decimal = Field(ge=0)
    output: Decimal = Field(ge=0)


class ModelFacts(_Row):
    """One model: dollars per million tokens, and limits in tokens."""

    input: Decimal = Field(ge=0)
    output: Decimal = Field(ge=0)
    cache_read: Decimal = Field(default=Decimal("0.1"), ge=0)
    """Factor of the input price for tokens that were read from the cache."""
    long: LongPrompt | None = None
    context: int = Field(default=1_000_000, ge=1)
    """Prompt and answer together."""
    max_output: int = Field(default=128_000, ge=1)
    cache_minimum: int = Field(default=1024, ge=1)
    """Tokens from which the beginning of a prompt is kept in the provider's cache."""
    rate_class: str | None = Field(default=None, min_length=1)
    """A name that models carry which share rate limits; none: it has its own."""
    retires: date | None = None
    """First day on which the provider no longer serves it."""
    successor: str | None = None
    """What the provider advises instead of one that retires."""
    thinking: tuple[Thinking, ...] = ("adaptive", "disabled")
    """Ways of thinking that may be asked for; the first one is the best for agents."""
    effort: tuple[Effort, ...] = ALL_EFFORTS
    """Levels that may be asked for."""
    structured_outputs: bool = True
    """Whether the answer's form can be asked for."""
    forced_tool_choice: bool = True
    """Whether a tool call can be demanded."""
    server_tools: bool = True
    """Whether it can use the provider's own tools."""
    bound_thinking: bool = False
    """Whether its thinking counts only after exactly what was sent before it: what is changed there must take it along.
    See https://platform.claude.com/docs/en/build-with-claude/preserved-thinking."""


class _Table(_Row):
    as_of: date
    source: str
    batch: Decimal = Field(default=Decimal("0.5"), ge=0)
    cache_write_5m: Decimal = Field(default=Decimal("1.25"), ge=0)
    cache_write_1h: Decimal = Field(default=Decimal(2), ge=0)
    web_search: Decimal = Field(default=Decimal(10), ge=0)
    """Dollars per thousand searches of the provider's own tool."""
    models: dict[str, ModelFacts]


class Pricing:
    """The price table. Immutable; read once and passed on."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        """Raises `pydantic.ValidationError` for a table of the wrong shape; `read` is the door for files."""
        self._table = _Table.model_validate(table)

    @classmethod
    def read(cls, override: Path | None = None) -> Self:
        """The built-in table, with the models (and factors) of `override` over it.

        Prices of a model are taken all together from the one or the other; its limits and abilities field by field.

        Raises:
            BadSetting: the override cannot be read or has a wrong shape.
        """
        table = _parse(files("workers.llm").joinpath("pricing.toml").read_text(encoding="utf-8"))
        if override is None:
            return cls(table)
        try:
            own = _parse(override.read_text(encoding="utf-8"))
            models = {name: _over(table["models"].get(name, {}), one) for name, one in own.get("models", {}).items()}
            return cls({**table, **own, "models": {**table["models"], **models}})
        except (
            OSError,
            ValueError,
            TypeError,
            AttributeError,
        ) as error:  # ValidationError and TOMLDecodeError are ValueErrors
            raise BadSetting(f"TROUPE_PRICING: {override} cannot be used: {_explain(error)}") from error

    @property
    def models(self) -> list[str]:
        """All ids with a price, in order."""
        return sorted(self._table.models)

    @property
    def as_of(self) -> date:
        """The day that the prices were looked up."""
        return self._table.as_of

    def facts(self, model: str) -> ModelFacts:
        """Prices and limits of a model; dated ids and those of clouds are those of their family.

        Raises:
            UnknownModel: it has no price here.
        """
        name = ModelName.parse(model)
        for key in (model, name.id, name.family):
            if key in self._table.models:
                return self._table.models[key]
        raise UnknownModel(
            f"no model {model!r}; there are: offline, {', '.join(self.models)} (also after {' '.join(PREFIXES)}); "
            "add the price of another one to the file that TROUPE_PRICING names"
        )

    def cost_microusd(
        self,
        model: str,
        *,
        input_tokens: int,
        output_tokens: int,
        cache_read_tokens: int = 0,
        cache_write_5m_tokens: int = 0,
        cache_write_1h_tokens: int = 0,
        web_searches: int = 0,
        batch: bool = False,
    ) -> int:
        """Cost of one call in micro-dollars: exact, and rounded up once, so a budget is never overdrawn by rounding.

        Args:
            input_tokens: Those that were neither read from nor written to the cache, as the API reports them.
            web_searches: Made by the provider's own tool.
            batch: The call went through the Message Batches API.

        Raises:
            UnknownModel: the model has no price here.
        """
        table, facts = self._table, self.facts(model)
        prompt = input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens
        rates: ModelFacts | LongPrompt = facts
        if facts.long is not None and prompt > facts.long.above:
            rates = facts.long
        weighted = (
            input_tokens
            + cache_read_tokens * facts.cache_read
            + cache_write_5m_tokens * table.cache_write_5m
            + cache_write_1h_tokens * table.cache_write_1h
        )
        # Dollars per million tokens are micro-dollars per token.
        cost = weighted * rates.input + output_tokens * rates.output
        cost = cost * (table.batch if batch else 1) + web_searches * table.web_search * 1000
        return int(cost.to_integral_value(ROUND_CEILING))


def _over(known: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in known.items() if name not in PRICES or "input" not in own}
    return {**kept, **own}


def _parse(text: str) -> dict[str, Any]:
    return tomllib.loads(text, parse_float=Decimal)


def _explain(error: Exception) -> str:
    if isinstance(error, ValidationError):
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        return "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults)
    return str(error)
