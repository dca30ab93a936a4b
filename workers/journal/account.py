"""The account of one attempt: its journal and its purse, put around model and tools. Without a store: neither."""

from dataclasses import dataclass, field

from tasks.ids import AttemptRef
from tasks.recorded import Recorded
from tasks.store import AccountStore
from tasks.usage import Usage
from workers.agents.base import Agent
from workers.agents.conversation import Executor
from workers.context import StepContext
from workers.journal.doing import JournalledExecutor
from workers.journal.entries import Opening, Unpaid
from workers.journal.governed import Counting, GovernedModel
from workers.journal.journal import UNPAID, Journal
from workers.journal.purse import Purse, scopes_of
from workers.llm.base import Model
from workers.tools.executor import ToolExecutor

OPENING = "o"
"""Id of the entry that says how the conversation began."""


@dataclass(slots=True)
class Account:
    """Open it before the conversation and close it after, however that ended."""

    context: StepContext
    agent: Agent
    purse: Purse
    store: AccountStore | None
    counter: Counting | None = None
    journal: Journal | None = field(init=False, default=None)
    asked: GovernedModel | None = field(init=False, default=None)

    async def open(self) -> None:
        """Read what earlier attempts wrote, if there were any.

        Raises:
            StoreUnavailable: the store is away.
        """
        if self.store is None:
            return
        claim = self.context.claim
        ref = AttemptRef(claim.job.id, claim.step.id, claim.attempt)
        self.journal = Journal(self.store, ref, replay=self.replay)
        if claim.attempt > 1 or self.replay:
            await self.journal.load()
        if UNPAID in self.journal.known and not self.replay:  # there may be more for this attempt
            await self.journal.forget_from(UNPAID)

    @property
    def replay(self) -> bool:
        """Whether nothing is called."""
        return self.context.claim.job.replay

    def model(self, inner: Model) -> Model:
        """The model within its budgets."""
        if self.journal is None:
            return inner
        scopes = scopes_of(self.context.claim, self.agent.budget)
        self.asked = GovernedModel(inner, self.journal, self.purse, scopes, self.agent.name, self.counter)
        self.asked.context = self.context
        self.asked.handed = bool(self.context.claim.step.handed)
        if self.replay and self.agent.mcp:  # their servers are not asked what tools they have
            self.asked.unseen = frozenset({"tools"})
        return self.asked

    def executor(self, inner: ToolExecutor, model: str) -> Executor:
        """The tools within their budgets."""
        if self.journal is None:
            return inner
        scopes = scopes_of(self.context.claim, self.agent.budget)
        return JournalledExecutor(inner, self.journal, self.context, scopes, model)

    async def opening(self, text: str) -> str:
        """How the conversation begins: as it began in an earlier attempt, for what it is made of may have changed."""
        known = self.journal.known.get(OPENING) if self.journal else None
        if isinstance(known, Opening):
            return known.text
        if self.journal is not None:
            await self.journal.book("", f"{self.agent.name} -", Usage(), OPENING, Opening(text=text))
        return text

    @property
    def recorded(self) -> Recorded | None:
        """What the recording says of the step."""
        return self.journal.recorded if self.journal else None

    @property
    def recorded_model(self) -> str | None:
        """The model that was asked when the step was recorded."""
        return self.journal.model if self.journal else None

    async def spent(self, reason: str) -> None:
        """Note that the budget ended the conversation, for a replay to end there too."""
        if self.journal is not None and not self.replay:
            await self.journal.book("", f"{self.agent.name} -", Usage(), UNPAID, Unpaid(reason=reason))

    def check_end(self) -> None:
        """Learn whether a replay that has its answer has come to the end of its recording.

        Raises:
            ReplayDiverged: there was more.
        """
        if self.asked is not None:
            self.asked.check_end()

    def close(self) -> None:
        """Say what was entered into the ledger, also of calls whose end the conversation did not live to see, and
        whether the next attempt can go on from here. Of a replay nothing is entered: nothing was called."""
        journal, context = self.journal, self.context
        if journal is not None:
            context.usage = context.usage + journal.booked.beyond(journal.told)
            context.booked = journal.booked
            context.broken_off, context.grew = journal.broken_off, journal.grew
        if self.replay:
            context.usage = Usage()
