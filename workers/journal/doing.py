"""Tool calls as a running attempt makes them: what was done before is not done again, what is done is written down."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tasks.models import Source
from tasks.store import Estimate, Scope
from tasks.trace import SpanKind
from tasks.usage import Usage
from workers.context import StepContext
from workers.journal.entries import Done
from workers.journal.journal import Journal
from workers.llm.base import Block
from workers.spans import CallSpan
from workers.tools.base import ToolCall
from workers.tools.executor import ToolExecutor
from workers.tools.hand_off import handed_over, key_of


@dataclass(slots=True)
class JournalledExecutor:
    """The executor of one conversation."""

    inner: ToolExecutor
    journal: Journal
    context: StepContext
    scopes: Sequence[Scope]
    model: str
    turns: int = 0
    """Turns with tools so far, those of the journal included."""

    async def execute_all(self, blocks: Sequence[Block], attempt: int = 1) -> list[ToolCall]:
        """Run `tool_use` blocks; those that the journal knows give what they gave.

        Raises:
            BudgetSpent: not all of them may be made any more; none was.
            AttemptOver: the attempt is no longer this worker's.
            ReplayDiverged: they were not recorded so.
        """
        self.turns += 1
        names = {str(block.get("id")): f"{self._turn}:{at}" for at, block in enumerate(blocks)}
        known = {call.id: call for name in names.values() if (call := self._known(name)) is not None}
        known = {call: one for call, one in known.items() if call in names}
        new = [name for call, name in names.items() if call not in known]
        if new and self.journal.replay:
            agent = self.context.claim.step.agent
            raise self.journal.unrecorded(f"turn {self.turns} of agent {agent!r}: a tool call was not recorded")
        await self._begin(len(new))

        async def keep(call: ToolCall) -> None:
            name = names[call.id]
            kept = Done(call=call, sources=self._new_sources())
            leaf, used = f"{self.context.claim.step.agent} {self.model}", Usage(tool_calls=1)
            record = CallSpan(self.context.claim, SpanKind.TOOL_CALL, call.tool, call.id).of(call).record()
            await self.journal.book("", leaf, used, name, kept, self.scopes, record)

        for block in blocks:
            call = str(block.get("id"))
            if call not in known and (said := handed_over(self.context.waits.get(key_of(call)))) is not None:
                known[call] = _of_hand_off(block, said, attempt)
                await keep(known[call])
        calls = await self.inner.execute_all(blocks, attempt, known=known, keep=keep)
        self.journal.told += Usage(tool_calls=len(new))
        if self._limited and new:
            await self.journal.free(self._turn)
        return calls

    async def _begin(self, calls: int) -> None:
        """Hold all calls of the turn in one move: steps that held some and waited for more would wait for each other.

        They are held until the last one has ended, also those that are booked by then: others wait a little longer.
        """
        if self._limited and calls:
            with self.context.waiting():
                await self.journal.reserve(self._turn, Estimate(tool_calls=calls), self.scopes)

    @property
    def _turn(self) -> str:
        return f"t{self.turns}"

    @property
    def _limited(self) -> bool:
        return any(scope.budget.tool_calls is not None for scope in self.scopes)

    def _known(self, name: str) -> ToolCall | None:
        entry = self.journal.known.get(name)
        if not isinstance(entry, Done):
            return None
        for source in entry.sources:
            self.context.found.setdefault(source.id, source)
            self.context.kept.add(source.id)
        return entry.call

    def _new_sources(self) -> tuple[Source, ...]:
        found = [source for source in self.context.found.values() if source.id not in self.context.kept]
        self.context.kept.update(source.id for source in found)
        return tuple(found)


def _of_hand_off(block: Block, said: str, attempt: int) -> ToolCall:
    return ToolCall(
        id=str(block.get("id")),
        tool=str(block.get("name")),
        input=block.get("input"),
        output=said,
        duration_ms=0,
        success=True,
        timestamp=datetime.now(UTC),
        attempt=attempt,
    )
