"""Random interleavings of all moves over one small job, on the real server; everything may be delivered twice."""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from contextlib import suppress
from itertools import count
from typing import Any, Final, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from hypothesis.strategies import DataObject, booleans, data, integers, sampled_from

from tasks.errors import NotDead
from tasks.events import ends_job
from tasks.ids import PLAN_STEP, SYNTHESIS_STEP, AttemptRef, JobId
from tasks.models import Join, StepResult
from tasks.settings import StoreSettings
from tasks.states import FINAL_JOB, FINAL_STEP, MOVES, StepStatus, TaskStatus
from tasks.store import Entry, Notice, Refusal, Store
from tests.support.builders import BAD, COST, DIAMOND, OUT_OF_LUCK, PARTITION, a_graph, a_job, a_planning_step
from tests.support.moves import NO_WAIT, Moves

T = TypeVar("T")
LEGAL: Final = {(source, target) for sources, target in MOVES.values() for source in sources}
ROUNDS: Final = 100
"""Rounds in which a job must be final once everybody does their work."""
NUMBERS = count()
DECISIONS: Final = ("retry", "fall back", "give up")
OWN: Final = frozenset({PLAN_STEP, SYNTHESIS_STEP})
"""Steps without a fallback."""
HEIR: Final = '{"agent":"worker","fallback":"heir","failure":{"code":"bad","message":"x"}}'


class Interleaved(RuleBasedStateMachine):
    """One job; an orchestrator that acts in any order and more than once; workers that do what they like."""

    store_settings: StoreSettings

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.store = Store(type(self).store_settings)
        self.moves = Moves(self.store, f"consumer{next(NUMBERS)}")
        self.unread: list[Entry] = []
        self.messages: list[AttemptRef] = []
        self.accepted: Counter[str] = Counter()
        self.forgotten: Counter[str] = Counter()
        self.cost = 0
        self.before: dict[str, StepStatus] = {}
        self.job = self.do(self.begin())
        self.joins = {"d": Join.ALL}

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run(work)

    async def begin(self) -> JobId:
        await self.moves.redis.delete(self.store.keys.control(PARTITION), self.store.keys.timers(PARTITION))
        await self.moves.outbox.open(PARTITION)
        return await self.moves.jobs.submit(a_job(), a_planning_step())

    # The orchestrator

    @rule(join=sampled_from(Join))
    def choose_a_join(self, join: Join) -> None:
        self.joins = {"d": join}

    @rule()
    def read(self) -> None:
        self.unread += self.do(self.moves.outbox.read(PARTITION, count=3, block=NO_WAIT))

    @precondition(lambda self: self.unread)
    @rule(data=data(), dies=booleans(), decision=sampled_from(DECISIONS), delay_ms=sampled_from([0, 60_000]))
    def act(self, data: DataObject, dies: bool, decision: str, delay_ms: int) -> None:
        """Act on an entry; a reader that dies right after has not deleted it."""
        entry = data.draw(sampled_from(self.unread))
        self.do(self.act_on(entry, decision, delay_ms))
        if not dies:
            self.unread.remove(entry)
            self.do(self.moves.outbox.done(PARTITION, [entry]))

    async def act_on(self, entry: Entry, decision: str, delay_ms: int) -> None:
        match entry.notice:
            case Notice.STEP_READY:
                if (await self.moves.jobs.dispatch(PARTITION, [entry.ref]))[0] is not None:
                    self.messages.append(entry.ref)
            case Notice.ATTEMPT_ENDED if decision == "retry":
                await self.moves.jobs.postpone(entry.ref, delay_ms)
            case Notice.ATTEMPT_ENDED if decision == "fall back" and entry.ref.step not in OWN:
                await self.fall_back(entry.ref)
            case Notice.ATTEMPT_ENDED | Notice.STEP_OVERDUE:
                await self.moves.jobs.give_up(entry.ref, OUT_OF_LUCK)
            case Notice.STEP_UNCLAIMED:
                self.messages.append(entry.ref)
            case Notice.CHILDREN_WANTED | Notice.HAND_OFF_WANTED:
                raise AssertionError("nothing is parked here")
            case Notice.REPLAN_WANTED | Notice.PLAN_PROPOSED:
                await self.moves.extend(self.job, a_graph(DIAMOND, joins=self.joins))

    async def fall_back(self, ref: AttemptRef) -> None:
        """Hand a step on between two agents, as often as it is asked for."""
        record = await self.moves.snapshots.step(ref.job, ref.step)
        if record is not None and ref.step not in OWN:
            heir = record.step.model_copy(update={"queue": "heir" if record.step.queue == "worker" else "worker"})
            await self.moves.jobs.fall_back(ref, heir, HEIR)

    @precondition(lambda self: self.messages)
    @rule(data=data())
    def hand_over(self, data: DataObject) -> None:
        """Decided by something that was read at any time before: stale, mostly."""
        self.do(self.fall_back(data.draw(sampled_from(self.messages))))

    @precondition(lambda self: StepStatus.FAILED in self.before.values())
    @rule(data=data())
    def retry_by_hand(self, data: DataObject) -> None:
        dead = sorted(step for step, status in self.before.items() if status is StepStatus.FAILED)
        self.do(self.reopen(data.draw(sampled_from(dead))))

    async def reopen(self, step: str) -> None:
        record = await self.moves.snapshots.job(self.job)
        with suppress(NotDead):
            await self.moves.reopen(self.job, step)
            now = {one.step.id: one.status for one in (await self.moves.snapshots.job(self.job)).steps}
            for one in record.steps:
                if one.status is not now[one.step.id]:
                    assert one.status in FINAL_STEP
                    self.accepted[one.step.id] = 0
                    self.forgotten[one.step.id] = sum(
                        event.type == "step_succeeded" and event.step == one.step.id
                        for event in await self.moves.told(self.job)
                    )
            self.before = {}  # a step may have made two moves at once

    @rule()
    def sweep(self) -> None:
        self.do(self.moves.jobs.sweep(PARTITION))

    @rule(data=data())
    def let_time_pass(self, data: DataObject) -> None:
        """A lease, a retry or a wait for a claim ends; not the job's deadline."""
        timers = sorted(member for member in self.do(self.moves.timers()) if ":" in member)
        if timers:
            member = data.draw(sampled_from(timers))
            self.do(self.moves.make_due(self.job, member.partition(":")[2]))

    @rule(sure=integers(0, 19))
    def cancel(self, sure: int) -> None:
        if sure == 0:
            self.do(self.moves.jobs.end_job(self.job, TaskStatus.CANCELLED, OUT_OF_LUCK))

    @rule(sure=integers(0, 19))
    def pass_the_deadline(self, sure: int) -> None:
        if sure == 0 and self.job in self.do(self.moves.timers()):
            self.do(self.moves.make_due(self.job))

    # The workers

    @precondition(lambda self: self.messages)
    @rule(data=data())
    def claim(self, data: DataObject) -> None:
        """Any message, delivered any number of times."""
        self.do(self.claim_one(data.draw(sampled_from(self.messages))))

    async def claim_one(self, ref: AttemptRef) -> bool:
        claim = await self.moves.claim(ref)
        if claim is None:
            return False
        status = {one.step.id: one.status for one in (await self.moves.snapshots.job(self.job)).steps}
        ends = [status[before] for before in claim.step.depends_on]
        if claim.step.join is Join.ALL:
            assert all(end is StepStatus.SUCCEEDED for end in ends), f"{ref.step} runs before its parents succeeded"
        elif claim.step.join is Join.ANY:
            assert StepStatus.SUCCEEDED in ends, f"{ref.step} runs before one of its parents"
        else:
            assert all(end in FINAL_STEP for end in ends), f"{ref.step} runs before its parents ended"
            assert StepStatus.SUCCEEDED in ends
        return True

    @precondition(lambda self: self.messages)
    @rule(data=data(), how=sampled_from(["succeed", "succeed", "succeed", "fail", "hand_back"]))
    def settle(self, data: DataObject, how: str) -> None:
        """Any attempt, whether it was claimed or not."""
        self.do(self.settle_one(data.draw(sampled_from(self.messages)), how))

    async def settle_one(self, ref: AttemptRef, how: str) -> None:
        if how == "succeed":
            refusal = await self.moves.attempts.succeed(ref, StepResult(text=ref.task_id), COST)
            self.accepted[ref.step] += refusal is None
        elif how == "fail":
            refusal = await self.moves.attempts.fail(ref, BAD, COST)
        else:
            refusal = await self.moves.attempts.hand_back(ref, "stopping", COST)
        assert refusal is None or isinstance(refusal, Refusal)
        self.cost += COST.cost_microusd if refusal is None else 0

    @precondition(lambda self: self.messages)
    @rule(data=data())
    def live(self, data: DataObject) -> None:
        ref = data.draw(sampled_from(self.messages))
        self.do(self.moves.attempts.heartbeat(PARTITION, [ref]))
        self.do(self.moves.attempts.report(ref, [("step_progress", '{"message":"still here"}')]))

    # What holds after every move

    @invariant()
    def the_job_is_whole(self) -> None:
        self.do(self.check())

    async def check(self) -> None:
        record = await self.moves.snapshots.job(self.job)
        now = {one.step.id: one.status for one in record.steps}
        changed = {(self.before[step], status) for step, status in now.items() if step in self.before}
        assert {pair for pair in changed if pair[0] is not pair[1]} <= LEGAL
        self.before = {str(step): status for step, status in now.items()}
        ended = sum(status in FINAL_STEP for status in now.values())
        names = ("open", "done", "total", "cost")
        counts = await self.moves.redis.hmget(self.store.keys.job(self.job), names)
        counted = {name: int(value) for name, value in zip(names, counts, strict=True)}
        assert counted == {"open": len(now) - ended, "done": ended, "total": len(now), "cost": self.cost}
        told = await self.moves.told(self.job)
        assert [event.seq for event in told] == list(range(1, record.seq + 1))
        committed = Counter(event.model_dump()["step"] for event in told if event.type == "step_succeeded")
        committed -= self.forgotten
        assert committed == +self.accepted
        assert max(committed.values(), default=1) == 1
        for one in record.steps:
            assert (one.result is not None) is (one.status is StepStatus.SUCCEEDED)
        assert record.final is ends_job(told[-1])
        if record.final:
            assert not set(now.values()) - FINAL_STEP
            assert await self.moves.timers() == {}

    def teardown(self) -> None:
        try:
            self.do(self.drain())
        finally:
            self.do(self.store.close())
            self.loop.close()

    async def drain(self) -> None:
        """Once everybody does their work, the job becomes final whatever has happened before."""
        for _ in range(ROUNDS):
            self.unread += await self.moves.entries()
            for entry in self.unread:
                await self.act_on(entry, "give up", 0)
            await self.moves.outbox.done(PARTITION, self.unread)
            self.unread.clear()
            for ref in list(self.messages):
                if await self.claim_one(ref):
                    await self.settle_one(ref, "succeed")
            self.before = {}  # more than one move of a step may have been made since
            await self.check()
            status, _ = await self.moves.snapshots.status(self.job)
            if status in FINAL_JOB and await self.moves.outbox.waiting(PARTITION) == 0:
                break
            for member in await self.moves.timers():
                if ":" in member:
                    await self.moves.make_due(self.job, member.partition(":")[2])
            await self.moves.jobs.sweep(PARTITION)
        record = await self.moves.snapshots.job(self.job)
        assert record.final, [(one.step.id, one.status) for one in record.steps]
        closing = next((one for one in record.steps if one.step.id == SYNTHESIS_STEP), None)
        if record.status is TaskStatus.COMPLETED:
            assert closing is not None
            assert closing.result is not None
        else:
            assert record.failure is not None


@pytest.fixture
def machine(store_settings: StoreSettings) -> type[Interleaved]:
    """Its timers end only when a rule says so."""

    longer = store_settings.model_copy(update={"lease_s": 3600.0, "republish_s": 3600.0})

    class Machine(Interleaved):
        store_settings = longer

    return Machine


@pytest.mark.timeout(180)  # coverage of a traced interpreter costs much
def test_no_interleaving_of_moves_breaks_a_job(machine: type[Interleaved]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=30,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
            phases=[Phase.generate, Phase.shrink],
            database=None,
        ),
    )
