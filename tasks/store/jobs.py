"""The decider's door: accept, extend, dispatch, decide about failed attempts, sweep, end."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from types import MappingProxyType
from typing import Final, cast

from tasks.errors import FleetFull, IdempotencyConflict
from tasks.ids import AttemptRef, JobId, StepId, partition_of
from tasks.models import MAX_TIMEOUT, Failure, JobSpec, Step
from tasks.states import Move, TaskStatus, sources
from tasks.store.scripts import DISPATCH, END_JOB, EXTEND, GIVE_UP, POSTPONE, SUBMIT, SWEEP
from tasks.store.store import Store

SWEEP_BATCH: Final = 200
"""Timers acted on in one script call: bounds how long Redis is busy with it (some 5 ms)."""

LOST: Final = Failure(code="worker_lost", message="the worker went silent and its lease ran out", retryable=True)
DEADLINE: Final = Failure(code="deadline_passed", message="the job did not end within its timeout")


NO_WINDOWS: Final[Mapping[str, int]] = MappingProxyType({})
BUSY: Final = timedelta(seconds=5)
"""When a refused producer may try again: some of the open jobs will have ended."""


@dataclass(frozen=True, slots=True)
class NewStep:
    """A step to write, with those that depend on it."""

    step: Step
    dependents: tuple[StepId, ...] = ()


class JobStore:
    """Moves of jobs and steps that the deciding side makes. One round trip each; all are safe to repeat."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.settings = store.settings

    async def submit(self, spec: JobSpec, first: Step | None) -> JobId:
        """Accept a job: it, its first step and the outbox entry are written together.

        Args:
            first: The planning step; None when the job brings its plan.

        Returns:
            The job's id: an earlier one's when the idempotency key was used for the same request before, and that job
            is still kept. A key is remembered within its partition: the same key needs an id of the same partition.

        Raises:
            IdempotencyConflict: the key was used for a different request.
            StoreUnavailable: no answer in time; submit again with the same id or key.
        """
        fingerprint, key = "", None
        partition = partition_of(spec.id)
        if spec.idempotency_key is not None:
            fingerprint = sha256(spec.model_dump_json(exclude={"id"}).encode()).hexdigest()[:32]
            key = self.store.keys.idempotency(partition, spec.idempotency_key)
        reply = cast(
            "list[str]",
            await self.store.move(
                SUBMIT,
                partition,
                [
                    spec.id,
                    _stored(spec),
                    first.id if first else "",
                    first.model_dump_json() if first else "",
                    spec.timeout_ms,
                    int(self.settings.retention_s * 1000),
                    fingerprint,
                    int((MAX_TIMEOUT.total_seconds() + self.settings.retention_s) * 1000),
                    self.settings.max_open_jobs,
                    self.settings.max_open_jobs_of_tenant,
                    spec.tenant,
                    spec.priority,
                    spec.max_in_flight or 0,
                    first.queue if first else "",
                    spec.plan.model_dump_json(exclude_defaults=True) if spec.plan else "",
                ],
                key=key or self.store.keys.job(spec.id),
            ),
        )
        if int(reply[1]) < 0:
            raise _full(reply[2], spec.tenant)
        if reply[2] != fingerprint:
            raise IdempotencyConflict(
                f"idempotency key {spec.idempotency_key!r} was used for another request, job {reply[0]}"
            )
        return JobId(reply[0])

    async def extend(
        self, job: JobId, revision: int, steps: Sequence[NewStep], *, status: TaskStatus, event: str, data: str
    ) -> bool:
        """Write checked steps onto revision `revision` of the job's plan, and an event that says why.

        Returns:
            False when another replica did it first, or the job is final.
        """
        args: list[str | int] = [job, revision, status, event, data]
        for new in steps:
            step = new.step
            args += [
                step.id,
                step.kind,
                step.join,
                " ".join(step.depends_on),
                " ".join(new.dependents),
                step.model_dump_json(),
                step.queue,
            ]
        return await self.store.move(EXTEND, partition_of(job), args) == 1

    async def dispatch(self, partition: int, entries: Sequence[AttemptRef]) -> list[Step | None]:
        """Take the next attempts of ready steps of one partition.

        Returns:
            The steps whose messages are to be published now; None for those that are stale.
        """
        args: list[str | int] = [
            sources(Move.DISPATCH),
            sources(Move.REPUBLISH),
            int(self.settings.republish_s * 1000),
        ]
        for ref in entries:
            args += [ref.job, ref.step, ref.attempt]
        reply = cast("list[str]", await self.store.move(DISPATCH, partition, args))
        return [Step.model_validate_json(spec) if spec else None for spec in reply]

    async def postpone(self, ref: AttemptRef, delay_ms: int) -> bool:
        """Let the next attempt begin after a delay; False when this was decided before."""
        args = [sources(Move.POSTPONE), ref.job, ref.step, ref.attempt, delay_ms]
        return await self.store.move(POSTPONE, partition_of(ref.job), args) == 1

    async def give_up(self, ref: AttemptRef, failure: Failure) -> bool:
        """End a step for good; a planning step or the synthesis takes the job with it. False when stale."""
        args = [sources(Move.GIVE_UP), ref.job, ref.step, ref.attempt, failure.model_dump_json()]
        return await self.store.move(GIVE_UP, partition_of(ref.job), args) == 1

    async def end_job(self, job: JobId, status: TaskStatus, failure: Failure) -> TaskStatus | None:
        """Cancel or fail a job with all its open steps.

        Returns:
            The job's status after it: the earlier one when it was final before; None when there is no such job.
        """
        reply = await self.store.move(END_JOB, partition_of(job), [job, status, failure.model_dump_json()])
        return TaskStatus(str(reply)) if reply else None

    async def sweep(self, partition: int, windows: Mapping[str, int] = NO_WINDOWS, tenant_limit: int = 0) -> int:
        """Act on due timers of a partition, and let waiting steps into free slots; several replicas may do it at once.

        Args:
            windows: Steps that may be in flight for each queue; a queue that is not named keeps its last window.
            tenant_limit: Steps that may be in flight for each tenant; 0 for any number.

        Returns:
            How many were due; call again at once when it is SWEEP_BATCH.
        """
        args: list[str | int] = [
            sources(Move.LOSE),
            sources(Move.RESUME),
            sources(Move.REPUBLISH),
            SWEEP_BATCH,
            int(self.settings.republish_s * 1000),
            LOST.model_dump_json(),
            DEADLINE.model_dump_json(),
            tenant_limit,
        ]
        for queue, window in windows.items():
            args += [queue, window]
        return cast(int, await self.store.move(SWEEP, partition, args))


def _stored(spec: JobSpec) -> str:
    """The spec as it is stored: without its plan, and without defaults, so that an older release can read it."""
    fields = {"version": spec.version} | spec.model_dump(mode="json", exclude_defaults=True, exclude={"plan"})
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def _full(what: str, tenant: str) -> FleetFull:
    whose = "the fleet has" if what == "jobs" else f"tenant {tenant!r} has"
    after = f"try again in {BUSY.total_seconds():g} s"
    return FleetFull(f"{whose} as many open jobs as it may have; {after}", retry_after=BUSY)
