"""What parked steps wait for: other steps, a person's yes, an answer. And what has come of it.

A wait has a key, the same in every attempt of its step. Its first outcome counts.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, NamedTuple, cast

from pydantic import JsonValue

from tasks.ids import JobId, StepId, partition_of
from tasks.models import Step
from tasks.queues import DECIDERS
from tasks.store.failures import translated
from tasks.store.reading import readable
from tasks.store.scripts import ADOPT, AWAITED, HAND_OVER, OUTCOME
from tasks.store.store import Store


class WaitKind(StrEnum):
    """What is waited for."""

    CHILDREN = "children"
    """Steps that are done for the parked one."""
    APPROVAL = "approval"
    """A person's yes to a tool call."""
    QUESTION = "question"
    """A person's answer."""
    HAND_OFF = "hand_off"
    """Another agent that goes on with the conversation."""
    MESSAGE = "message"
    """Something that another step says to it."""


ASKED: Final = frozenset({WaitKind.APPROVAL, WaitKind.QUESTION})
"""Kinds for which people are asked."""


class Wanted(NamedTuple):
    """Something that a step is to be parked for."""

    key: str
    """Without blanks; the same in every attempt."""
    kind: WaitKind
    data: str
    """What is wanted, as JSON."""
    expires: timedelta | None = None
    """From now; None: with its step."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Something that a step waits for, or has waited for."""

    job: JobId
    step: StepId
    key: str
    data: JsonValue
    expires_at: datetime | None
    outcome: dict[str, JsonValue] | None
    """What came of it: `{"kind": …}`; None: nothing yet."""
    children: tuple[StepId, ...] = ()


class Recorded(StrEnum):
    """What became of an outcome."""

    DONE = "done"
    TOO_LATE = "too_late"
    """It had one before."""
    UNKNOWN = "unknown"
    """Nothing of that name is waited for, or its step has ended."""


class WaitStore:
    """Reads waits and records their outcomes."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def of_job(self, job: JobId) -> list[Wait]:
        """All waits of a job's steps that were not forgotten.

        Raises:
            DamagedRecord: one cannot be read.
            StoreUnavailable: no answer in time.
        """
        return await self._read(job, "")

    async def of_step(self, job: JobId, step: StepId) -> list[Wait]:
        """The waits of one step."""
        return await self._read(job, step)

    async def outcome(self, job: JobId, step: StepId, key: str, outcome: dict[str, JsonValue]) -> Recorded:
        """Record what came of a wait; the step goes on when it waits for nothing else. The first outcome counts."""
        args = [job, step, key, json.dumps(outcome, ensure_ascii=False)]
        reply = await self.store.move(OUTCOME, partition_of(job), args)
        return {1: Recorded.DONE, 0: Recorded.TOO_LATE}.get(cast(int, reply), Recorded.UNKNOWN)

    async def adopt(
        self,
        job: JobId,
        parent: StepId,
        key: str,
        steps: Sequence[tuple[Step, Sequence[StepId]]],
        data: str,
        *,
        most: int = 100_000,
    ) -> bool | None:
        """Write the checked children of a parked step, each with those that depend on it; once for each wait.

        Args:
            most: Steps of the job, with these.

        Returns:
            False when the wait has them, or an outcome, already; None when a step of the job has one of the ids, or
            there would be too many of them: look again.
        """
        args: list[str | int] = [job, parent, key, data, most]
        for step, dependents in steps:
            args += [
                step.id,
                step.kind,
                step.join,
                " ".join(step.depends_on),
                " ".join(dependents),
                step.model_dump_json(exclude_defaults=True),
                step.queue,
                step.queue_ms,
                step.total_ms,
                step.quorum,
                "decision" if step.agent in DECIDERS else "1" if step.optional else "",
                step.join_ms,
            ]
        reply = cast(int, await self.store.move(ADOPT, partition_of(job), args))
        return None if reply == 2 else reply == 1

    async def hand_over(
        self, job: JobId, step: StepId, key: str, outcome: dict[str, JsonValue], heir: Step, data: str
    ) -> bool:
        """Let another agent go on with a parked step, once; False when stale.

        Args:
            heir: The step as it is from now on.
            data: Data of the event that says so.
        """
        said = json.dumps(outcome, ensure_ascii=False)
        spec = heir.model_dump_json(exclude_defaults=True)
        args = [job, step, key, said, spec, heir.queue, heir.queue_ms, data]
        return await self.store.move(HAND_OVER, partition_of(job), args) == 1

    async def asked(self, limit: int = 1000) -> list[tuple[JobId, StepId, str]]:
        """All that people are asked, in all jobs, the oldest first: job, step, key."""
        return [place for _, place in await self.asked_since(limit)]

    async def asked_since(self, limit: int = 1000) -> list[tuple[datetime, tuple[JobId, StepId, str]]]:
        """The same, each with when it was asked, by Redis' clock."""
        found: list[tuple[float, str]] = []
        async with translated(self.store.settings):
            for partition in range(self.store.settings.partitions):
                key = f"{self.store.keys.jobs(partition)}asked"
                rows = cast(
                    "list[tuple[str, float]]",
                    await cast(Any, self.store.redis).zrange(key, 0, limit - 1, withscores=True),
                )
                found += [(score, member) for member, score in rows]
        return [(datetime.fromtimestamp(at / 1000, UTC), _asked(member)) for at, member in sorted(found)[:limit]]

    async def _read(self, job: JobId, step: str) -> list[Wait]:
        async with translated(self.store.settings):
            key = f"{self.store.keys.job(job)}:waits"
            reply = cast("list[str]", await AWAITED.run(self.store.redis, [key], [step]))
        with readable(f"what job {job} waits for"):
            return [_wait(job, reply[at : at + 6]) for at in range(0, len(reply), 6)]


def _asked(member: str) -> tuple[JobId, StepId, str]:
    place, _, key = member.partition(" ")
    job, _, step = place.partition(":")
    return JobId(job), StepId(step), key


def _wait(job: JobId, row: Sequence[str]) -> Wait:
    step, key, data, expires, outcome, children = row
    return Wait(
        job=job,
        step=StepId(step),
        key=key,
        data=json.loads(data) if data else None,
        expires_at=datetime.fromtimestamp(int(expires) / 1000, UTC) if expires else None,
        outcome=json.loads(outcome) if outcome else None,
        children=tuple(StepId(child) for child in children.split()),
    )
