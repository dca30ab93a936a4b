"""What the steps of a job have said to each other, printed."""

import typer

from tasks.board import Board


def print_board(board: Board, *, json: bool) -> None:
    """Print all messages that are kept, each whole, and how many are not."""
    if json:
        typer.echo(board.model_dump_json(indent=2))
        return
    if not board.messages:
        typer.echo("no messages")
    if board.dropped:
        typer.echo(f"{board.dropped} older messages are kept no more")
    for one in board.messages:
        typer.echo(f"{one.number}  {one.step} ({one.agent}) to {one.to or 'all'}: {one.text}")
