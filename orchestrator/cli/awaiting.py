"""A job while somebody waits for its answer: what goes on, the answer as it is written, and what it asks people."""

import sys
from contextlib import ExitStack
from typing import Final

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from orchestrator.blocking import JobHandle, Troupe
from orchestrator.cli.tree import JobView, Refresh
from orchestrator.people import wording
from tasks.errors import NotAsked
from tasks.events import JobEvent, StepParked, TextDelta
from tasks.ids import SYNTHESIS_STEP
from tasks.results import Asked

AROUND: Final = 4
"""Lines of the screen that the text of an answer leaves free."""


class AnswerView:
    """A job, and its answer as far as it is written."""

    def __init__(self, job: str) -> None:
        self.job = JobView(job)
        self.text = ""
        self._writer = (0, 0)

    def apply(self, event: JobEvent) -> None:
        """Take in one event. A later attempt or turn writes the answer anew."""
        self.job.apply(event)
        if isinstance(event, TextDelta) and event.step == SYNTHESIS_STEP:
            if self._writer != (event.attempt, event.turn):
                self._writer, self.text = (event.attempt, event.turn), ""
            self.text += event.text

    def render(self, console: Console) -> Group:
        """What goes on; the end of the text, as much as the screen holds, as soon as there is some."""
        if not self.text:
            return Group(self.job.render())
        wrapped = Text(self.text).wrap(console, console.width)
        return Group(*wrapped[-max(console.height - AROUND, 1) :])


class Asking:
    """Puts to the user what a job asks people, where there is a user."""

    def __init__(self, troupe: Troupe, console: Console) -> None:
        self.troupe = troupe
        self.console = console

    def settle(self, job: JobHandle) -> None:
        """Ask for all that the job waits for; where nobody can answer, say how it is done."""
        for one in self.troupe.people.list():
            if one.job_id != job.id:
                continue
            if sys.stdin.isatty():
                self._put(one)
            else:
                how = "answer" if one.question is not None else "approve"
                self._note(f"{one.agent} asks: {wording(one)} (troupe {how} {one.job_id} {one.step} …)")

    def _put(self, one: Asked) -> None:
        self._note(f"{one.agent} {_verb(one)}: {wording(one)}")
        people = self.troupe.people
        try:
            if one.question is not None:
                people.answer(one.job_id, one.step, input("answer> "), key=one.key)
            elif input("approve? [y/n] ").strip().lower() in {"y", "yes"}:
                people.approve(one.job_id, one.step, key=one.key)
            else:
                people.deny(one.job_id, one.step, key=one.key)
        except NotAsked:  # somebody else was faster, or it expired
            self._note("it was settled meanwhile")
        except EOFError:
            self._note("it waits; `troupe approvals` lists it")

    def _note(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


def _verb(one: Asked) -> str:
    return "asks" if one.question is not None else "wants to call" if one.tool is not None else "wants to"


def see_answer(job: JobHandle, console: Console, asking: Asking) -> None:
    """Show a job until its last event; on a terminal live, and gone afterwards, elsewhere not at all."""
    view, refresh = AnswerView(job.id), Refresh(job)
    with ExitStack() as shown:
        live = Live(console=console, transient=True, refresh_per_second=10) if console.is_terminal else None
        if live is not None:
            shown.enter_context(live)
        for event in job.events():
            if live is not None:
                refresh(view.job, event)
                view.apply(event)
                live.update(view.render(console))
            if isinstance(event, StepParked) and event.waits_for != ("children",):
                if live is not None:
                    live.stop()
                asking.settle(job)
                if live is not None:
                    live.start()
