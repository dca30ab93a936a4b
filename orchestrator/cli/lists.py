"""What commands that list things have in common."""

from collections.abc import Sequence
from typing import Annotated, Final

import typer
from pydantic import BaseModel

MOST: Final = 1000

Limit = Annotated[int, typer.Option("-n", "--limit", min=1, max=MOST, help="How many.")]


def group(name: str, said: str, *, lists: bool) -> typer.Typer:
    """Commands under one name.

    Args:
        said: Its help.
        lists: Whether the name alone is a command too.
    """
    return typer.Typer(
        name=name,
        help=said,
        invoke_without_command=lists,
        no_args_is_help=not lists,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )


def print_json(found: Sequence[BaseModel]) -> None:
    """Print a JSON list, a line each."""
    typer.echo("[" + ",\n ".join(one.model_dump_json() for one in found) + "]")
