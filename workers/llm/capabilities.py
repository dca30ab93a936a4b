"""Whether a model can do what is asked of it, by the table of models: known before the first call is paid for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, cast

from pydantic import BaseModel, PydanticUserError

from workers.llm.base import Effort, Thinking
from workers.llm.names import ModelName, Platform
from workers.llm.pricing import ModelFacts

UNTHINKING: Final = frozenset({"between_tools", "disabled"})
HARD: Final = frozenset({"xhigh", "max"})
"""Levels of effort that no model takes without thinking first."""
MIN_BUDGET: Final = 1024
"""Least tokens of `thinking: enabled`; as many must remain for the answer."""


@dataclass(frozen=True, slots=True)
class Wants:
    """What calls on behalf of an agent will ask for."""

    max_tokens: int
    output: type[BaseModel] | None = None
    server_tools: Sequence[str] = ()
    tool_choice: str | None = None
    thinking: Thinking | None = None
    effort: Effort | None = None


def lacks(model: str, facts: ModelFacts, wants: Wants) -> list[str]:
    """What the model cannot do of that; each as a phrase with what to do instead."""
    return [*_thinking(facts, wants), *_tools(model, facts, wants), *_output(facts, wants.output)]


def _thinking(facts: ModelFacts, wants: Wants) -> Iterator[str]:
    if wants.thinking is not None and wants.thinking not in facts.thinking:
        yield f"thinking={wants.thinking!r} is not possible; there is: {_list(facts.thinking)}"
    if wants.effort is not None and wants.effort not in facts.effort:
        yield f"effort={wants.effort!r} is not possible; there is: {_list(facts.effort)}"
    if wants.thinking in UNTHINKING and wants.effort in HARD:
        yield f"effort={wants.effort!r} needs thinking, and thinking={wants.thinking!r}; use effort='high' at most"
    if wants.thinking == "enabled" and min(wants.max_tokens, facts.max_output) < 2 * MIN_BUDGET:
        yield f"thinking='enabled' needs TROUPE_MAX_TOKENS of at least {2 * MIN_BUDGET}, not {wants.max_tokens}"


def _tools(model: str, facts: ModelFacts, wants: Wants) -> Iterator[str]:
    platform = ModelName.parse(model).platform
    if wants.tool_choice is not None and not facts.forced_tool_choice:
        yield f"tool_choice={wants.tool_choice!r} is not possible: tool calls cannot be demanded of it; say so in words"
    if wants.server_tools and not facts.server_tools:
        yield f"server_tools={list(wants.server_tools)!r} are not possible"
    elif wants.server_tools and platform is Platform.BEDROCK:
        yield f"server_tools={list(wants.server_tools)!r} are not possible on {platform}; use the Claude API"


def _output(facts: ModelFacts, output: type[BaseModel] | None) -> Iterator[str]:
    if output is None:
        return
    why = _unfit(output) if facts.structured_outputs else "it has no structured outputs"
    if why is not None:
        yield f"output={output.__name__} is not possible: {why}"


@lru_cache(maxsize=256)
def _unfit(output: type[BaseModel]) -> str | None:
    """Why a form cannot be asked for of any model."""
    try:
        schema = output.model_json_schema()
    except PydanticUserError as error:
        return error.message
    if _is_recursive(schema):
        return "its schema refers to itself; flatten it"
    if _has_free_keys(schema):
        # The provider's dialect has closed objects only: such a mapping would always come back empty.
        return "it has a mapping with free keys; use a list of pairs"
    return None


def _is_recursive(schema: dict[str, Any]) -> bool:
    parts = cast("dict[str, Any]", schema.get("$defs", {}))
    refers = {name: set(_references(part)) for name, part in parts.items()}
    for _ in parts:
        refers = {name: seen.union(*(refers.get(one, set[str]()) for one in seen)) for name, seen in refers.items()}
    return any(name in seen for name, seen in refers.items())


def _has_free_keys(part: object) -> bool:
    if isinstance(part, list):
        return any(map(_has_free_keys, cast("list[object]", part)))
    if not isinstance(part, dict):
        return False
    fields = cast("dict[str, object]", part)
    if fields.get("type") == "object" and fields.get("additionalProperties", False) is not False:
        return True
    return any(map(_has_free_keys, fields.values()))


def _references(part: object) -> Iterator[str]:
    if isinstance(part, dict):
        for key, value in cast("dict[str, object]", part).items():
            if key == "$ref" and isinstance(value, str):
                yield value.rpartition("/")[2]
            yield from _references(value)
    elif isinstance(part, list):
        for one in cast("list[object]", part):
            yield from _references(one)


def _list(words: Sequence[str]) -> str:
    return ", ".join(words) or "none"
