"""Claims for tests, and an attempt store by hand that keeps what it is told."""

from collections.abc import Sequence
from typing import cast

from tasks.ids import AttemptRef, JobId, StepId, WorkerName
from tasks.models import Claim, Failure, JobSpec, Source, Step, StepInput, StepKind, StepResult
from tasks.sessions import Message
from tasks.states import StepStatus
from tasks.store import AttemptStore, Refusal, Unbooked
from tasks.usage import Usage
from workers.context import StepContext

JOB = JobId("j0123456789abcdefgh3")
REF = AttemptRef(JOB, StepId("find"), 1)
PASSAGE, TABLE = "p0123456789-1", "t0123456789"


def make_claim(
    kind: StepKind = StepKind.WORK,
    *,
    agent: str = "search",
    inputs: Sequence[StepInput] = (),
    deadline_ms: int = 60_000,
    model: str | None = None,
) -> Claim:
    step = Step(id=REF.step, kind=kind, description="Find it.", agent=agent, queue=agent)
    spec = JobSpec(id=JOB, task="What is it?", model=model)
    return Claim(job=spec, step=step, attempt=REF.attempt, deadline_ms=deadline_ms, inputs=tuple(inputs))


def make_context(kind: StepKind = StepKind.WORK) -> StepContext:
    return StepContext(claim=make_claim(kind))


def make_source(name: str = PASSAGE) -> Source:
    return Source(id=name, title="A page", path="/docs/a.md", line_start=1, line_end=2, text="It is so.")


def make_input(step: str = "before", text: str = "It is so.", *sources: Source) -> StepInput:
    return StepInput(
        step=StepId(step),
        description="Look first.",
        agent="search",
        status=StepStatus.SUCCEEDED,
        result=StepResult(text=text, sources=sources),
    )


class FakeAttempts:
    """An attempt store in memory: hands out one claim, keeps what is settled, fails when it is told to."""

    def __init__(self, claim: Claim | None = None) -> None:
        self.given = claim
        self.settled: list[tuple[str, AttemptRef, StepResult | Failure | str, Usage]] = []
        self.events: list[tuple[str, str]] = []
        self.batches = 0
        self.tokens: list[str | None] = []
        """Of all claims."""
        self.renewed: list[tuple[int, list[AttemptRef]]] = []
        self.refused: dict[AttemptRef, Refusal] = {}
        self.refusal: Refusal | None = None
        self.found: list[tuple[StepResult | None, bool]] = []
        """What each failure had found, and whether the next attempt converses anew."""
        self.said: list[Message] = []
        """What sessions were told with the results."""
        self.errors: list[Exception] = []
        """Raised one by one by the next calls."""

    @property
    def store(self) -> AttemptStore:
        return cast(AttemptStore, self)

    def _meet(self) -> None:
        if self.errors:
            raise self.errors.pop(0)

    async def claim(self, ref: AttemptRef, worker: WorkerName, token: str | None = None) -> Claim | None:
        self.tokens.append(token)
        self._meet()
        return self.given

    async def heartbeat(self, partition: int, refs: Sequence[AttemptRef]) -> dict[AttemptRef, Refusal]:
        self._meet()
        self.renewed.append((partition, list(refs)))
        return {ref: self.refused[ref] for ref in refs if ref in self.refused}

    async def succeed(
        self,
        ref: AttemptRef,
        result: StepResult,
        usage: Usage,
        rest: Unbooked | None = None,
        *,
        said: Message | None = None,
    ) -> Refusal | None:
        if said is not None:
            self.said.append(said)
        return self._settle("succeeded", ref, result, usage)

    async def fail(
        self,
        ref: AttemptRef,
        failure: Failure,
        usage: Usage,
        rest: Unbooked | None = None,
        *,
        found: StepResult | None = None,
        anew: bool = False,
    ) -> Refusal | None:
        self.found.append((found, anew))
        return self._settle("failed", ref, failure, usage)

    async def hand_back(
        self, ref: AttemptRef, reason: str, usage: Usage, rest: Unbooked | None = None
    ) -> Refusal | None:
        return self._settle("returned", ref, reason, usage)

    async def report(self, ref: AttemptRef, events: Sequence[tuple[str, str]]) -> bool:
        self._meet()
        self.batches += 1
        for kind, data in events:
            data.encode()
            self.events.append((kind, data))
        return True

    def _settle(self, how: str, ref: AttemptRef, fact: StepResult | Failure | str, usage: Usage) -> Refusal | None:
        self._meet()
        if not isinstance(fact, str):
            fact.model_dump_json()
        self.settled.append((how, ref, fact, usage))
        return self.refusal
