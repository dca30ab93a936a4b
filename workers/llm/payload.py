"""A `ModelRequest` as arguments of the SDK's `messages.create`. Same request, same bytes: the cache depends on it."""

from functools import lru_cache
from typing import Any, Final

from pydantic import BaseModel, PydanticUserError

from tasks.errors import ContractError
from workers.llm.base import JsonSchema, ModelRequest
from workers.llm.breakpoints import Ttl, mark
from workers.llm.capabilities import MIN_BUDGET

STREAM_ABOVE: Final = 16_000
"""Output tokens above which an answer is streamed: a silent connection of more than about five minutes is cut by many a
proxy, and the SDK refuses to wait unstreamed for more than 21,333."""


def payload(request: ModelRequest, *, model: str, max_output: int, cache: Ttl | None = None) -> dict[str, Any]:
    """Arguments of one call. Messages go through untouched; tools are ordered by name; no sampling parameters.

    Args:
        model: Id as the platform knows it.
        max_output: What the model can at most.
        cache: How long what conversations share is kept in the provider's cache; None: no breakpoints.

    Raises:
        ContractError: no schema can be made of `request.output`.
    """
    arguments: dict[str, Any] = {
        "model": model,
        "max_tokens": min(request.max_tokens, max_output),
        "messages": list(request.messages),
    }
    if request.system:
        arguments["system"] = request.system
    if request.tools or request.server_tools:
        arguments["tools"] = _tools(request)
    if request.tool_choice is not None:
        named = {"type": "tool", "name": request.tool_choice}
        arguments["tool_choice"] = {"type": "any"} if request.tool_choice == "any" else named
    if request.thinking is not None:
        budget = {"budget_tokens": max(MIN_BUDGET, arguments["max_tokens"] // 2)}
        arguments["thinking"] = {"type": request.thinking, **(budget if request.thinking == "enabled" else {})}
    if request.output is not None or request.effort is not None:
        arguments["output_config"] = _output_config(request)
    if request.container is not None:
        arguments["container"] = request.container
    if cache is not None and request.cache:
        mark(arguments, cache, shared_chars=request.shared_chars)
    return arguments


def _tools(request: ModelRequest) -> list[JsonSchema]:
    own: list[JsonSchema] = [
        {"name": tool.name, "description": tool.description, "input_schema": tool.input_schema}
        for tool in sorted(request.tools, key=lambda tool: tool.name)
    ]
    return own + sorted(request.server_tools, key=lambda tool: str(tool.get("name")))


def _output_config(request: ModelRequest) -> JsonSchema:
    config: JsonSchema = {}
    if request.effort is not None:
        config["effort"] = request.effort
    if request.output is not None:
        config["format"] = {"type": "json_schema", "schema": output_schema(request.output)}
    return config


@lru_cache(maxsize=256)
def output_schema(output: type[BaseModel]) -> JsonSchema:
    """The model's schema in the dialect of structured outputs: closed objects, no bounds (those go into descriptions).

    Raises:
        ContractError: it has a field of any type, say, for which there is no such schema.
    """
    from anthropic import transform_schema

    try:
        return transform_schema(output)
    except (ValueError, PydanticUserError) as error:
        raise ContractError(f"{output.__name__} cannot be asked for as structured output: {error}") from error
