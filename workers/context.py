"""The step that the running code works on: what tools and agents may ask of their surroundings."""

import hashlib
import json
import time
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from pydantic import JsonValue

from tasks.board import Mail
from tasks.errors import ContractError
from tasks.models import AgentDefinition, Claim, PlannedStep, Source, StepInput
from tasks.redaction import Secrets, excerpt, hide_here, redact_text
from tasks.sessions import Message
from tasks.store.waits import Wait, WaitKind, Wanted
from tasks.trace import SPAN, SpanKind
from tasks.usage import Usage
from workers import delegation
from workers.mailbox import Mailbox
from workers.parking import park
from workers.people import People
from workers.spans import CallSpan, Observer, observed

Emit = Callable[[str, dict[str, JsonValue]], None]


MAX_SPANS: Final = 200
"""Spans of its own code that are kept of one attempt."""


def _silent(_kind: str, _data: dict[str, JsonValue]) -> None: ...


@dataclass(slots=True)
class StepContext:
    """One attempt, seen from inside."""

    claim: Claim
    agents: tuple[AgentDefinition, ...] = ()
    """Living agents that a plan may use; filled for the planner only."""
    conversation: tuple[Message, ...] = ()
    """What was said in the job's session before its own message, oldest first; the newest part of it."""
    found: dict[str, Source] = field(default_factory=dict[str, Source])
    """Every source that a tool has shown to the model in this attempt, by id; only these can be cited."""
    kept: set[str] = field(default_factory=set[str])
    """Ids of those of them that the journal has."""
    usage: Usage = field(default_factory=Usage)
    """Consumed so far."""
    booked: Usage = field(default_factory=Usage)
    """As much of it as the ledger has."""
    waits: dict[str, Wait] = field(default_factory=dict[str, Wait])
    """What the step has been parked for so far, by key, with what came of it."""
    parks: bool = False
    """Whether it can be parked."""
    people: People | None = None
    """How people are asked; None: they cannot be."""
    asked: int = 0
    """Times that its own code has asked other agents or people for something, or told them."""
    mailbox: Mailbox | None = None
    """What it says to other steps of the job and hears from them; None where there is no store."""
    broken_off: bool = False
    """Its conversation was broken off by a call that came to nothing: the next attempt goes on there."""
    grew: bool = False
    """Its conversation has come further than those of earlier attempts."""
    said: list[str] = field(default_factory=list[str])
    """What its model has written so far, turn by turn: all that there is if it ends without a result."""
    emit: Emit = _silent
    """Writes an event (type, data) to the job's stream; costs no wait, and may be called from any thread."""
    begun: float = field(default_factory=time.monotonic)
    """When the claim came, by `time.monotonic`."""
    last_sign: float = field(default_factory=time.monotonic)
    """Last sign of life, by `time.monotonic`."""
    secrets: Secrets = field(default_factory=Secrets)
    """What its tools' inputs and outputs have shown to be secret: masked in logs, events and failures."""
    unseen: int = 0
    """Waits going on whose progress nobody can see."""
    observers: Sequence[Observer] = ()
    """Who is told of its calls."""
    spans: int = 0
    """Spans that its own code has named."""

    def sign(self) -> None:
        """Give a sign of life: the attempt is not idle. Events, usage, and tool calls are signs by themselves."""
        self.last_sign = time.monotonic()

    @contextmanager
    def waiting(self, *, seen: bool = False) -> Generator[None]:
        """A wait that is not idle although it gives no sign, as for a model's whole answer.

        Args:
            seen: Within such a wait: one that gives signs after all, as for the pieces of an answer.
        """
        step = -1 if seen else 1
        self.unseen += step
        self.sign()
        try:
            yield
        finally:
            self.unseen -= step
            self.sign()

    @property
    def left_s(self) -> float:
        """Seconds that the attempt still has; below nothing when it is over."""
        return self.claim.deadline_ms / 1000 - (time.monotonic() - self.begun)

    @property
    def tenant(self) -> str:
        """On whose behalf the job is: whose knowledge bases and files it may see."""
        return self.claim.job.tenant

    @property
    def knowledge(self) -> tuple[str, ...]:
        """Names of the knowledge bases that this job may search; empty: the default one."""
        return self.claim.job.knowledge

    def cite(self, source: Source) -> str:
        """Remember a source that the model is being shown, and return the id to show with it."""
        self.sign()
        self.found.setdefault(source.id, source)
        return source.id

    def spend(self, usage: Usage) -> None:
        """Add to what the attempt consumed."""
        self.sign()
        self.usage = self.usage + usage

    def outcome(self, wanted: Sequence[Wanted]) -> list[Wait]:
        """What has come of these, all of them; without that the step is parked, and this code runs again from its
        beginning when it has come.

        Raises:
            Parked: something has not come yet.
            ContractError: steps cannot be parked here.
        """
        known = [self.waits.get(one.key) for one in wanted]
        came = [wait for wait in known if wait is not None and wait.outcome is not None]
        if len(came) < len(wanted):
            park(wanted, possible=self.parks)
        return came

    def key(self, *parts: object) -> str:
        """The key of the next thing that this code asks for: the same each time it runs, if it asks for the same."""
        self.asked += 1
        text = json.dumps([self.asked, *parts], sort_keys=True, default=str, ensure_ascii=True)
        return f"c{self.asked}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"

    async def delegate(self, agent: str, task: str) -> StepInput:
        """Have another agent do something, and get what came of it, whether it succeeded or not: see `delegate_all`."""
        (item,) = await self.delegate_all([PlannedStep(id="child", description=task, agent=agent)])
        return item

    async def delegate_all(
        self, steps: Sequence[PlannedStep], *, tools: Sequence[str] | None = None
    ) -> list[StepInput]:
        """Have steps done, with their dependencies on each other, and get what came of each.

        For an agent's own code: while the steps are done it is stopped and its thread is free, and when they have ended
        it runs again from its beginning. So what it does before must be safe to do again.

        Args:
            tools: The only tools that their agents may use; they never get more than this step has.

        Raises:
            ContractError: they may not be done: unknown agents, too deep, a circle, too many.
            Parked: lets the step wait; not an Exception.
        """
        planned = [step.model_dump(mode="json", exclude_defaults=True) for step in steps]
        wish = delegation.wanted(self.key("delegate", planned, tools), steps, tools)
        (wait,) = self.outcome([wish])
        refused = delegation.refusal(wait)
        if refused is not None:
            raise ContractError(f"the steps may not be done: {refused}")
        found = delegation.results(self, wait)
        for item in found:
            for source in item.result.sources if item.result else ():
                self.cite(source)
        return found

    async def ask(self, question: str, options: Sequence[str] = (), expires: timedelta | None = None) -> str | None:
        """Ask the person whose task this is; None when nobody answered in time. As with `delegate_all`, the code is
        stopped meanwhile and runs again from its beginning."""
        key = self.key("ask", {"question": question, **({"options": [*options]} if options else {})})
        shown: list[JsonValue] = [redact_text(option, self.secrets.texts) for option in options]
        asked: dict[str, JsonValue] = {"question": redact_text(question, self.secrets.texts), "options": shown}
        outcome = self.consult(key, WaitKind.QUESTION, asked, expires=expires)
        return str(outcome.get("text")) if outcome.get("kind") == "answer" else None

    async def post(self, content: JsonValue, to: str | None = None, *, key: str | None = None) -> int:
        """Tell other steps of the job something: text, or other JSON. All can read it, or only whom it is for.

        However often this code runs again, it is posted once.

        Args:
            to: An agent or a step, by its name; one that there is not does not read it.
            key: For code inside tools, `current_call().key`: tools that have ended are not run again, so posts of
                theirs cannot be told apart by counting them.

        Returns:
            The number of the message.

        Raises:
            PayloadTooLarge: more than 16 KiB as JSON.
            ContractError: `to` is no name, or the step has posted and read 10,000 times.
            AttemptOver: the attempt is no longer this worker's.
            StoreUnavailable: the store is away.
        """
        return await self._mailbox().post(key or self.key("post", content, to), content, to)

    async def read(self, since: int = 0, wait: float | timedelta | None = None) -> Mail:
        """What other steps have told all, this step, or its agent, after the message with number `since`.

        When this code runs again, the same read has the same messages, as long as they are kept.

        Args:
            wait: Seconds to wait for a message if there is none. The step holds no worker meanwhile: this code is
                stopped, and runs again from its beginning when there is one, or the time has passed.

        Raises:
            ContractError: the step has posted and read 10,000 times, or cannot wait here.
            Parked: lets the step wait; not an Exception.
            AttemptOver, StoreUnavailable: as `post` does.
        """
        box, key = self._mailbox(), self.key("read", since)
        known = self.waits.get(key)
        waits = wait is not None and (known is None or known.outcome is None)
        mail = await box.read(key, since, noted=not waits)
        if waits and not mail.messages:
            expires = wait if isinstance(wait, timedelta) else timedelta(seconds=wait or 0)
            data = json.dumps({"since": mail.cursor, "agent": self.claim.step.agent})
            self.outcome([Wanted(key, WaitKind.MESSAGE, data, expires)])
        return mail

    def _mailbox(self) -> Mailbox:
        if self.mailbox is None:
            raise ContractError("there is nobody here to exchange messages with: the step runs without a store")
        return self.mailbox

    def consult(
        self,
        key: str,
        kind: WaitKind,
        asked: Mapping[str, JsonValue],
        *,
        same: Collection[str] = (),
        expires: timedelta | None = None,
    ) -> Mapping[str, JsonValue]:
        """What people have decided about this, or that they have not in time (`{"kind": …}`); without that the step is
        parked.

        Args:
            asked: What they are shown.
            same: Fields of it that must be what they were when they were asked: else the decision is `forged`.

        Raises:
            Parked: nothing is decided yet.
            ContractError: nobody can be asked here.
        """
        if self.people is None:
            raise ContractError("nobody can be asked here: the step runs without a store")
        wish = self.people.wanted(self.claim, key, kind, asked, expires)
        (wait,) = self.outcome([wish])
        return self.people.decision(self.claim, wait, {"agent": self.claim.step.agent, **asked}, same)

    @contextmanager
    def span(self, name: str, /, **attributes: JsonValue) -> Generator[CallSpan]:
        """Show a piece of this code's own work in the job's trace, with how long it took and how it ended.

        Set `input`, `output` and `attributes` of the span that this gives; secrets in them are masked, and of long ones
        the beginning is kept.
        """
        self.spans += 1
        span = CallSpan(self.claim, SpanKind.CUSTOM, excerpt(name, 100), f"s{self.spans}", attributes=dict(attributes))
        try:
            with observed(self.observers, span):
                try:
                    yield span
                except BaseException as error:
                    span.failed(error)
                    raise
                finally:
                    span.end()
        finally:
            if self.spans <= MAX_SPANS:  # further ones would take the place of calls that cost something
                self.emit(SPAN, span.fields())

    def progress(self, message: str) -> None:
        """Show people one line of progress."""
        self.sign()
        self.emit("step_progress", {"message": excerpt(message, 500)})


_current: ContextVar[StepContext] = ContextVar("troupe_step")


def current_step() -> StepContext:
    """The step that this code runs for.

    Raises:
        ContractError: called outside a step.
    """
    try:
        return _current.get()
    except LookupError:
        raise ContractError("no step is running here: current_step() is for code inside agents and tools") from None


def running_step() -> StepContext | None:
    """The step that this code runs for; None outside one."""
    return _current.get(None)


def enter_step(context: StepContext) -> None:
    """Make `context` current for this asyncio task and the threads it starts."""
    hide_here(context.secrets)
    _current.set(context)
