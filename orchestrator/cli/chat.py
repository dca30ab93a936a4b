"""`troupe chat`: a conversation on the terminal, line by line. Answers go to stdout, all else to stderr."""

import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from typing import Annotated, Final

import typer
from rich.console import Console

from orchestrator.blocking import SessionHandle, Troupe
from orchestrator.cli.answer import as_text
from orchestrator.cli.awaiting import Asking, see_answer
from orchestrator.cli.console import PlainConsole
from orchestrator.cli.jobs import (
    DEFAULT_TIMEOUT_S,
    BudgetUsd,
    Data,
    Docs,
    Knowledge,
    Model,
    Timeout,
    ingested,
    print_job,
)
from orchestrator.cli.place import api_settings, connect
from orchestrator.request import JobOptions
from tasks.errors import TroupeError
from tasks.ids import JobId
from tasks.redaction import redact_text
from tasks.sessions import AgentState, Policy
from tasks.states import TaskStatus

SHOWN: Final = 10
"""Messages that /state shows."""
LINE: Final = 100
"""Characters that it shows of each."""
HELP: Final = (
    "/state: what is known of the session · /trace: how the last answer came about · /exit (or Ctrl-D): the end"
)

Session = Annotated[
    str | None,
    typer.Argument(metavar="SESSION", help="Its id, or a name of your own; a new one unless given."),
]


def chat(
    session: Session = None,
    docs: Docs = None,
    data: Data = None,
    kb: Knowledge = None,
    model: Model = None,
    budget_usd: BudgetUsd = None,
    timeout: Timeout = DEFAULT_TIMEOUT_S,
    policy: Annotated[
        Policy, typer.Option(help="What becomes of a message while an earlier one is being answered.")
    ] = Policy.QUEUE,
) -> None:
    """Talk with the fleet: each line is a request that knows what was said before. /help says what else there is."""
    knowledge = [*(kb or []), *ingested(docs or [], quiet=False, api=api_settings())]
    options = JobOptions(
        model=model, knowledge=knowledge, data=list(data or []), budget_usd=budget_usd, timeout=timeout
    )
    with connect() as troupe:
        talk = Talk(troupe, troupe.session(session), policy, options)
        talk.note(f"session {talk.session.id}; /help says what there is beside questions")
        for line in lines(interactive=sys.stdin.isatty()):
            if line in {"/exit", "/quit"}:
                break
            talk.say(line)
    if talk.failed and not sys.stdin.isatty():
        raise typer.Exit(1)


class Talk:
    """A conversation that goes on."""

    def __init__(self, troupe: Troupe, session: SessionHandle, policy: Policy, options: JobOptions) -> None:
        self.troupe = troupe
        self.session = session
        self.policy = policy
        self.options = options
        self.console: Console = PlainConsole(stderr=True)
        self.last: JobId | None = None
        """Job of the last answer here."""
        self.failed = False
        """Whether something had no answer."""

    def say(self, line: str) -> None:
        """One line of the user's: a message, or a command. What fails is said, and the conversation goes on."""
        try:
            if line.startswith("/"):
                self._command(line)
            else:
                self._ask(line)
        except TroupeError as error:
            self.failed = True
            self.note(f"troupe: {' '.join(redact_text(str(error)).split())}")

    def note(self, text: str) -> None:
        """Something for people only."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _ask(self, text: str) -> None:
        job = self.session.send(text, policy=self.policy, **self.options)
        self.last = job.id
        try:
            see_answer(job, self.console, Asking(self.troupe, self.console))
        except KeyboardInterrupt:
            job.cancel()
        outcome = job.snapshot()
        if outcome.status is TaskStatus.COMPLETED:
            typer.echo(as_text(outcome))
        else:
            self.failed = True
            self.note(as_text(outcome))

    def _command(self, line: str) -> None:
        match line.split()[0]:
            case "/state":
                typer.echo(shown(self.session.state()))
            case "/trace":
                self._trace()
            case "/help":
                self.note(HELP)
            case other:
                self.note(f"there is no {other}. {HELP}")

    def _trace(self) -> None:
        job = self.last
        if job is None:  # nothing was asked here yet: the last one of the session then
            job = next((one.job for one in reversed(self.session.state(newest=SHOWN).messages) if one.job), None)
        if job is None:
            self.note("nothing was asked yet")
        else:
            print_job(self.troupe.job(job).snapshot())


def lines(*, interactive: bool) -> Iterator[str]:
    """What the user writes, line by line; with a line editor on a terminal. Ctrl-C drops a line, Ctrl-D ends."""
    if not interactive:
        yield from filter(None, map(str.strip, sys.stdin))
        return
    with suppress(ImportError):  # not on every platform
        import_module("readline")
    while True:
        try:
            line = input("> ").strip()
        except EOFError:
            return
        except KeyboardInterrupt:
            typer.echo("", err=True)
            continue
        if line:
            yield line


def shown(state: AgentState) -> str:
    """A session for people."""
    facts = [f"session {state.session_id}", state.status.value, f"version {state.version}", f"agent {state.agent_name}"]
    said = [f"{len(state.messages)} messages", f"{len(state.tool_calls)} tool calls"]
    turns = [f"job {state.running} runs"] if state.running else []
    turns += [f"{len(state.waiting)} wait"] if state.waiting else []
    rows = ["  ".join(facts), ", ".join([*said, *turns])]
    for name, value in (("task state", state.task_state), ("metadata", state.metadata)):
        if value:
            rows.append(f"{name}: {json.dumps(value, ensure_ascii=False)}")
    for one in state.messages[-SHOWN:]:
        text = " ".join(one.text.split())
        rows.append(f"{one.seq:>5}  {one.role:<9}  {text[:LINE]}{'…' if len(text) > LINE else ''}")
    return "\n".join(rows)
