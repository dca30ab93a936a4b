"""What a fork changes of the job that it comes from: the task, and steps that are done anew."""

import json
import tomllib
from collections.abc import Mapping
from typing import Final

from pydantic import Field, JsonValue, ValidationError

from tasks.errors import ContractError
from tasks.models import PlannedStep
from tasks.wire import Wire

MAX_EDIT_CHARS: Final = 5_000_000
"""Longest file of changes: all steps of a large plan described anew."""


class Edit(Wire):
    """Changes. `{"task": "…", "steps": {"find-2": {"description": "…"}, "find-3": null}}`"""

    task: str | None = None
    steps: dict[str, dict[str, JsonValue] | None] = Field(default_factory=dict[str, dict[str, JsonValue] | None])
    """By id. Fields of a `PlannedStep`: of a step that is there those that change, of a new one all that it needs;
    None: the step is left out."""


NO_EDIT: Final = Edit()


def as_edit(changes: Edit | Mapping[str, JsonValue] | None) -> Edit:
    """Changes, checked as far as that can be done without the job.

    Raises:
        ContractError: they say what is not known.
    """
    if changes is None or isinstance(changes, Edit):
        return changes or NO_EDIT
    try:
        return Edit.model_validate(changes)
    except ValidationError as error:
        raise ContractError(f"edit: {said(error)}") from error


def read_edit(text: str, *, name: str, toml: bool | None = None) -> Edit:
    """Changes as they stand in a file: JSON or TOML.

    Args:
        name: The file, for messages.
        toml: Whether it is TOML; None: find out.

    Raises:
        ContractError: it is neither, or says what is not known.
    """
    if len(text) > MAX_EDIT_CHARS:
        raise ContractError(f"{name}: more than {MAX_EDIT_CHARS:,} characters")
    if toml is None:
        toml = not text.lstrip().startswith("{")
    try:
        content: object = tomllib.loads(text) if toml else json.loads(text)
    except (ValueError, RecursionError) as error:  # both libraries' faults are ValueErrors
        raise ContractError(f"{name} is not {'TOML' if toml else 'JSON'}: {error}") from error
    try:
        return Edit.model_validate(content)
    except ValidationError as error:
        raise ContractError(f"{name}: {said(error)}") from error


def changed(planned: PlannedStep, changes: Mapping[str, JsonValue]) -> PlannedStep:
    """A step with its changes.

    Raises:
        ContractError: a field is unknown, or has no such value.
    """
    if "id" in changes:
        raise ContractError(f"steps.{planned.id}.id: a step keeps its id; leave it out and add another one")
    fields = planned.model_dump(mode="json")
    if "capability" in changes and "agent" not in changes:
        fields["agent"] = None  # by its name it would be found before any that has the capability
    return _step(planned.id, {**fields, **changes})


def added(step: str, fields: Mapping[str, JsonValue]) -> PlannedStep:
    """A step that was not there before.

    Raises:
        ContractError: a field is unknown, missing, or has no such value.
    """
    return _step(step, {**fields, "id": step})


def said(error: ValidationError) -> str:
    """What is wrong, with its place."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}".lstrip(": ") for one in faults[:3])


def _step(name: str, fields: Mapping[str, JsonValue]) -> PlannedStep:
    try:
        return PlannedStep.model_validate(fields)
    except ValidationError as error:
        raise ContractError(f"steps.{name}.{said(error)}") from error
