"""The decider's door: accept, extend, dispatch, decide about failed attempts, sweep, end."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum, StrEnum
from hashlib import sha256
from types import MappingProxyType
from typing import Final, cast

from tasks.errors import DamagedRecord, FleetFull, IdempotencyConflict, SessionBusy, StateConflict
from tasks.ids import AttemptRef, JobId, partition_of
from tasks.models import MAX_TIMEOUT, Failure, JobSpec, Step
from tasks.states import Move, StepStatus, TaskStatus, sources
from tasks.store.payload import pack
from tasks.store.reading import readable
from tasks.store.scripts import DISPATCH, END_JOB, EXTEND, FALL_BACK, GIVE_UP, GO_ON, PAUSE, POSTPONE, SUBMIT, SWEEP
from tasks.store.sessions import REPLACED, Turn
from tasks.store.store import Store
from tasks.store.writing import NewStep, Reused, taken_over, written

SWEEP_BATCH: Final = 200
"""Timers acted on in one script call: bounds how long Redis is busy with it (some 5 ms)."""

LOST: Final = Failure(code="worker_lost", message="the worker went silent and its lease ran out", retryable=True)
DEADLINE: Final = Failure(code="deadline_passed", message="the job did not end within its timeout")
DAMAGED: Final = Failure(
    code=DamagedRecord.code, message="what is stored of the job is damaged; an orchestrator's log says where"
)


MAX_BRIEF_CHARS: Final = 500
"""What lists get to see of a task that is kept apart."""
NO_WINDOWS: Final[Mapping[str, int]] = MappingProxyType({})
BUSY: Final = timedelta(seconds=5)
"""When a refused producer may try again: some of the open jobs will have ended."""


class Replan(StrEnum):
    """Whether the answer waits for another plan when all that it rests on has ended."""

    NEVER = ""
    SHORT = "short"
    """When a last step of the plan that is not optional has no result."""
    ALWAYS = "always"


class Made(IntEnum):
    """What became of a move that makes another attempt."""

    STALE = 0
    """It was decided before."""
    DONE = 1
    TOO_LATE = 2
    """The step, or its job, would be over by then: nothing was changed."""
    OVER = 3
    """The time of the step, or of its job, is over: nothing was changed."""


@dataclass(frozen=True, slots=True)
class Damage:
    """A timer whose record could not be acted on."""

    job: str
    step: str
    """Empty for the job's own deadline."""
    ended: bool
    """Whether its job could be ended as failed; else it is left as it is, for people: `troupe doctor` names it."""
    reason: str


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep has found."""

    due: int
    """Timers that it acted on; SWEEP_BATCH at most: sweep again at once then."""
    next_due: timedelta | None
    """Time until the next one; None when there is none."""
    damaged: tuple[Damage, ...] = ()
    """Records that are not as any release writes them: each stopped its own job only."""


class JobStore:
    """Moves of jobs and steps that the deciding side makes. One round trip each; all are safe to repeat."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.settings = store.settings

    async def submit(
        self,
        spec: JobSpec,
        first: Step | None,
        turn: Turn | None = None,
        reused: Reused | None = None,
        *,
        open_jobs: int | None = None,
    ) -> JobId:
        """Accept a job: it, its first step and the outbox entry are written together.

        Args:
            first: The planning step; None when the job brings its plan.
            turn: What its session is told; given when the job has one. It is written together with the job.
            reused: What it takes over from another job, whose partition is its own; copied at the same moment.
            open_jobs: How many jobs its tenant may have open, in place of what the settings say. 0: any number. -1:
                none is begun, only one that was taken in before under the same key is found.

        Returns:
            The job's id: an earlier one's when the idempotency key was used for the same request before, and that job
            is still kept. A key is remembered within its partition: the same key needs an id of the same partition.

        Raises:
            IdempotencyConflict: the key was used for a different request.
            PayloadTooLarge: request or plan have more bytes than are stored.
            FleetFull: as many jobs are open as may be; carries retry_after.
            SessionBusy: another job of the session is open, and this one was not to wait; or too many wait.
            StateConflict: a step that is to be taken over has no result any more: it is done anew, or its job is gone.
            StoreUnavailable: no answer in time; submit again with the same id or key.
        """
        fingerprint, key = "", None
        if spec.idempotency_key is not None:
            fingerprint = _fingerprint(spec, reused)
            key = self.store.keys.idempotency(partition_of(spec.id), spec.idempotency_key)
        args = [*self._of_job(spec, first, fingerprint, open_jobs), *self._of_session(spec, turn), spec.max_steps or ""]
        args += [spec.traceparent or "", *taken_over(reused)]
        reply = cast(
            "list[str]",
            await self.store.move(
                SUBMIT, partition_of(spec.id), args, key=key or self.store.keys.job(spec.id), accepts=True
            ),
        )
        if int(reply[1]) < 0 and reply[2] == "busy":
            raise SessionBusy(f"session {spec.session!r} is busy with job {reply[0]}", job=reply[0])
        if int(reply[1]) < 0 and reply[2].startswith("source "):
            raise StateConflict(f"job {reply[0]} has no result of step {reply[2][7:]!r} any more")
        if int(reply[1]) < 0:
            raise fleet_full(reply[2], spec.tenant)
        if reply[2] != fingerprint:
            raise IdempotencyConflict(
                f"idempotency key {spec.idempotency_key!r} was used for another request, job {reply[0]}"
            )
        return JobId(reply[0])

    async def extend(
        self,
        job: JobId,
        revision: int,
        steps: Sequence[NewStep],
        *,
        status: TaskStatus,
        event: str,
        data: str,
        replan: Replan = Replan.NEVER,
    ) -> bool:
        """Write checked steps onto revision `revision` of the job's plan, and an event that says why.

        Args:
            steps: One that is there already, and is blocked, is written anew, with what it depends on from now on.
            replan: When the answer is to wait for another plan.

        Returns:
            False when another replica did it first, the job is final, or a step that is there is not blocked.
        """
        args: list[str | int] = [job, revision, status, event, data, replan]
        for new in steps:
            args += written(new)
        return await self.store.move(EXTEND, partition_of(job), args) == 1

    async def dispatch(self, partition: int, entries: Sequence[AttemptRef]) -> list[Step | None]:
        """Take the next attempts of ready steps of one partition.

        Returns:
            The steps whose messages are to be published now; None for those that are stale.

        Raises:
            IncompatibleVersion, DamagedRecord: one of them cannot be read. The move was made; it may be made again.
            StoreUnavailable: no answer in time.
        """
        args: list[str | int] = [
            sources(Move.DISPATCH),
            sources(Move.REPUBLISH),
            int(self.settings.republish_s * 1000),
        ]
        for ref in entries:
            args += [ref.job, ref.step, ref.attempt]
        reply = cast("list[str]", await self.store.move(DISPATCH, partition, args))
        return [_read_step(ref, spec) if spec else None for ref, spec in zip(entries, reply, strict=True)]

    async def postpone(self, ref: AttemptRef, delay_ms: int) -> Made:
        """Let the next attempt begin after a delay, if the step and its job have that much time."""
        args = [sources(Move.POSTPONE), ref.job, ref.step, ref.attempt, delay_ms]
        return Made(cast(int, await self.store.move(POSTPONE, partition_of(ref.job), args)))

    async def give_up(self, ref: AttemptRef, failure: Failure, *, seen: StepStatus | None = None) -> bool:
        """End a step for good; a planning step or the synthesis takes the job with it. False when stale.

        Args:
            seen: Status that this was decided by; in another one it is stale. Any legal one unless given.
        """
        allowed = sources(Move.GIVE_UP, seen)
        args = [
            allowed,
            ref.job,
            ref.step,
            ref.attempt,
            failure.model_dump_json(exclude_defaults=True),
            self._longest_kept_ms,
        ]
        return await self.store.move(GIVE_UP, partition_of(ref.job), args) == 1

    async def fall_back(self, ref: AttemptRef, step: Step, data: str, *, seen: StepStatus | None = None) -> Made:
        """Let another agent take a step over, with fresh counts, in place of giving it up.

        Args:
            step: The step as it is from now on: with the other agent's queue and limits.
            data: Data of the event that says so.
            seen: As for `give_up`.
        """
        allowed, spec = sources(Move.FALL_BACK, seen), step.model_dump_json(exclude_defaults=True)
        args = [allowed, ref.job, ref.step, ref.attempt, spec, step.queue, step.queue_ms, data]
        return Made(cast(int, await self.store.move(FALL_BACK, partition_of(ref.job), args)))

    async def end_job(self, job: JobId, status: TaskStatus, failure: Failure) -> TaskStatus | None:
        """Cancel or fail a job with all its open steps.

        Returns:
            The job's status after it: the earlier one when it was final before; None when there is no such job.
        """
        reply = await self.store.move(
            END_JOB, partition_of(job), [job, status, failure.model_dump_json(exclude_defaults=True)]
        )
        return TaskStatus(str(reply)) if reply else None

    async def go_on(self, job: JobId, steps: int | None, timeout_ms: int) -> TaskStatus | None:
        """Let a job begin further steps of work, those first that were held; all unless told how many.

        Args:
            timeout_ms: Its time from now.

        Returns:
            The job's status; a final one was not changed. None when there is no such job.
        """
        reply = await self.store.move(GO_ON, partition_of(job), [job, "" if steps is None else steps, timeout_ms])
        return TaskStatus(str(reply)) if reply else None

    async def pause(self, job: JobId) -> TaskStatus | None:
        """Let nothing of a job begin, and stop what runs; a later attempt goes on from there.

        Returns:
            The job's status; a final one was not changed. None when there is no such job.
        """
        reply = await self.store.move(PAUSE, partition_of(job), [sources(Move.HOLD), job])
        return TaskStatus(str(reply)) if reply else None

    async def resume(self, job: JobId) -> TaskStatus | None:
        """Let a paused job go on.

        Returns:
            As for `pause`.
        """
        reply = await self.store.move(GO_ON, partition_of(job), [job, "0", 0])
        return TaskStatus(str(reply)) if reply else None

    async def sweep(self, partition: int, windows: Mapping[str, int] = NO_WINDOWS, tenant_limit: int = 0) -> Swept:
        """Act on due timers of a partition, and let waiting steps into free slots; several replicas may do it at once.

        Args:
            windows: Steps that may be in flight for each queue; a queue that is not named keeps its last window.
            tenant_limit: Steps that may be in flight for each tenant; 0 for any number.
        """
        args: list[str | int] = [
            sources(Move.LOSE),
            sources(Move.RESUME),
            sources(Move.REPUBLISH),
            SWEEP_BATCH,
            int(self.settings.republish_s * 1000),
            LOST.model_dump_json(exclude_defaults=True),
            DEADLINE.model_dump_json(exclude_defaults=True),
            tenant_limit,
            sources(Move.GIVE_UP),
            DAMAGED.model_dump_json(exclude_defaults=True),
            sources(Move.WAKE),
            sources(Move.UNBLOCK),
        ]
        for queue, window in windows.items():
            args += [queue, window]
        due, next_ms, *wrong = cast("list[str]", await self.store.move(SWEEP, partition, args))
        next_due = None if int(next_ms) < 0 else timedelta(milliseconds=int(next_ms))
        return Swept(int(due), next_due, tuple(_damage(*wrong[at : at + 3]) for at in range(0, len(wrong), 3)))

    def _of_job(self, spec: JobSpec, first: Step | None, fingerprint: str, open_jobs: int | None) -> list[str | int]:
        settings = self.settings
        stored, spec_apart = pack("the request", _stored(spec))
        plan, plan_apart = pack("the plan", spec.plan.model_dump_json(exclude_defaults=True)) if spec.plan else ("", "")
        return [
            spec.id,
            stored,
            first.id if first else "",
            first.model_dump_json(exclude_defaults=True) if first else "",
            spec.timeout_ms,
            int(settings.retention_s * 1000),
            fingerprint,
            self._longest_kept_ms,
            settings.max_open_jobs,
            settings.max_open_jobs_of_tenant if open_jobs is None else open_jobs,
            spec.tenant,
            spec.priority,
            spec.max_in_flight or 0,
            first.queue if first else "",
            plan,
            first.queue_ms if first else 0,
            first.total_ms if first else 0,
            spec_apart,
            plan_apart,
            _stored(spec.model_copy(update={"task": spec.task[:MAX_BRIEF_CHARS]})) if spec_apart else "",
            "1" if spec.replay else "",
        ]

    def _of_session(self, spec: JobSpec, turn: Turn | None) -> list[str | int]:
        settings = self.settings
        told = ["", "", "", ""] if turn is None else [spec.session or "", turn.policy, turn.content, turn.metadata]
        bounds = [int(settings.session_ttl_s * 1000), settings.session_messages_max, settings.session_line_max]
        return [*told, *bounds, REPLACED.model_dump_json(exclude_defaults=True)]

    @property
    def _longest_kept_ms(self) -> int:
        """After this no job is kept any more, unless it is reopened."""
        return int((MAX_TIMEOUT.total_seconds() + self.settings.retention_s) * 1000)


def _fingerprint(spec: JobSpec, reused: Reused | None) -> str:
    left_out = {"id", "traceparent"} if reused is None else {"id", "traceparent", "plan"}
    asked = spec.model_dump_json(exclude=left_out, exclude_defaults=True) + ("" if reused is None else reused.asked)
    return sha256(asked.encode()).hexdigest()[:32]


def _stored(spec: JobSpec) -> str:
    """The spec as it is stored: without its plan, and without defaults, so that an older release can read it."""
    fields = {"version": spec.version} | spec.model_dump(mode="json", exclude_defaults=True, exclude={"plan"})
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def _read_step(ref: AttemptRef, spec: str) -> Step:
    with readable(ref.task_id):
        return Step.model_validate_json(spec)


def _damage(timer: str, fate: str, reason: str) -> Damage:
    job, _, step = timer.partition(":")
    return Damage(job, step, fate == "ended", reason)


def fleet_full(what: str, tenant: str) -> FleetFull:
    """The refusal of one more open job, by `jobs` or `tenant`."""
    whose = "the fleet has" if what == "jobs" else f"tenant {tenant!r} has"
    after = f"try again in {BUSY.total_seconds():g} s"
    return FleetFull(f"{whose} as many open jobs as it may have; {after}", retry_after=BUSY)
