"""Acting on control entries: dispatch what is ready, decide what faltered, check what is proposed.

Everything here may happen twice, in two replicas, or stop after any line: each move is fenced, and an entry is
deleted only after it was acted on.
"""

import asyncio
import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Final, assert_never
from weakref import WeakValueDictionary

import structlog
from pydantic import JsonValue

from orchestrator.planning.check import check, named, planning_step
from orchestrator.planning.children import family
from orchestrator.planning.hand_off import hand_over
from orchestrator.planning.proposal import proposed
from orchestrator.planning.replan import wished
from orchestrator.scheduling.absence import Absences, Patience
from orchestrator.scheduling.decide import NO_WORKER, GiveUp, Retry, after_attempt, no_time, overdue, taken_over
from orchestrator.scheduling.dispatch import Publisher
from orchestrator.scheduling.lines import about, leave, whose
from orchestrator.scheduling.replanning import plan_again
from orchestrator.settings import OrchestratorSettings
from tasks.errors import DamagedRecord, IncompatibleVersion, TransientError, UnknownJob
from tasks.ids import PLAN_STEP, REPAIR_STEP, JobId, StepId
from tasks.messages import Dispatch
from tasks.models import AgentDefinition, Failure, Plan, Step
from tasks.presence import WorkerPresence
from tasks.queues import BUILT_IN, of_version
from tasks.redaction import excerpt
from tasks.states import FINAL_STEP, StepStatus, TaskStatus
from tasks.store import (
    Entry,
    FleetStore,
    JobRecord,
    JobStore,
    Made,
    NewStep,
    Notice,
    Outbox,
    Snapshots,
    StepRecord,
    Store,
)
from tasks.store.attempts import HANDED_BACK
from tasks.store.fleet import agents_of
from tasks.store.reading import readable
from tasks.store.waits import WaitStore

log = structlog.get_logger("orchestrator")

LOOK_AGAIN_S: Final = 1.0
"""How long a look at a queue holds. Each unclaimed message asks for one; a thousand may wait in one queue."""
REMEMBERED_S: Final = 600.0
"""How long a plan may name an agent after the last look that found it alive."""
ADOPT_TRIES: Final = 20
"""Times that children are named anew because another orchestrator took the names, or the room."""
AT_ONCE: Final = 32
"""Entries other than dispatches that are worked on at the same time, a partition."""
MAX_REASON_CHARS: Final = 2000


class Actor:
    """What an orchestrator does with the entries of its partitions."""

    def __init__(self, store: Store, publisher: Publisher, outbox: Outbox, settings: OrchestratorSettings) -> None:
        self.jobs = JobStore(store)
        self.snapshots = Snapshots(store)
        self.fleet = FleetStore(store)
        self.waits = WaitStore(store)
        self.publisher = publisher
        self.outbox = outbox
        self.settings = settings
        self.absences = Absences(forget_s=3 * store.settings.republish_s)
        self.patience = Patience(settings.no_worker_s)
        self.slots = asyncio.Semaphore(AT_ONCE)
        self.adopting: WeakValueDictionary[JobId, asyncio.Lock] = WeakValueDictionary()
        self.looks: dict[str, tuple[float, bool, int]] = {}
        self.looking = asyncio.Lock()
        self.seen: dict[str, tuple[AgentDefinition, float]] = {}
        self.versions: dict[str, frozenset[str]] = {}
        """Versions of each agent that workers had when they were last looked at."""

    async def act(self, partition: int, entries: Sequence[Entry]) -> None:
        """Act on entries and delete those that are done.

        Raises:
            StoreUnavailable, BrokerUnavailable: entries that are not done stay and are taken over later.
        """
        ready = [entry for entry in entries if entry.notice is Notice.STEP_READY]
        others = [entry for entry in entries if entry.notice is not Notice.STEP_READY]
        async with asyncio.TaskGroup() as group:
            if ready:
                group.create_task(self._dispatch(partition, ready))
            for entry in others:
                group.create_task(self._one(partition, entry))

    async def _dispatch(self, partition: int, entries: Sequence[Entry]) -> None:
        """One script and one batch of messages; entry by entry when one of them has a defect."""
        try:
            await self._publish(partition, entries)
        except TransientError:
            raise
        except Exception as error:
            if len(entries) > 1:
                for entry in entries:
                    await self._dispatch(partition, [entry])
                return
            with about(entries[0]):
                if isinstance(error, IncompatibleVersion):
                    leave(entries[0], error)
                    return
                log.exception("entry_failed", notice=entries[0].notice)
                await self._end(entries[0], error)
        await self.outbox.done(partition, entries)

    async def _publish(self, partition: int, entries: Sequence[Entry]) -> None:
        steps = await self.jobs.dispatch(partition, [entry.ref for entry in entries])
        dispatches = [
            Dispatch.of(entry.ref.job, step, entry.ref.attempt, self._route(step))
            for entry, step in zip(entries, steps, strict=True)
            if step is not None
        ]
        if dispatches:
            await self.publisher.publish(dispatches)

    async def _one(self, partition: int, entry: Entry) -> None:
        async with self.slots:
            with about(entry):
                if not await self._handled(entry):
                    return
        await self.outbox.done(partition, [entry])

    async def _handled(self, entry: Entry) -> bool:
        """Act on an entry; False when it is to stay, and to be taken over after a while."""
        try:
            await self._handle(entry)
        except _LaterError:
            return False
        except UnknownJob:
            log.info("entry_dropped", notice=entry.notice, reason="job is past its retention")
        except TransientError:
            raise
        except IncompatibleVersion as error:
            leave(entry, error)
            return False
        except Exception as error:
            log.exception("entry_failed", notice=entry.notice)
            await self._end(entry, error)
        return True

    async def _end(self, entry: Entry, error: Exception) -> None:
        """Fail the job that a defect belongs to: its entry would come back for ever, and stop its neighbours."""
        reason = excerpt(f"the orchestrator failed on it: {type(error).__name__}: {error}", MAX_REASON_CHARS)
        try:
            await self.jobs.end_job(entry.ref.job, TaskStatus.FAILED, Failure(code="internal_error", message=reason))
        except DamagedRecord as damage:  # raised further, it would end every orchestrator that takes the entry over
            log.error("job_cannot_end", reason=str(damage))

    async def _handle(self, entry: Entry) -> None:
        match entry.notice:
            case Notice.ATTEMPT_ENDED:
                await self._decide(entry)
            case Notice.STEP_UNCLAIMED:
                await self._look_for(entry)
            case Notice.STEP_OVERDUE:
                await self._end_wait(entry)
            case Notice.CHILDREN_WANTED:
                await self._adopt(entry)
            case Notice.HAND_OFF_WANTED:
                await self._hand_off(entry)
            case Notice.PLAN_PROPOSED:
                await self._plan(entry)
            case Notice.REPLAN_WANTED:
                await plan_again(self.jobs, self.snapshots, entry.ref.job, await self._agents(), self.settings)
            case Notice.STEP_READY:
                raise AssertionError("dispatched in batches")
            case _:
                assert_never(entry.notice)

    async def _decide(self, entry: Entry) -> None:
        record = whose(await self.snapshots.step(entry.ref.job, entry.ref.step))
        if record is None or record.status is not StepStatus.DELAYED or record.attempt != entry.ref.attempt:
            return
        with readable(f"the failure of {entry.ref.task_id}"):
            failure = Failure.model_validate_json(entry.data)
        if failure.code == HANDED_BACK:  # perhaps by a worker that has another version: look who has this one
            self.remember(await self.fleet.workers())
        decision = after_attempt(
            record.step.retry, failure, failures=record.failures, losses=record.losses, draw=random.random()
        )
        match decision:
            case Retry(delay_ms):
                log.info("step_retrying", delay_ms=delay_ms, code=failure.code)
                made = await self.jobs.postpone(entry.ref, delay_ms)
                if made in {Made.TOO_LATE, Made.OVER}:
                    await self._hand_over(entry, record, no_time(failure))
            case GiveUp(final):
                await self._hand_over(entry, record, final)
            case _:
                assert_never(decision)

    async def _hand_over(self, entry: Entry, record: StepRecord, failure: Failure) -> None:
        """Give a step to its next fallback agent, or up."""
        heir = taken_over(record.step, failure.code)
        if heir is not None:
            heir = heir.model_copy(update={"queue": await self._queue_of(heir)})
            names = {"agent": record.step.agent, "fallback": heir.agent}
            data = _json(**names, failure=failure.model_dump(mode="json", exclude_defaults=True))
            made = await self.jobs.fall_back(entry.ref, heir, data, seen=record.status)
            if made is not Made.OVER:
                log.warning("step_fell_back", fallback=heir.agent, code=failure.code, reason=failure.message)
                return
        log.warning("step_given_up", code=failure.code, reason=failure.message)
        await self.jobs.give_up(entry.ref, failure, seen=record.status)

    async def _queue_of(self, step: Step) -> str:
        """Where its agent is fed now: it may not have been up when the plan was accepted."""
        return next((agent.queue for agent in await self.fleet.agents() if agent.name == step.agent), step.queue)

    async def _end_wait(self, entry: Entry) -> None:
        record = whose(await self.snapshots.step(entry.ref.job, entry.ref.step))
        status, code, waited = entry.data.split(" ")
        if record is None or record.status.value != status or record.attempt != entry.ref.attempt:
            return
        await self._hand_over(entry, record, overdue(code, int(waited), record.step.queue))

    async def _look_for(self, entry: Entry) -> None:
        record = whose(await self.snapshots.step(entry.ref.job, entry.ref.step))
        if record is None or record.status is not StepStatus.DISPATCHED or record.attempt != entry.ref.attempt:
            return
        waited, _, overtaken = entry.data.partition(" ")
        queue, waited_ms, routed = record.step.queue, int(waited), self._route(record.step)
        living, depth = await self._look_at(queue, routed)
        absent_s = self.absences.look(queue, living=living, now=time.monotonic())
        if min(absent_s, waited_ms / 1000) >= self.settings.no_worker_s:
            reason = (
                f"no living worker listens on queue {queue!r} (waited {waited_ms / 1000:.0f} s); "
                f"start one: troupe worker {queue}"
            )
            await self._hand_over(entry, record, Failure(code=NO_WORKER, message=reason))
        elif depth == 0 or overtaken:
            log.warning("message_published_again", queue=queue, waited_ms=waited_ms)
            await self.publisher.publish([Dispatch.of(entry.ref.job, record.step, entry.ref.attempt, routed)])

    def _route(self, step: Step) -> str:
        """The queue of a step's messages: of its agent's version, while workers of that one and of others are up."""
        versions = self.versions.get(step.agent, frozenset())
        return of_version(step.queue, step.version) if step.version in versions and len(versions) > 1 else step.queue

    async def _look_at(self, queue: str, routed: str) -> tuple[bool, int]:
        """Whether somebody listens on a queue, and how many messages wait there; looked up once for many steps."""
        async with self.looking:
            at, living, depth = self.looks.get(routed, (-LOOK_AGAIN_S, False, 0))
            if time.monotonic() - at >= LOOK_AGAIN_S:
                living = any(queue in worker.queues for worker in await self.fleet.workers())
                depth = await self.publisher.depth(routed)
                self.looks[routed] = (time.monotonic(), living, depth)
        return living, depth

    async def _adopt(self, entry: Entry) -> None:
        """One after the other in a job: each counts and names its children by those that are there."""
        lock = self.adopting.setdefault(entry.ref.job, asyncio.Lock())
        async with lock:
            await self._adopt_next(entry)

    async def _adopt_next(self, entry: Entry) -> None:
        """Check what a parked step wants done, and write it; or let the step go on with the faults."""
        job, step, key = entry.ref.job, entry.ref.step, entry.data
        for _ in range(ADOPT_TRIES):
            record = await self.snapshots.job(job)
            parent = next((one for one in record.steps if one.step.id == step), None)
            wait = next((one for one in await self.waits.of_step(job, step) if one.key == key), None)
            if record.final or parent is None or wait is None or wait.outcome is not None or wait.children:
                return
            whose(parent)
            taken = {one.step.id for one in record.steps}
            seen = {one.step.id for one in record.steps if one.step.parent == step} | set(parent.step.depends_on)
            done = {one.step.id for one in record.steps if one.step.id in seen and one.status in FINAL_STEP}
            agents = await self._agents()
            loads = await self._loads(agents)
            under_way = sum(one.step.parent == step and one.status not in FINAL_STEP for one in record.steps)
            checked = family(
                wait.data, parent.step, taken, agents, self.settings, done=done, under_way=under_way, loads=loads
            )
            if checked.faults:
                log.warning("children_refused", faults=list(checked.faults))
                await self.waits.outcome(job, step, key, {"kind": "refused", "faults": list(checked.faults)})
                return
            names = [new.step.id for new in checked.steps]
            steps = [(new.step, new.dependents) for new in checked.steps]
            most = self.settings.max_job_steps
            if await self.waits.adopt(job, step, key, steps, _json(steps=names), most=most) is not None:
                log.info("children_accepted", steps=names)
                return
        raise _LaterError  # another orchestrator took the names, time and again

    async def _hand_off(self, entry: Entry) -> None:
        """Let another agent go on with a parked step, or tell its agent why not."""
        job, step, key = entry.ref.job, entry.ref.step, entry.data
        record = whose(await self.snapshots.step(job, step))
        wait = next((one for one in await self.waits.of_step(job, step) if one.key == key), None)
        if record is None or record.status is not StepStatus.PARKED or wait is None or wait.outcome is not None:
            return
        checked = hand_over(wait.data, record.step, await self._agents(), self.settings)
        to, reason = checked.wish.agent, excerpt(checked.wish.reason, MAX_REASON_CHARS)
        if checked.heir is None:
            log.warning("hand_off_refused", to=to, fault=checked.fault)
            await self.waits.outcome(job, step, key, {"kind": "refused", "faults": [checked.fault]})
            return
        agent = record.step.agent
        outcome: dict[str, JsonValue] = {"kind": "handed_over", "agent": agent, "to": to, "reason": reason}
        if await self.waits.hand_over(job, step, key, outcome, checked.heir, _json(agent=agent, to=to, reason=reason)):
            log.info("step_handed_over", to=to)

    async def _plan(self, entry: Entry) -> None:
        record = await self.snapshots.job(entry.ref.job)
        if record.final or record.revision != (1 if entry.ref.step == REPAIR_STEP else 0):
            return
        agents = await self._agents()
        plan, faults = proposed(record, entry.ref.step)
        given = record.spec.plan is not None  # whoever gave it may start the worker now; a planner knows who is alive
        loads, there = await self._loads(agents), {one.step.id for one in record.steps}
        checked = check(plan, agents, self.settings, given=given, loads=loads, there=there) if plan else None
        if checked is not None and not checked.faults and plan is not None:
            await self._accept(record, plan, checked.steps)
            return
        faults = list(checked.faults if checked is not None else named(faults))
        absent = given and checked is not None and checked.only_absent
        if absent and self.patience.waits(entry.ref.job, time.monotonic()):
            log.info("plan_waits", faults=faults)
            raise _LaterError
        log.warning("plan_rejected", faults=faults)
        if entry.ref.step == PLAN_STEP:
            await self._repair(record, agents, faults)
        else:
            reason = excerpt(f"the plan may not run: {'; '.join(faults)}", MAX_REASON_CHARS)
            await self.jobs.end_job(record.spec.id, TaskStatus.FAILED, Failure(code="invalid_plan", message=reason))

    async def _agents(self) -> list[AgentDefinition]:
        """Agents alive now or a while ago, and the built-in ones: their steps wait when no worker of theirs is up."""
        self.remember(await self.fleet.workers())
        known = {name: agent for name, (agent, at) in self.seen.items() if time.monotonic() - at < REMEMBERED_S}
        return [*known.values(), *(agent for agent in BUILT_IN if agent.name not in known)]

    async def _loads(self, agents: Sequence[AgentDefinition]) -> dict[str, int]:
        """How long the queues of agents are that share a capability with another one: the shorter one is taken."""
        shared = {word for word, count in Counter(w for one in agents for w in one.capabilities).items() if count > 1}
        queues = {one.queue for one in agents if shared & {*one.capabilities}}
        return {queue: (await self._look_at(queue, queue))[1] for queue in sorted(queues)}

    def remember(self, workers: Sequence[WorkerPresence]) -> None:
        """Take note of agents that are alive. After an outage all announcements are gone: a plan that names one of
        these is not to be refused before its worker is heard again."""
        now = time.monotonic()
        self.seen.update({agent.name: (agent, now) for agent in agents_of(workers)})
        versions: dict[str, set[str]] = defaultdict(set)
        for agent in (agent for worker in workers for agent in worker.agents):
            versions[agent.name].add(agent.version)
        self.versions = {name: frozenset(found) for name, found in versions.items()}

    async def _accept(self, record: JobRecord, plan: Plan, steps: Sequence[NewStep]) -> None:
        names = [new.step.id for new in steps]
        log.info("plan_accepted", steps=names)
        await self.jobs.extend(
            record.spec.id,
            record.revision,
            steps,
            status=TaskStatus.IN_PROGRESS,
            event="plan_accepted",
            data=_json(steps=names, rationale=excerpt(plan.rationale, 2000)),
            replan=wished(record.spec, self.settings),
        )

    async def _repair(self, record: JobRecord, agents: Sequence[AgentDefinition], faults: Sequence[str]) -> None:
        description = "Plan again: the proposed plan has faults. Propose one without them."
        step: Step = planning_step(StepId(REPAIR_STEP), description, agents, self.settings)
        step = step.model_copy(update={"input": {"faults": list(faults)}})
        await self.jobs.extend(
            record.spec.id,
            record.revision,
            [NewStep(step)],
            status=TaskStatus.PENDING,
            event="plan_rejected",
            data=_json(faults=[excerpt(fault, MAX_REASON_CHARS) for fault in faults]),
        )


class _LaterError(Exception):
    """Nothing can be decided about an entry yet."""


def _json(**values: object) -> str:
    return json.dumps(values, ensure_ascii=False)
