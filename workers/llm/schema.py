"""JSON Schemas of tools, by the Anthropic SDK's own generator. The first call loads it: 1.6 s."""

import inspect
from collections.abc import Callable
from typing import Any, cast

from pydantic import BaseModel
from pydantic.errors import PydanticUserError

from tasks.errors import InvalidTool
from workers.llm.base import JsonSchema


def schema_of(function: Callable[..., Any], model: type[BaseModel] | None = None) -> JsonSchema:
    """The schema of a function's arguments; the docstring's Args become their descriptions.

    Args:
        model: The function's one and only parameter, if it takes a model: its own schema then.

    Raises:
        InvalidTool: a parameter's type has no JSON Schema, or its name cannot be resolved.
    """
    from anthropic import beta_async_tool, beta_tool

    decorate = cast("Callable[..., Any]", beta_async_tool if inspect.iscoroutinefunction(function) else beta_tool)
    try:
        made = decorate(input_schema=model)(function) if model is not None else decorate(function)
    except (PydanticUserError, NameError, TypeError) as exc:
        name = getattr(function, "__name__", repr(function))
        raise InvalidTool(f"tool {name!r}: no JSON Schema can be made of its parameters: {exc}") from exc
    return cast("JsonSchema", made.input_schema)
