"""Random moves over a job whose steps park, have children, are paused, handed over and retried: whatever came before,
nothing of it is left when the job has ended."""

import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Final

import pytest

from tasks.errors import NotDead
from tasks.ids import AttemptRef, JobId, StepId
from tasks.models import Failure, Step
from tasks.states import FINAL_JOB, FINAL_STEP, StepStatus, TaskStatus
from tasks.store import BoardStore, Notice
from tasks.store.snapshot import StepRecord
from tasks.store.waits import Wait, WaitKind, WaitStore, Wanted
from tasks.usage import Usage
from tests.support.builders import BAD, COST, DIAMOND, OUT_OF_LUCK, PARTITION, RESULT, a_step
from tests.support.moves import Moves

MOVES: Final = 120
ROUNDS: Final = 60
"""Of work in which every job ends once nothing goes wrong any more."""
HOUR_MS: Final = 3_600_000
STOPPED: Final = Failure(code="cancelled", message="enough")
KINDS: Final = (WaitKind.CHILDREN, WaitKind.APPROVAL, WaitKind.QUESTION, WaitKind.HAND_OFF, WaitKind.MESSAGE)


class Anybody:
    """An orchestrator, workers, people and time in one: each does at any moment whatever it may."""

    def __init__(self, moves: Moves, seed: int) -> None:
        self.moves = moves
        self.draw = random.Random(seed)
        self.waits = WaitStore(moves.store)
        self.board = BoardStore(moves.store)
        self.jobs: list[JobId] = []

    async def begin(self) -> None:
        window = self.draw.choice([1, 2, 5])
        await self.moves.jobs.sweep(PARTITION, {"worker": window, "heir": 1}, tenant_limit=self.draw.choice([0, 2]))
        for _ in range(2):
            self.jobs.append(await self.moves.planned(DIAMOND, max_steps=self.draw.choice([None, 1, 3])))
            await self.publish()

    async def act(self) -> None:
        """One move of one job."""
        job = self.draw.choice(self.jobs)
        step = self.draw.choice((await self.moves.snapshots.job(job)).steps)
        ref = AttemptRef(job, StepId(step.step.id), step.attempt)
        of_status: dict[StepStatus, list[Callable[[AttemptRef, StepRecord], Awaitable[object]]]] = {
            StepStatus.READY: [self.dispatch, self.dispatch, self.fall_back],
            StepStatus.DISPATCHED: [self.claim, self.claim, self.fall_back],
            StepStatus.RUNNING: [self.succeed, self.fail, self.park, self.park, self.lose, self.post],
            StepStatus.DELAYED: [self.retry, self.give_up, self.fall_back],
            StepStatus.PARKED: [self.come, self.come, self.come, self.give_up, self.expire],
        }
        choices = of_status.get(step.status, [])
        if not choices or self.draw.random() < 0.15:
            await self.draw.choice([self.pause, self.resume, self.advance, self.sweep, self.reopen])(job)
            return
        await self.draw.choice(choices)(ref, step)

    async def publish(self) -> None:
        """Dispatch all that is told to be ready."""
        for asked in await self.moves.asked_for(Notice.STEP_READY):
            await self.moves.jobs.dispatch(PARTITION, [asked])

    async def dispatch(self, ref: AttemptRef, step: StepRecord) -> None:
        await self.publish()

    async def claim(self, ref: AttemptRef, step: StepRecord) -> None:
        await self.moves.claim(ref)

    async def succeed(self, ref: AttemptRef, step: StepRecord) -> None:
        await self.moves.attempts.succeed(ref, RESULT, COST)

    async def fail(self, ref: AttemptRef, step: StepRecord) -> None:
        await self.moves.attempts.fail(ref, BAD, COST)

    async def lose(self, ref: AttemptRef, step: StepRecord) -> None:
        await self.moves.lost(ref.job, ref.step)

    async def post(self, ref: AttemptRef, step: StepRecord) -> None:
        await self.board.post(ref, f"k{self.draw.random()}", "hear", agent="worker")

    async def retry(self, ref: AttemptRef, step: StepRecord) -> None:
        await self.moves.jobs.postpone(ref, self.draw.choice([0, 1000]))

    async def give_up(self, ref: AttemptRef, step: StepRecord) -> None:
        await self.moves.jobs.give_up(ref, OUT_OF_LUCK)

    async def fall_back(self, ref: AttemptRef, step: StepRecord) -> None:
        await self.moves.jobs.fall_back(ref, self._heir(step.step), '{"agent":"worker","fallback":"heir"}')

    async def park(self, ref: AttemptRef, step: StepRecord) -> None:
        count = self.draw.choice([1, 1, 2])
        wanted = [
            Wanted(
                f"w{self.draw.randrange(6)}",
                kind,
                '{"since":0,"agent":"worker"}',
                timedelta(hours=1) if self.draw.random() < 0.3 else None,
            )
            for kind in self.draw.sample(KINDS, count)
        ]
        if len({one.key for one in wanted}) == count:
            await self.moves.attempts.park(ref, wanted, Usage())

    async def come(self, ref: AttemptRef, step: StepRecord) -> None:
        """Something that a parked step waits for: children, another agent, or what came of it."""
        open_ones = [one for one in await self.waits.of_step(ref.job, ref.step) if one.outcome is None]
        if not open_ones:
            return
        wait: Wait = self.draw.choice(open_ones)
        what = self.draw.choice(["children", "children", "hand over", "outcome"])
        if what == "children" and not wait.children and len(self.jobs) < 40:
            taken = {one.step.id for one in (await self.moves.snapshots.job(ref.job)).steps}
            names = [f"{ref.step[:30]}_{len(taken) + at}" for at in range(self.draw.choice([1, 2]))]
            if len(taken) < 25:
                children = [(a_step(name, parent=ref.step), ()) for name in names]
                await self.waits.adopt(ref.job, ref.step, wait.key, children, "{}")
        elif what == "hand over":
            await self.waits.hand_over(
                ref.job, ref.step, wait.key, {"kind": "handed_over"}, self._heir(step.step), "{}"
            )
        elif what == "outcome" and not wait.children:
            await self.waits.outcome(ref.job, ref.step, wait.key, {"kind": "refused", "faults": []})

    async def expire(self, ref: AttemptRef, step: StepRecord) -> None:
        key = f"{self.moves.store.keys.job(ref.job)}:waits"
        for name in await self.moves.redis.hkeys(key):
            if name.startswith(f"x {ref.step} ") and f"{ref.job}:{ref.step}" in await self.moves.timers():
                await self.moves.redis.hset(key, name, 1)
                await self.moves.make_due(ref.job, ref.step)
        await self.moves.jobs.sweep(PARTITION)

    async def pause(self, job: JobId) -> None:
        await self.moves.jobs.pause(job)

    async def resume(self, job: JobId) -> None:
        await self.moves.jobs.resume(job)

    async def advance(self, job: JobId) -> None:
        await self.moves.jobs.go_on(job, self.draw.choice([None, 1, 2]), HOUR_MS)

    async def sweep(self, job: JobId) -> None:
        for member in await self.moves.timers():
            if ":" in member and self.draw.random() < 0.3:
                await self.moves.redis.zadd(self.moves.store.keys.timers(PARTITION), {member: 1}, xx=True)
        await self.moves.jobs.sweep(PARTITION)

    async def reopen(self, job: JobId) -> None:
        record = await self.moves.snapshots.job(job)
        failed = [one.step.id for one in record.steps if one.status is StepStatus.FAILED]
        if failed:
            with suppress(NotDead):
                await self.moves.reopen(job, *self.draw.sample(failed, self.draw.randint(1, len(failed))))

    async def cancel(self) -> None:
        for job in self.jobs:
            await self.moves.jobs.end_job(job, TaskStatus.CANCELLED, STOPPED)

    async def finish(self) -> None:
        """Everybody does their work from now on, and nothing goes wrong."""
        for _ in range(ROUNDS):
            for job in self.jobs:
                await self.moves.jobs.resume(job)
                await self.moves.jobs.go_on(job, None, HOUR_MS)
                for step in (await self.moves.snapshots.job(job)).steps:
                    await self.do_rightly(AttemptRef(job, StepId(step.step.id), step.attempt), step)
            await self.publish()

    async def do_rightly(self, ref: AttemptRef, step: StepRecord) -> None:
        """What a healthy fleet does next about a step."""
        match step.status:
            case StepStatus.DISPATCHED:
                await self.moves.claim(ref)
            case StepStatus.RUNNING:
                await self.moves.attempts.succeed(ref, RESULT, COST)
            case StepStatus.DELAYED:
                await self.moves.jobs.give_up(ref, OUT_OF_LUCK)
            case StepStatus.PARKED:
                for wait in await self.waits.of_step(ref.job, ref.step):
                    if wait.outcome is None and not wait.children:
                        await self.waits.outcome(ref.job, ref.step, wait.key, {"kind": "refused", "faults": []})
            case _:
                pass

    def _heir(self, step: Step) -> Step:
        return step.model_copy(update={"agent": "heir", "queue": self.draw.choice(["heir", "worker"])})


async def counts(moves: Moves) -> dict[str, str]:
    """Counters of admission that are not 0."""
    found: dict[str, str] = await moves.redis.hgetall(f"{moves.store.keys.jobs(PARTITION)}load")
    return {name: value for name, value in found.items() if name[:2] in {"F:", "N:", "T:", "J:", "jo"} and value != "0"}


async def check_slots(moves: Moves, jobs: list[JobId]) -> None:
    """Each slot that is counted is one step's, and each such step is about to run or runs."""
    held = 0
    for job in jobs:
        fields: dict[str, str] = await moves.redis.hgetall(f"{moves.store.keys.job(job)}:steps")
        slots = {name[2:] for name in fields if name.startswith("g:")}
        assert {fields[f"s:{one}"] for one in slots} <= {"ready", "dispatched", "running"}, fields
        assert int(await moves.field(job, "flying") or 0) == len(slots)
        opened = [name for name, value in fields.items() if name.startswith("s:") and value not in FINAL_STEP]
        assert int(await moves.field(job, "open")) == len(opened)
        held += len(slots)
    load = await counts(moves)
    assert sum(int(value) for name, value in load.items() if name.startswith("F:")) == held


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("how", ["cancel", "finish"])
async def test_whatever_happens_nothing_is_left_of_a_job_that_has_ended(moves: Moves, seed: int, how: str) -> None:
    anybody = Anybody(moves, seed)
    await anybody.begin()
    for _ in range(MOVES):
        await anybody.act()
        await check_slots(moves, anybody.jobs)
    await (anybody.cancel() if how == "cancel" else anybody.finish())
    for job in anybody.jobs:
        record = await moves.snapshots.job(job)
        assert record.status in FINAL_JOB
        assert {one.status for one in record.steps} <= FINAL_STEP
        assert int(await moves.field(job, "flying") or 0) == 0
    assert await counts(moves) == {}
    assert await moves.timers() == {}
    assert await anybody.waits.asked() == []
    prefix = moves.store.keys.jobs(PARTITION)
    assert not await moves.redis.exists(f"{prefix}waits", f"{prefix}worker:line", f"{prefix}heir:line")
