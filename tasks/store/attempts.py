"""The doer's door: claim an attempt, keep it alive, report from it, settle it."""

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from secrets import token_hex
from typing import Final, NamedTuple, cast

from tasks.errors import PayloadTooLarge
from tasks.ids import AttemptRef, StepId, WorkerName, partition_of
from tasks.models import AttemptOutcome, Claim, Failure, JobSpec, Step, StepInput, StepResult
from tasks.sessions import Message
from tasks.states import Move, StepStatus, sources
from tasks.store.failures import translated
from tasks.store.payload import is_apart, pack, unpack
from tasks.store.reading import known, readable
from tasks.store.scripts import CLAIM, HEARTBEAT, PARK, REPORT, SETTLE
from tasks.store.sessions import stored_content
from tasks.store.store import Store
from tasks.store.waits import ASKED, Wanted
from tasks.usage import Usage

MAX_FOUND_CHARS: Final = 16_000
"""Longest text of what a failed attempt had found."""
MAX_FOUND_SOURCES: Final = 20
MAX_SOURCES: Final = 1_000
"""Most sources of one result: each reader gets them all."""

HANDED_BACK: Final = "handed_back"
"""Failure code of an attempt that its worker returned unfinished."""


class Refusal(StrEnum):
    """Why an attempt is no longer the caller's."""

    SUPERSEDED = "superseded"
    """A later attempt was begun."""
    CANCELLED = "cancelled"
    """Its job ended."""
    OVER = "over"
    """It was settled, lost or given up."""
    GONE = "gone"
    """Its job is past its retention."""


class Unbooked(NamedTuple):
    """What an attempt consumed beside its journal, and the ledger does not have yet."""

    usage: Usage
    agent: str = "-"
    model: str = "-"
    """`-` where an agent's own code counted it."""


def amounts(usage: Usage) -> str:
    """Usage as scripts take it."""
    return " ".join(
        map(
            str,
            (
                usage.input_tokens,
                usage.output_tokens,
                usage.cache_read_tokens,
                usage.cache_write_tokens,
                usage.requests,
                usage.tool_calls,
                usage.cost_microusd,
            ),
        )
    )


class AttemptStore:
    """Moves that the doing side makes. Each carries the attempt number; a stale one changes nothing."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.lease_ms = int(store.settings.lease_s * 1000)

    async def claim(self, ref: AttemptRef, worker: WorkerName, token: str | None = None) -> Claim | None:
        """Take one dispatched attempt for this worker, or learn that it is not to be had.

        One round trip; dispatched → running is written together with the lease, so two deliveries of the same
        message never both run.

        Args:
            token: The caller's own mark. A claim whose answer was lost is made again with the same one, and answered
                again; without one, each call is a claim of its own.

        Returns:
            The claim with the step and its inputs. None when the attempt is stale, running, settled or cancelled:
            normal after a redelivery, so the caller drops the message.

        Raises:
            IncompatibleVersion: the job or step was written by a release that this one cannot read. The claim stands.
            DamagedRecord: no release can read it. The claim stands.
            StoreUnavailable: no answer in time; the message is found again when its lease or timer ends.
        """
        args = [sources(Move.CLAIM), ref.job, ref.step, ref.attempt, worker, self.lease_ms, token or token_hex(8)]
        reply = cast("list[str]", await self.store.move(CLAIM, partition_of(ref.job), args))
        if not reply:
            return None
        numbers = [int(one) for one in reply.pop().split()] if len(reply) % 4 == 0 else []
        whole = await self._with_apart(ref, reply)
        found = await self._found(ref, whole)
        with readable(ref.task_id):
            return _read_claim(ref, whole, found, numbers)

    async def heartbeat(self, partition: int, refs: Sequence[AttemptRef]) -> dict[AttemptRef, Refusal]:
        """Renew the leases of one partition's attempts.

        Returns:
            Those that are no longer the caller's, and why: their work is to be stopped.
        """
        args: list[str | int] = [sources(Move.FALTER), self.lease_ms]
        for ref in refs:
            args += [ref.job, ref.step, ref.attempt]
        reply = cast("list[str]", await self.store.move(HEARTBEAT, partition, args))
        return {ref: refusal(status) for ref, status in zip(refs, reply, strict=True) if status}

    async def succeed(
        self,
        ref: AttemptRef,
        result: StepResult,
        usage: Usage,
        rest: Unbooked | None = None,
        *,
        said: Message | None = None,
    ) -> Refusal | None:
        """Commit the attempt's result; dependents become ready in the same move. None when accepted.

        Args:
            usage: All that the attempt consumed.
            rest: As much of it as the ledger does not have yet; all of it unless given.
            said: What the job's session is told with it, if the job ends with this step and has one.

        Raises:
            PayloadTooLarge: it has more bytes or sources than are stored; settle the attempt as failed instead.
        """
        if len(result.sources) > MAX_SOURCES:
            count = f"{len(result.sources):,}"
            raise PayloadTooLarge(f"the result has {count} sources; at most {MAX_SOURCES:,} are allowed")
        held, apart = pack("the result", result.model_dump_json(exclude_defaults=True))
        return await self._settle(
            Move.SUCCEED, ref, AttemptOutcome.SUCCEEDED, held, usage, rest, apart=apart, said=said
        )

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
        """Settle the attempt as failed; the orchestrator decides what follows. None when accepted.

        Args:
            found: What it had found until then; at most MAX_FOUND_CHARS, given to the steps that depend on this one.
            anew: The next attempt begins a conversation of its own instead of going on with this one's.
        """
        move, outcome = Move.FALTER, AttemptOutcome.FAILED
        if failure.deferred:
            move, outcome = Move.LOSE, AttemptOutcome.RETURNED
        return await self._settle(move, ref, outcome, _fact(failure), usage, rest, anew=anew, found=found)

    async def hand_back(
        self, ref: AttemptRef, reason: str, usage: Usage, rest: Unbooked | None = None
    ) -> Refusal | None:
        """Give the attempt up so that another worker takes it at once; not counted as a failure."""
        failure = Failure(code=HANDED_BACK, message=reason, retryable=True, retry_after_ms=0)
        return await self._settle(Move.LOSE, ref, AttemptOutcome.RETURNED, _fact(failure), usage, rest)

    async def park(
        self, ref: AttemptRef, waits: Sequence[Wanted], usage: Usage, rest: Unbooked | None = None
    ) -> Refusal | None:
        """End the attempt until all of these have come: the step holds no worker meanwhile. None when accepted.

        What has come already is not waited for. Waits are known by their keys: those that an earlier attempt began stay
        as they are, with what has come of them.
        """
        rest = rest or Unbooked(usage)
        args: list[str | int] = [sources(Move.PARK), ref.job, ref.step, ref.attempt]
        args += [usage.model_dump_json(exclude_defaults=True), f"{rest.agent} {rest.model}"]
        args.append("" if rest.usage == Usage() else amounts(rest.usage))
        for wait in waits:
            expires = 0 if wait.expires is None else max(int(wait.expires / timedelta(milliseconds=1)), 1)
            args += [wait.key, wait.kind, wait.data, expires, "1" if wait.kind in ASKED else ""]
        status = await self.store.move(PARK, partition_of(ref.job), args)
        return refusal(str(status)) if status else None

    async def report(self, ref: AttemptRef, events: Sequence[tuple[str, str]]) -> bool:
        """Append events (type, JSON data) of a running attempt; False when it is stale."""
        args: list[str | int] = [sources(Move.FALTER), ref.job, ref.step, ref.attempt, token_hex(4)]
        for kind, data in events:
            args += [kind, data]
        return await self.store.move(REPORT, partition_of(ref.job), args) == 1

    async def _with_apart(self, ref: AttemptRef, reply: list[str]) -> list[str]:
        """The reply to a claim with what is kept apart of spec and inputs: one more round trip where any is."""
        places = {0: "spec"} if is_apart(reply[0]) else {}
        places |= {at + 3: f"r:{reply[at]}" for at in range(3, len(reply), 4) if is_apart(reply[at + 3])}
        if not places:
            return reply
        async with translated(self.store.settings):
            found = cast(
                "list[str | None]",
                await self.store.redis.hmget(f"{self.store.keys.job(ref.job)}:big", list(places.values())),
            )
        for at, apart in zip(places, found, strict=True):
            reply[at] = unpack(reply[at], apart)
        return reply

    async def _found(self, ref: AttemptRef, reply: Sequence[str]) -> dict[str, str]:
        """What inputs that failed had found until then: one more round trip where there are such inputs."""
        steps = [reply[at] for at in range(3, len(reply), 4) if reply[at + 1] == StepStatus.FAILED]
        if not steps:
            return {}
        async with translated(self.store.settings):
            found = cast(
                "list[str | None]",
                await self.store.redis.hmget(
                    f"{self.store.keys.job(ref.job)}:results", [f"p:{step}" for step in steps]
                ),
            )
        return {step: text for step, text in zip(steps, found, strict=True) if text}

    async def _settle(
        self,
        move: Move,
        ref: AttemptRef,
        outcome: AttemptOutcome,
        fact: str,
        usage: Usage,
        rest: Unbooked | None,
        *,
        apart: str = "",
        anew: bool = False,
        found: StepResult | None = None,
        said: Message | None = None,
    ) -> Refusal | None:
        rest = rest or Unbooked(usage)
        args = [
            sources(move),
            ref.job,
            ref.step,
            ref.attempt,
            outcome,
            fact,
            usage.model_dump_json(exclude_defaults=True),
            usage.cost_microusd,
            apart,
            f"{rest.agent} {rest.model}",
            "" if rest.usage == Usage() else amounts(rest.usage),
            "1" if anew else "",
            _bounded(found).model_dump_json(exclude_defaults=True) if found else "",
            stored_content(said.content) if said else "",
            json.dumps(said.metadata, ensure_ascii=False) if said else "",
        ]
        status = await self.store.move(SETTLE, partition_of(ref.job), args)
        return refusal(str(status)) if status else None


def _bounded(found: StepResult) -> StepResult:
    return StepResult(text=found.text[:MAX_FOUND_CHARS], sources=found.sources[:MAX_FOUND_SOURCES], model=found.model)


def _fact(failure: Failure) -> str:
    """Without defaults, so that an older release can read it."""
    return failure.model_dump_json(exclude_defaults=True)


def refusal(status: str) -> Refusal:
    """What a status says to the caller whose move it refused."""
    if status in {Refusal.SUPERSEDED, Refusal.GONE, Refusal.CANCELLED}:
        return Refusal(status)
    return Refusal.OVER


def _read_claim(ref: AttemptRef, reply: Sequence[str], found: Mapping[str, str], numbers: Sequence[int]) -> Claim:
    step = Step.model_validate_json(reply[1])
    inputs: list[StepInput] = []
    attempts = dict(zip(range(3, len(reply), 4), numbers[1:], strict=False))
    for at in range(3, len(reply), 4):
        before = Step.model_validate_json(reply[at + 2])
        good = reply[at + 1] == StepStatus.SUCCEEDED
        fact = reply[at + 3]
        known_result = fact if good else found.get(reply[at])
        inputs.append(
            StepInput(
                step=StepId(reply[at]),
                description=before.description,
                agent=before.agent,
                status=known(StepStatus, reply[at + 1]),
                result=StepResult.model_validate_json(known_result) if known_result else None,
                failure=Failure.model_validate_json(fact) if fact and not good else None,
                attempt=attempts.get(at, 0),
            )
        )
    left = timedelta(milliseconds=min(step.timeout_ms, max(int(reply[2]), 1)))
    return Claim(
        job=JobSpec.model_validate_json(reply[0]),
        step=step,
        attempt=ref.attempt,
        deadline_ms=int(left / timedelta(milliseconds=1)),
        inputs=tuple(inputs),
        parent_attempt=numbers[0] if numbers else 0,
    )
