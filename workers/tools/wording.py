"""Inputs, outputs and errors as text that a model can act on and a store can keep."""

import json
from collections.abc import Collection
from dataclasses import is_dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any, Final, cast
from uuid import UUID

from pydantic import BaseModel, JsonValue, ValidationError
from pydantic_core import PydanticSerializationError, to_jsonable_python

from tasks.errors import message_of
from tasks.redaction import MASK
from workers.tools.base import ToolError
from workers.tools.codes import Code

SIMPLE: Final = (date, time, timedelta, Decimal, UUID, Enum, PurePath)
"""What is written in one obvious way, though JSON has no form of its own for it."""
MAX_ECHO_CHARS: Final = 80
MAX_FAULTS: Final = 10
MAX_DEPTH: Final = 64
"""Nesting of an input; what is deeper is left out."""


def plain(value: object, depth: int = 0) -> JsonValue:
    """The input, fit to be recorded: JSON only, no deeper than MAX_DEPTH, and without lone surrogates."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str) or depth > MAX_DEPTH:
        return sendable(str(value)) if isinstance(value, str) else "…"
    if isinstance(value, dict):
        items = cast("dict[object, object]", value).items()
        return {sendable(str(key)): plain(item, depth + 1) for key, item in items}
    if isinstance(value, list | tuple):
        return [plain(item, depth + 1) for item in cast("list[object] | tuple[object, ...]", value)]
    return echo(value)


def sendable(text: str) -> str:
    """Without lone surrogates, which bad JSON and bad file names bring: they cannot be sent to a model or stored."""
    return text.encode("utf-8", "replace").decode()


def arguments(raw_input: JsonValue) -> dict[str, JsonValue]:
    """The input as named arguments.

    Raises:
        ToolError: it is no object.
    """
    if raw_input is None:
        return {}
    if not isinstance(raw_input, dict):
        raise ToolError(Code.INVALID_INPUT, f"the input must be an object with named arguments, not {echo(raw_input)}")
    return raw_input


def faults(error: ValidationError, hidden: Collection[str] = ()) -> str:
    """Faults of the input, at most ten, each with the field it is about; values of hidden fields are not repeated."""
    lines: list[str] = []
    found = error.errors(include_url=False, include_context=False)
    for fault in found[:MAX_FAULTS]:
        field = _cut(".".join(str(part) for part in fault["loc"])) or "input"
        message = fault["msg"].removeprefix("Value error, ")
        if fault["type"] in ("missing", "missing_argument", "missing_keyword_only_argument"):
            lines.append(f"{field}: required, but missing")
        elif fault["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            lines.append(f"{field}: there is no such argument")
        else:
            secret = any(part in hidden for part in fault["loc"])
            lines.append(f"{field}: {message}, not {MASK if secret else echo(fault['input'])}")
    if len(found) > MAX_FAULTS:
        lines.append(f"and {len(found) - MAX_FAULTS} more")
    return "; ".join(lines)


def echo(value: object) -> str:
    """A value, short."""
    return _cut(repr(value))


def as_text(value: Any) -> str:
    """What a tool returned, as text.

    Raises:
        ToolError: it is no text, model or JSON.
    """
    if isinstance(value, str):
        text = value
    elif isinstance(value, BaseModel):
        text = value.model_dump_json()
    else:
        try:
            text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=_model)
        except (TypeError, ValueError, RecursionError, PydanticSerializationError) as exc:
            kind = type(cast("object", value)).__name__
            said = f"the tool returned a {kind} that is no text, model or JSON: {exc}"
            raise ToolError(Code.RAISED, said) from exc
    return sendable(text)


def shorten(text: str, limit: int) -> tuple[str, bool]:
    """The text within the limit, and whether it had to be cut; a cut one says so."""
    if len(text) <= limit:
        return text, False
    notice = f"\n[cut: this is the beginning of {len(text)} characters; ask for less to see all]"
    return text[: max(0, limit - len(notice))] + notice, True


def named(error: BaseException) -> str:
    """An exception with its kind."""
    text = sendable(message_of(error))
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _cut(text: str) -> str:
    return text if len(text) <= MAX_ECHO_CHARS else text[: MAX_ECHO_CHARS - 1] + "…"


def _model(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, SIMPLE) or (is_dataclass(value) and not isinstance(value, type)):
        return to_jsonable_python(value)
    raise TypeError(f"{type(value).__name__} is not JSON")
