"""Every atomic action that can come next: of workers, replicas, the broker, time, the client, and of misfortune.

An action is one script, one publish, one receipt or one deletion; a process may die before and after each. What a
process only reads and keeps to itself is part of the action that follows or leads to it.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Final, TypeVar

from orchestrator.scheduling.decide import Retry, after_attempt
from tasks.models import Failure, RetryPolicy, StepKind
from tasks.states import FINAL_JOB, FINAL_STEP, StepStatus, TaskStatus
from tasks.store import Notice
from tasks.store.attempts import HANDED_BACK
from tests.model.store import ACCEPTED, JOB, STALE, Entry, Graph, Made, Scripts, StoreState
from tests.model.world import Faults, Handler, Worker, World

Label = tuple[str | int | Entry, ...]
"""The action and what it is about. Those that call a script are named as the script is."""
Following = Iterator[tuple[Label, World]]
Item = TypeVar("Item", Worker, Handler, tuple[int, int])

POLICY: Final = RetryPolicy(max_attempts=2, max_losses=2)
CODES: Final = ("soft", "hard")
"""Failure codes of attempts: one that may pass, one that cannot."""

PUBLISH: Final = "publish"
LOOK: Final = "look"
EXTEND: Final = "extend"
RETRY_NOW: Final = "retry_now"
RETRY_LATER: Final = "retry_later"
GIVE_UP: Final = "give_up"
FALL_BACK: Final = "fall_back"
DELETE: Final = "done"


@cache
def decision(code: str, failures: int, losses: int) -> str:
    """What the orchestrator's own rules say about an attempt that ended."""
    failure = Failure(code=code, message=code, retryable=code != "hard")
    decided = after_attempt(POLICY, failure, failures=failures, losses=losses, draw=0.5)
    if not isinstance(decided, Retry):
        return GIVE_UP
    return RETRY_LATER if decided.delay_ms > 0 else RETRY_NOW


class Actions:
    """What may happen in one setting.

    Args:
        window: Steps that may be in flight; 0 for any number.
        fallbacks: Agents that take each step of the plan over, one after the other.
        busy: Entries that one replica works on at the same time.
        off: Guards to leave out: those of the scripts, and `delete.after` (an entry is deleted only after it was acted
            on), `republish` (messages that nobody claims are looked for), `depth` (only when the queue is empty).
    """

    def __init__(
        self,
        graph: Graph,
        *,
        workers: int = 2,
        replicas: int = 2,
        busy: int = 1,
        off: tuple[str, ...] = (),
        window: int = 0,
        fallbacks: int = 0,
    ) -> None:
        self.graph = graph
        self.scripts = Scripts(graph, off, window)
        self.workers, self.replicas, self.busy = workers, replicas, busy
        self.off = frozenset(off)
        self.fallbacks = fallbacks

    def start(self, faults: Faults) -> World:
        """Before anything has happened."""
        return World(StoreState(), (), (), ((),) * self.replicas, (0,) * len(self.graph), faults)

    def following(self, world: World) -> Following:
        """Each action that is possible, with the world after it."""
        if world.store.status is None:
            yield ("submit",), world._replace(store=self.scripts.submit(world.store)[0])
            return
        yield from self._workers(world)
        yield from self._replicas(world)
        yield from self._begin(world)
        yield from self._time(world)
        yield from self._broker(world)
        yield from self._end(world)

    # Workers

    def _workers(self, world: World) -> Following:
        if len(world.workers) < self.workers:
            for message in dict.fromkeys(world.messages):
                workers = _sorted(*world.workers, Worker(False, *message))
                yield ("receive", *message), world._replace(messages=_less(world.messages, message), workers=workers)
        for worker in dict.fromkeys(world.workers):
            idle = world._replace(workers=_less(world.workers, worker))
            yield from _fault(idle, "crashes", ("worker dies", *worker))
            yield from self._works(world, idle, worker) if worker.claimed else self._claims(idle, worker)

    def _claims(self, idle: World, worker: Worker) -> Following:
        store, reply = self.scripts.claim(idle.store, worker.step, worker.attempt)
        label: Label = ("claim", worker.step, worker.attempt)
        if reply == STALE:
            yield label, idle
            return
        # Without its answer it claims again, gets nothing, and drops the message.
        yield from _fault(idle._replace(store=store), "answers", label)
        yield label, idle._replace(store=store, workers=_sorted(*idle.workers, worker._replace(claimed=True)))

    def _works(self, world: World, idle: World, worker: Worker) -> Following:
        step, attempt = worker.step, worker.attempt
        yield from self._settles(world, idle, worker, "")
        if idle.faults.failures:
            failing = idle._replace(faults=idle.faults._replace(failures=idle.faults.failures - 1))
            for code in CODES:
                yield from self._settles(None, failing, worker, code)
        if idle.faults.drains:
            draining = idle._replace(faults=idle.faults._replace(drains=idle.faults.drains - 1))
            yield from self._settles(None, draining, worker, HANDED_BACK)
        if self.scripts.heartbeat(world.store, step, attempt)[1]:
            yield ("heartbeat", step, attempt), idle

    def _settles(self, world: World | None, idle: World, worker: Worker, code: str) -> Following:
        step = worker.step
        store, reply = self.scripts.settle(idle.store, step, worker.attempt, code)
        commits = idle.commits
        if reply == ACCEPTED and not code:
            commits = (*commits[:step], commits[step] + 1, *commits[step + 1 :])
        label: Label = ("settle", step, worker.attempt, code)
        yield label, idle._replace(store=store, commits=commits)
        if world is not None and reply == ACCEPTED:  # it settles once more
            yield from _fault(world._replace(store=store, commits=commits), "answers", label)

    # Replicas

    def _replicas(self, world: World) -> Following:
        for replica, handlers in enumerate(world.replicas):
            if handlers:
                yield from _fault(_with(world, replica, ()), "crashes", ("replica dies", replica))
            for handler in handlers:
                rest = _less(handlers, handler)
                for label, store, todo, sent in self._acts(world, handler):
                    left = (*rest, Handler(todo, handler.entry)) if todo else rest
                    yield label, _with(world._replace(store=store, messages=sent), replica, left)
                if handler.todo == LOOK:
                    left = (*rest, Handler(self._last_resort(world.store, handler.entry), handler.entry))
                    yield from _fault(_with(world, replica, left), "absences", ("nobody listens",))

    def _acts(
        self, world: World, handler: Handler
    ) -> Iterator[tuple[Label, StoreState, str, tuple[tuple[int, int], ...]]]:
        """The next action of a handler: its label, the store, what is to do after it, and the messages."""
        todo, entry = handler
        store, sent, step, attempt = world.store, world.messages, entry.step, entry.attempt
        match todo:
            case "publish":
                yield ("publish", step, attempt), store, DELETE, _sorted(*sent, (step, attempt))
            case "look":
                if (step, attempt) not in sent:  # nothing waits, or what waits was published after it
                    yield ("look", step, attempt), store, PUBLISH, sent
                if sent:
                    yield ("look", step, attempt), store, DELETE, sent
            case "extend":
                yield ("extend", 0), self.scripts.extend(store, 0)[0], DELETE, sent
            case "retry_now" | "retry_later":
                later = todo == RETRY_LATER
                made = self.scripts.postpone(store, step, attempt, later)
                yield ("postpone", step, attempt, later), made[0], DELETE, sent
            case "fall_back":
                yield ("fall_back", step, attempt), self.scripts.fall_back(store, step, attempt)[0], DELETE, sent
            case "give_up":
                yield ("give_up", step, attempt), self.scripts.give_up(store, step, attempt)[0], DELETE, sent
            case _:
                yield ("done", entry), self.scripts.done(store, entry)[0], "", sent

    def _begin(self, world: World) -> Following:
        taken = {handler.entry for handlers in world.replicas for handler in handlers}
        alike = {handlers: at for at, handlers in enumerate(world.replicas) if len(handlers) < self.busy}
        for entry in dict.fromkeys(world.store.control) if alike else ():
            label, store, todo = self._first(world.store, entry)
            if "delete.after" in self.off:
                store = self.scripts.done(store, entry)[0]
            for handlers, replica in alike.items():
                begun = _with(world._replace(store=store), replica, (*handlers, Handler(todo, entry)))
                if entry in taken:
                    yield from _fault(begun, "take_overs", label)
                else:
                    yield label, begun

    def _first(self, store: StoreState, entry: Entry) -> tuple[Label, StoreState, str]:
        """What a replica does when it reads an entry: the first script, or the look at the job that comes before."""
        step = store.steps[entry.step] if entry.step != JOB and store.steps else None
        current = step is not None and step.attempt == entry.attempt
        label: Label = ("read", entry)
        match entry.notice:
            case Notice.STEP_READY:
                made, reply = self.scripts.dispatch(store, entry.step, entry.attempt)
                return ("dispatch", entry.step, entry.attempt), made, PUBLISH if reply == ACCEPTED else DELETE
            case Notice.ATTEMPT_ENDED if step is not None and current and step.status is StepStatus.DELAYED:
                decided = decision(entry.code, step.failures, step.losses)
                return label, store, self._last_resort(store, entry) if decided == GIVE_UP else decided
            case Notice.STEP_OVERDUE if step is not None and current and step.status.value == entry.code:
                return label, store, self._last_resort(store, entry)
            case Notice.STEP_UNCLAIMED if step is not None and current and step.status is StepStatus.DISPATCHED:
                return label, store, LOOK
            case Notice.PLAN_PROPOSED if store.status not in FINAL_JOB and store.revision == 0:
                return label, store, EXTEND
            case _:
                return label, store, DELETE

    def _last_resort(self, store: StoreState, entry: Entry) -> str:
        """What becomes of a step that would be given up."""
        work = self.graph[entry.step].kind is StepKind.WORK
        return FALL_BACK if work and store.steps[entry.step].left_out < self.fallbacks else GIVE_UP

    # Time, the broker, the client

    def _time(self, world: World) -> Following:
        for at, step in enumerate(world.store.steps):
            waits = step.status in (StepStatus.READY, StepStatus.DISPATCHED)
            if waits and Entry(Notice.STEP_OVERDUE, at, step.attempt, step.status.value) not in world.store.control:
                overdue = world._replace(store=self.scripts.overdue(world.store, at)[0])
                yield from _fault(overdue, "overdues", ("overdue", at))
            if not step.timer or (step.status is StepStatus.DISPATCHED and self._asked(world.store, at, step.attempt)):
                continue
            swept = world._replace(store=self.scripts.sweep(world.store, at)[0])
            if step.status is StepStatus.RUNNING and Worker(True, at, step.attempt) in world.workers:
                yield from _fault(swept, "freezes", ("sweep", at))
            elif step.status is StepStatus.DISPATCHED and self._on_its_way(world, at, step.attempt):
                yield from _fault(swept, "waits", ("sweep", at))
            else:
                yield ("sweep", at), swept

    def _asked(self, store: StoreState, at: int, attempt: int) -> bool:
        """Whether the message was asked about and not looked for yet: asking again would change nothing."""
        return "republish" in self.off or Entry(Notice.STEP_UNCLAIMED, at, attempt) in store.control

    def _on_its_way(self, world: World, at: int, attempt: int) -> bool:
        """Whether a message of the attempt waits, was received, or is about to be published."""
        if (at, attempt) in world.messages or Worker(False, at, attempt) in world.workers:
            return True
        asks = (Entry(Notice.STEP_READY, at, attempt), Entry(Notice.STEP_UNCLAIMED, at, attempt))
        if asks[0] in world.store.control and not any(handler == Handler(DELETE, asks[0]) for handler in _all(world)):
            return True
        return any(handler.todo in (PUBLISH, LOOK) and handler.entry in asks for handler in _all(world))

    def _broker(self, world: World) -> Following:
        for message in dict.fromkeys(world.messages):
            fewer = world._replace(messages=_less(world.messages, message))
            yield from _fault(fewer, "losses", ("lose", *message))
            twice = world._replace(messages=_sorted(*world.messages, message))
            yield from _fault(twice, "duplicates", ("duplicate", *message))
        if len(world.messages) > 1:
            yield from _fault(world._replace(messages=()), "flushes", ("flush",))

    def _end(self, world: World) -> Following:
        if world.store.status not in FINAL_JOB or "end_job.status" in self.off:
            cancelled: Callable[[StoreState], Made] = self.scripts.end_job
            yield from _fault(
                world._replace(store=cancelled(world.store)[0]), "ends", ("end_job", TaskStatus.CANCELLED)
            )
        for at, step in enumerate(world.store.steps):
            made, reply = self.scripts.reopen(world.store, at, step.attempt)
            if reply == ACCEPTED:
                yield from _fault(reopened(world, made), "retries", ("reopen", at, step.attempt))
        if world.store.deadline:
            yield from _fault(world._replace(store=self.scripts.sweep(world.store, JOB)[0]), "ends", ("sweep", JOB))


def _all(world: World) -> Iterator[Handler]:
    return (handler for handlers in world.replicas for handler in handlers)


def reopened(world: World, made: StoreState) -> World:
    """After a retry by hand: a step that is done again may commit again."""
    both = zip(world.commits, made.steps, strict=True)
    commits = tuple(count if step.status in FINAL_STEP else 0 for count, step in both)
    return world._replace(store=made, commits=commits)


def _fault(world: World, kind: str, label: Label) -> Following:
    """The world after a fault, if there may be one more of its kind."""
    left: int = getattr(world.faults, kind)
    if left > 0:
        yield (*label, f"({kind})"), world._replace(faults=world.faults._replace(**{kind: left - 1}))


def _with(world: World, replica: int, handlers: tuple[Handler, ...]) -> World:
    replicas = list(world.replicas)
    replicas[replica] = tuple(sorted(handlers))
    return world._replace(replicas=tuple(sorted(replicas)))


def _sorted(*items: Item) -> tuple[Item, ...]:
    return tuple(sorted(items))


def _less(items: tuple[Item, ...], item: Item) -> tuple[Item, ...]:
    at = items.index(item)
    return items[:at] + items[at + 1 :]
