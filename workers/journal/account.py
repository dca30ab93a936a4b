"""The account of one attempt: its journal and its purse, put around model and tools. Without a store: neither."""

from dataclasses import dataclass, field

from tasks.ids import AttemptRef
from tasks.store import AccountStore
from tasks.usage import Usage
from workers.agents.base import Agent
from workers.agents.conversation import Executor
from workers.context import StepContext
from workers.journal.doing import JournalledExecutor
from workers.journal.entries import Opening
from workers.journal.governed import Counting, GovernedModel
from workers.journal.journal import Journal
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

    async def open(self) -> None:
        """Read what earlier attempts wrote, if there were any.

        Raises:
            StoreUnavailable: the store is away.
        """
        if self.store is None:
            return
        claim = self.context.claim
        ref = AttemptRef(claim.job.id, claim.step.id, claim.attempt)
        self.journal = Journal(self.store, ref, replay=claim.job.replay)
        if claim.attempt > 1 or claim.job.replay:
            await self.journal.load()

    def model(self, inner: Model) -> Model:
        """The model within its budgets."""
        if self.journal is None:
            return inner
        scopes = scopes_of(self.context.claim, self.agent.budget)
        return GovernedModel(inner, self.journal, self.purse, scopes, self.agent.name, self.counter)

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

    def close(self) -> None:
        """Say what was entered into the ledger."""
        if self.journal is not None:
            self.context.booked = self.journal.booked
