"""Asks the real command line whether it would take a command, without running it."""

import importlib
from collections.abc import Sequence
from functools import cache
from typing import Any, cast

import typer

PLACEHOLDER = "does not exist"
"""What a path option says of an example's file."""


def refusal(words: Sequence[str], *, complete: bool = True) -> str | None:
    """Why `troupe WORDS…` would be refused; None when it would run.

    Args:
        complete: False when the words are the beginning of a command, as prose has them: then nothing is missing.
    """
    command, name, rest = _root(), "troupe", list(words)
    parent: Any = None
    try:
        while True:
            parent = command.make_context(name, rest, parent=parent)
            if not hasattr(command, "resolve_command"):
                return None
            rest = [*parent._protected_args, *parent.args]
            if not rest:
                return "a command is missing" if complete and not command.invoke_without_command else None
            name, command, rest = command.resolve_command(parent, rest)
    except Exception as error:  # noqa: BLE001 - typer keeps the classes of its errors private
        kind = type(error).__name__
        missing = kind in {"MissingParameter", "NoArgsIsHelpError"}
        if kind == "Exit" or (missing and not complete) or PLACEHOLDER in str(error):
            return None
        return f"troupe {' '.join(words)}: {kind}: {error}"


@cache
def _root() -> Any:
    app = cast(typer.Typer, importlib.import_module("orchestrator.cli").app)
    return typer.main.get_command(app)
