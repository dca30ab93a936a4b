"""The command line, and the composition root: it alone mounts commands of both sides, each when it is asked for."""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Final, cast

import typer
from typer.core import TyperCommand, TyperGroup

from orchestrator.start import INTERRUPTED
from tasks.errors import ContractError, TroupeError
from tasks.redaction import redact_text

COMMANDS: Final = {
    "run": "orchestrator.cli.run:run",
    "replay": "orchestrator.cli.recording:replay",
    "demo": "orchestrator.cli.demo:demo",
    "up": "orchestrator.cli.up:up",
    "orchestrator": "orchestrator.cli.processes:orchestrator",
    "worker": "workers.cli.worker:worker",
    "api": "orchestrator.cli.api:api",
    "mcp": "orchestrator.cli.mcp:mcp",
    "flower": "orchestrator.cli.processes:flower",
    "submit": "orchestrator.cli.jobs:submit",
    "result": "orchestrator.cli.jobs:result",
    "watch": "orchestrator.cli.watching:watch",
    "show": "orchestrator.cli.jobs:show",
    "trace": "orchestrator.cli.trace:trace",
    "advance": "orchestrator.cli.jobs:advance",
    "fork": "orchestrator.cli.travel:fork",
    "retry": "orchestrator.cli.travel:retry",
    "diff": "orchestrator.cli.travel:diff",
    "chat": "orchestrator.cli.chat:chat",
    "sessions": "orchestrator.cli.sessions:sessions",
    "jobs": "orchestrator.cli.listing:jobs",
    "record": "orchestrator.cli.recording:record",
    "pause": "orchestrator.cli.jobs:pause",
    "resume": "orchestrator.cli.jobs:resume",
    "cancel": "orchestrator.cli.jobs:cancel",
    "approvals": "orchestrator.cli.people:approvals",
    "approve": "orchestrator.cli.people:approve",
    "deny": "orchestrator.cli.people:deny",
    "answer": "orchestrator.cli.people:answer",
    "dead": "orchestrator.cli.dead:dead",
    "keys": "orchestrator.cli.keys:keys",
    "kb": "orchestrator.cli.knowledge:kb",
    "agents": "orchestrator.cli.fleet:agents",
    "tools": "orchestrator.cli.stats:tools",
    "stats": "orchestrator.cli.stats:stats",
    "scale": "orchestrator.cli.scaling:scale",
    "metrics": "orchestrator.cli.scaling:metrics",
    "doctor": "orchestrator.cli.fleet:doctor",
}
"""Where each command is; loaded with its first use, because some sides take a second to load."""

OK: Final = 0
FAILED: Final = 1
BAD_USAGE: Final = 2


class LazyGroup(TyperGroup):
    """Commands that are loaded when they are asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """All names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name; None when there is none."""
        if cmd_name not in self.commands and cmd_name in COMMANDS:
            self.add_command(_load(cmd_name), cmd_name)
        return self.commands.get(cmd_name)


class PlainCommand(TyperCommand):
    """A command whose usage line names arguments as they are typed: `TASK`, where typer writes `{TASK}`."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The parts of the usage line."""
        pieces = super().collect_usage_pieces(ctx)
        return [piece.replace("{", "").replace("}", "").replace("…...", "…").replace("…]...", "…]") for piece in pieces]


app = typer.Typer(
    name="troupe",
    cls=LazyGroup,
    help="Multi-agent LLM jobs on Celery and Redis.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback()
def _root() -> None: ...


def call(arguments: Sequence[str]) -> int:
    """Run one command line; errors become one line on stderr.

    Returns:
        0 on success, 1 when the job or the stack failed, 2 on bad usage, 130 after Ctrl-C.
    """
    from typer._click.exceptions import ClickException, NoArgsIsHelpError

    try:
        code = cast(Any, typer.main.get_command(app)).main(list(arguments), prog_name="troupe", standalone_mode=False)
    except NoArgsIsHelpError as error:
        typer.echo(error.format_message(), err=True)
        return BAD_USAGE
    except ClickException as error:
        return _complain(error.format_message(), BAD_USAGE)
    except TroupeError as error:
        return _complain(str(error), BAD_USAGE if isinstance(error, ContractError) else FAILED)
    except (KeyboardInterrupt, typer.Abort):
        return _complain("interrupted", INTERRUPTED)
    except BrokenPipeError:  # the reader of our output has left: `troupe jobs | head`
        sys.stdout = sys.stderr
        return FAILED
    if code == INTERRUPTED:  # what typer makes of Ctrl-C in a command
        return _complain("interrupted", INTERRUPTED)
    return code if isinstance(code, int) else OK


def _load(name: str) -> Any:
    module, _, attribute = COMMANDS[name].partition(":")
    target: object = getattr(import_module(module), attribute)
    if isinstance(target, typer.Typer):
        for command in target.registered_commands:
            command.cls = PlainCommand
        return typer.main.get_group(target)
    single = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    single.command(name, cls=PlainCommand)(cast("Callable[..., Any]", target))
    return typer.main.get_command(single)


def _complain(message: str, code: int) -> int:
    typer.echo(f"troupe: {' '.join(redact_text(message).split())}", err=True)
    return code
