"""One attempt, from the message to its settling. The only place that catches every exception."""

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta
from secrets import token_hex
from typing import Final

import structlog
from pydantic import JsonValue

from tasks.errors import (
    BudgetSpent,
    DamagedRecord,
    DeadlinePassed,
    IdleTimeout,
    IncompatibleVersion,
    PayloadTooLarge,
    TransientError,
    TroupeError,
)
from tasks.ids import AttemptRef, WorkerName
from tasks.models import Claim, Failure, StepResult
from tasks.store import AttemptStore, BoardStore, FleetStore, Refusal
from tasks.store.waits import WaitStore
from tasks.trace_ids import trace_id_of
from tasks.usage import Usage
from workers.agents.prompt import shows_agents
from workers.agents.registry import AgentRegistry
from workers.answering import Answering
from workers.context import StepContext, enter_step
from workers.idle import watched
from workers.lease import DRAINING, Held, Leases
from workers.mailbox import Mailbox
from workers.outcomes import (
    MAX_MESSAGE_CHARS,
    answer_of,
    begins_anew,
    consumed,
    deferred,
    failure_of,
    finish,
    found_so_far,
)
from workers.parking import Parked
from workers.patience import patiently
from workers.people import People
from workers.permits import await_permit
from workers.reporter import Reporter, redacted
from workers.spans import AttemptSpan, Observer, observed

log = structlog.get_logger("worker")

CLAIM_WITHIN: Final = timedelta(seconds=30)
"""How long a claim waits for a store that is away; after it the message is dropped and published again by the sweep."""
STOPPING: Final = "the worker is stopping"
OTHER_VERSION: Final = "the step is for another version of its agent"
SETTLING: Final = "settling"
"""Marks an attempt that has its result: it is not stopped any more, or the result would be lost half-way."""
PATIENCE: Final = timedelta(seconds=10)
"""Waits that a failure asks for up to this long are an ordinary retry's; for longer ones the attempt is put off."""
Outcome = str
"""What the handler tells Celery, and Flower shows: `succeeded`, `failed: <code>`, `dropped`, `stopped: <why>`."""


class Runner:
    """Runs attempts in the process's event loop."""

    def __init__(
        self,
        *,
        worker: WorkerName,
        attempts: AttemptStore,
        fleet: FleetStore,
        leases: Leases,
        agents: AgentRegistry,
        answering: Answering,
        settle_within: timedelta,
        patience: timedelta = PATIENCE,
        waits: WaitStore | None = None,
        board: BoardStore | None = None,
        people: People | None = None,
        observers: Sequence[Observer] = (),
    ) -> None:
        self.worker = worker
        self.attempts = attempts
        self.fleet = fleet
        self.leases = leases
        self.agents = agents
        self.answering = answering
        self.settle_within = settle_within
        self.patience = patience
        self.waits = waits
        """None: steps cannot be parked."""
        self.board = board
        """None: steps cannot talk to each other."""
        self.people = people
        """None: nobody is asked."""
        self.observers = tuple(observers)

    async def run(self, ref: AttemptRef) -> Outcome:
        """Claim, work, settle. A message that is stale, or was delivered before, is dropped at the claim.

        Raises:
            StoreUnavailable: the store was away for too long; the attempt is found again by the sweep.
        """
        with structlog.contextvars.bound_contextvars(**ref._asdict()):
            try:
                token = token_hex(8)
                claim = await patiently(lambda: self.attempts.claim(ref, self.worker, token), CLAIM_WITHIN)
            except IncompatibleVersion as error:
                # The claim stands: left alone it would count as a lost worker. One of a later release may do better.
                unreadable = Failure(code=error.code, message=str(error)[:MAX_MESSAGE_CHARS], retryable=True)
                return await self._settle(ref, unreadable)
            except DamagedRecord as error:
                return await self._settle(ref, failure_of(error))
            if claim is None:
                log.info("message_dropped", reason="stale, delivered before, or its job ended")
                return "dropped"
            known = {"agent": claim.step.agent, "trace_id": trace_id_of(ref.job, claim.job.traceparent)}
            with structlog.contextvars.bound_contextvars(**known):
                return await self._claimed(ref, claim)

    async def _claimed(self, ref: AttemptRef, claim: Claim) -> Outcome:
        if await self._is_anothers(claim):
            log.info("attempt_declined", reason=OTHER_VERSION, version=claim.step.version)
            await patiently(lambda: self.attempts.hand_back(ref, OTHER_VERSION, Usage()), self.settle_within)
            return f"stopped: {OTHER_VERSION}"
        log.debug("attempt_started")
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("an attempt runs in a task")
        span = AttemptSpan(claim)
        with self.leases.hold(ref, task) as held, observed(self.observers, span):
            span.outcome = await self._run(span, held)
            return span.outcome

    async def decline(self, ref: AttemptRef) -> Outcome:
        """Hand an attempt back without beginning it, so that another worker gets it at once.

        To leave its message unread would delay it until the sweep looks for it.
        """
        token = token_hex(8)
        try:
            claim = await patiently(lambda: self.attempts.claim(ref, self.worker, token), CLAIM_WITHIN)
        except (IncompatibleVersion, DamagedRecord):
            pass  # the claim stands all the same
        else:
            if claim is None:
                return "dropped"
        log.info("attempt_declined", job=ref.job, step=ref.step, attempt=ref.attempt, reason=STOPPING)
        await patiently(lambda: self.attempts.hand_back(ref, STOPPING, Usage()), self.settle_within)
        return f"stopped: {DRAINING}"

    async def _is_anothers(self, claim: Claim) -> bool:
        """Whether the step was bound to another version of its agent, which another worker has.

        When nobody has that one any more, this one does it: a job outlives the release that it was planned with.
        """
        name, wanted = claim.step.agent, claim.step.version
        if name not in self.agents or self.agents.get(name).version == wanted:
            return False
        try:
            workers = await self.fleet.workers()
        except TransientError:
            workers = []
        offered = any(agent.name == name and agent.version == wanted for one in workers for agent in one.agents)
        if not offered:
            log.warning("agent_version_is_gone", wanted=wanted, own=self.agents.get(name).version)
        return offered

    async def _run(self, span: AttemptSpan, held: Held) -> Outcome:
        ref, claim = span.ref, span.claim
        reporter = Reporter(self.attempts, ref)
        context = StepContext(claim=claim, observers=self.observers)
        context.mailbox = Mailbox(self.board, claim) if self.board is not None else None

        def emit(kind: str, data: dict[str, JsonValue]) -> None:
            context.sign()
            reporter.emit(kind, redacted(data, context.secrets))

        context.emit = emit
        try:
            fact = await self._work(claim, context)
        except asyncio.CancelledError as error:
            if held.stopped is None and held.task.cancelling():
                raise
            fact = failure_of(error)  # unless it was stopped: the agent's own, of something that it waited for
        span.usage, _ = consumed(context)
        if held.stopped is not None and isinstance(fact, Failure | Parked):
            held.task.uncancel()
            return await self._stopped(ref, held, context)
        held.stopped = SETTLING
        span.failure = fact if isinstance(fact, Failure) else None
        await reporter.close()
        if isinstance(fact, Parked):
            return await self._park(ref, fact, context)
        return await self._settle(ref, fact, context)

    async def _park(self, ref: AttemptRef, parked: Parked, context: StepContext) -> Outcome:
        usage, rest = consumed(context)
        refusal = await patiently(lambda: self.attempts.park(ref, parked.waits, usage, rest), self.settle_within)
        if refusal is not None:
            log.warning("result_refused", reason=refusal)
            return f"refused: {refusal}"
        log.info("attempt_parked", waits=[wait.kind for wait in parked.waits])
        return f"parked: {', '.join(sorted({wait.kind for wait in parked.waits}))}"

    async def _work(self, claim: Claim, context: StepContext) -> StepResult | Failure | Parked:
        seconds = claim.deadline_ms / 1000
        limit, idle = asyncio.timeout(seconds), None
        try:
            async with limit, watched(context, claim.step.idle_ms / 1000) as idle:
                if shows_agents(claim.step):
                    living = await self.fleet.agents()
                    context.agents = tuple(agent for agent in living if agent.plannable)
                if self.waits is not None:
                    context.parks, context.people = True, self.people
                    if claim.attempt > 1:
                        known = await self.waits.of_step(claim.job.id, claim.step.id)
                        context.waits = {wait.key: wait for wait in known}
                enter_step(context)
                agent = self.agents.get(claim.step.agent)
                if (agent.requires_approval or claim.step.requires_approval) and not claim.job.replay:
                    await_permit(context)
                reply = await self.answering.answer(agent, context)
                return finish(context.claim, context, reply)
        except Parked as parked:
            return parked
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except BaseException as error:
            # asyncio would let SystemExit and KeyboardInterrupt through and end the loop, and with it all attempts of
            # the process; any other would leave this one to its lease.
            if isinstance(error, TimeoutError) and limit.expired():
                return Failure(code=DeadlinePassed.code, message=f"no result within {seconds:g} s", retryable=True)
            if isinstance(error, TimeoutError) and idle is not None and idle.expired():
                silent = f"no sign of life for {claim.step.idle_ms / 1000:g} s"
                return Failure(code=IdleTimeout.code, message=silent, retryable=IdleTimeout.retryable)
            if not isinstance(error, TroupeError):
                log.exception("agent_raised")
            if isinstance(error, BudgetSpent) and error.partial:
                context.said.append(error.partial)
            return deferred(error, self.patience) or failure_of(error)

    async def _stopped(self, ref: AttemptRef, held: Held, context: StepContext) -> Outcome:
        """The attempt was stopped: hand it back when it is still ours, else there is nothing to say."""
        log.info("attempt_stopped", reason=held.stopped)
        usage, rest = consumed(context)
        if held.stopped == DRAINING:
            await patiently(lambda: self.attempts.hand_back(ref, STOPPING, usage, rest), self.settle_within)
        return f"stopped: {held.stopped}"

    async def _settle(self, ref: AttemptRef, fact: StepResult | Failure, context: StepContext | None = None) -> Outcome:
        usage, rest = consumed(context) if context else (Usage(), None)
        found = found_so_far(context) if context and isinstance(fact, Failure) else None

        async def settle() -> Refusal | None:
            if isinstance(fact, Failure):
                anew = context is not None and begins_anew(fact, context)
                return await self.attempts.fail(ref, fact, usage, rest, found=found, anew=anew)
            said = answer_of(context, fact) if context else None
            return await self.attempts.succeed(ref, fact, usage, rest, said=said)

        try:
            refusal = await patiently(settle, self.settle_within)
        except PayloadTooLarge as error:
            return await self._settle(ref, failure_of(error), context)
        if refusal is not None:
            log.warning("result_refused", reason=refusal)
            return f"refused: {refusal}"
        if isinstance(fact, Failure) and fact.deferred:
            log.warning(
                "attempt_deferred", code=fact.code, reason=fact.message, seconds=(fact.retry_after_ms or 0) / 1000
            )
            return f"deferred: {fact.code}: {fact.message[:200]}"
        if isinstance(fact, Failure):
            log.warning("attempt_failed", code=fact.code, reason=fact.message)
            return f"failed: {fact.code}: {fact.message[:200]}"
        seconds = round(time.monotonic() - context.begun, 3) if context else 0.0
        log.info("attempt_succeeded", seconds=seconds, chars=len(fact.text), cost_microusd=usage.cost_microusd)
        return "succeeded"
