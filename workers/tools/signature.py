"""What a function's signature and docstring say of it as a tool."""

import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

from pydantic import BaseModel

from tasks.errors import InvalidTool


def input_model_of(function: Callable[..., Any]) -> type[BaseModel] | None:
    """The model that is the function's one and only parameter; None: it takes arguments of its own."""
    parameters = list(inspect.signature(function).parameters.values())
    if len(parameters) != 1:
        return None
    try:
        annotation = get_type_hints(function).get(parameters[0].name)
    except (NameError, TypeError):
        return None  # Said better when the schema is made.
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def describe(function: Callable[..., Any]) -> str:
    """The docstring as the model gets it: summary and explanation, without Args, Returns and Raises."""
    import docstring_parser

    parsed = docstring_parser.parse(function.__doc__ or "")
    return "\n\n".join(part for part in (parsed.short_description, parsed.long_description) if part)


def check_parameters(label: str, target: Callable[..., Any]) -> None:
    """See that a model can give every parameter.

    Raises:
        InvalidTool: one that cannot be given by name.
    """
    for parameter in inspect.signature(target).parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise InvalidTool(f"tool {label!r}: parameter {str(parameter)!r} cannot be given by name, as a model does")
