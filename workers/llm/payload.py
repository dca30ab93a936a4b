"""A `ModelRequest` as arguments of the SDK's `messages.create`. Same request, same bytes: the cache depends on it."""

from typing import Any, Final

from pydantic import BaseModel, PydanticUserError

from tasks.errors import ContractError
from workers.llm.base import JsonSchema, ModelRequest

STREAM_ABOVE: Final = 16_000
"""Output tokens above which an answer is streamed: a silent connection of more than about five minutes is cut by many a
proxy, and the SDK refuses to wait unstreamed for more than 21,333."""


def payload(request: ModelRequest, *, model: str, max_output: int) -> dict[str, Any]:
    """Arguments of one call. Messages go through untouched; tools are ordered by name; no sampling parameters.

    Args:
        model: Id as the platform knows it.
        max_output: What the model can at most.

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
    if request.tools:
        arguments["tools"] = [
            {"name": tool.name, "description": tool.description, "input_schema": tool.input_schema}
            for tool in sorted(request.tools, key=lambda tool: tool.name)
        ]
    if request.output is not None:
        arguments["output_config"] = {"format": {"type": "json_schema", "schema": output_schema(request.output)}}
    return arguments


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
