"""What has to hold in every state, and of every action."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from tasks.models import Join, StepKind
from tasks.states import FINAL_JOB, FINAL_STEP, MOVES, StepStatus, TaskStatus
from tasks.store import Notice
from tests.model.actions import Label
from tests.model.store import Entry, Graph, StoreState
from tests.model.world import World

LEGAL: Final = frozenset((source, target) for sources, target in MOVES.values() for source in sources)
BEGUN: Final = frozenset(StepStatus) - {StepStatus.BLOCKED, StepStatus.SKIPPED, StepStatus.CANCELLED}
FLYING: Final = frozenset({StepStatus.DISPATCHED, StepStatus.RUNNING})
SETTLED: Final = frozenset({"settle", "claim", "postpone", "give_up", "fall_back", "dispatch"})
"""Scripts that name an attempt."""


def broken(graph: Graph, before: World, label: Label, after: World) -> Iterator[str]:
    """What an action has broken, in words."""
    yield from _around(after)
    if after.store is not before.store and after.store != before.store:
        if label[0] == "reopen":
            yield from _reopened(before.store, after.store)
            yield from _whole(graph, after.store)
        else:
            yield from _changed(graph, before.store, after.store)
        yield from _stale(before.store, label)


def _around(world: World) -> Iterator[str]:
    if max(world.commits, default=0) > 1:
        yield "a result was committed twice"
    at_work = [worker for worker in world.workers if worker.claimed]
    if len(at_work) > len(set(at_work)):
        yield "two workers run one attempt"


@lru_cache(maxsize=1 << 17)
def _changes(graph: Graph, before: StoreState, after: StoreState) -> tuple[str, ...]:
    return (*_moved(before, after), *_whole(graph, after))


def _changed(graph: Graph, before: StoreState, after: StoreState) -> Iterator[str]:
    yield from _changes(graph, before, after)


def _stale(before: StoreState, label: Label) -> Iterator[str]:
    """An attempt that is not the current one changes nothing; a dispatch takes the next one."""
    name, step, attempt = (*label, 0, 0)[:3]
    if name in SETTLED and isinstance(step, int) and isinstance(attempt, int) and step < len(before.steps):
        current = before.steps[step].attempt + (name == "dispatch")
        if attempt != current:
            yield f"a stale attempt was heard: {name}"


def _moved(before: StoreState, after: StoreState) -> Iterator[str]:
    if before.status in FINAL_JOB and (after.status is not before.status or after.steps != before.steps):
        yield "a final job changed"
    for old, new in zip(before.steps, after.steps, strict=False):
        if old.status is not new.status and (old.status, new.status) not in LEGAL:
            yield f"no move leads from {old.status.value} to {new.status.value}"
        if not old.attempt <= new.attempt <= old.attempt + 1:
            yield "attempts do not count up one by one"
        anew = new.left_out > old.left_out
        if not anew and (new.failures < old.failures or new.losses < old.losses):
            yield "a failure or a loss was forgotten"


def _reopened(before: StoreState, after: StoreState) -> Iterator[str]:
    """What a retry by hand does at once: more than one move a step."""
    if before.status is TaskStatus.CANCELLED or after.status is not TaskStatus.IN_PROGRESS:
        yield "a retry opened a cancelled job, or none"
    for old, new in zip(before.steps, after.steps, strict=True):
        changed = old.status is not new.status
        if changed and old.status not in FINAL_STEP:
            yield f"a retry changed a step that was {old.status.value}"
        if changed and old.status is not StepStatus.SKIPPED and new.attempt != old.attempt + 1:
            yield "what is on its way about a retried step is not stale"


def _whole(graph: Graph, store: StoreState) -> Iterator[str]:
    ended = sum(step.status in FINAL_STEP for step in store.steps)
    if (store.open, store.done) != (len(store.steps) - ended, ended):
        yield "the counters of the job are wrong"
    if store.revision > 1 or len(set(store.control)) < len(store.control):
        yield "something was asked for twice"
    if store.status in FINAL_JOB:
        if store.open or store.deadline or any(step.timer for step in store.steps):
            yield "something is open in a final job"
    elif not store.deadline or (store.status is TaskStatus.IN_PROGRESS and not store.open):
        yield "a job is neither open nor final"
    if any(step.slot is not _holds(store, at) for at, step in enumerate(store.steps)):
        yield "a slot is lost, or held by a step that does not fly"
    for at, step in enumerate(store.steps):
        if step.status in BEGUN and not _may_run(graph, store, at):
            yield "a step began before its parents had ended"
        if not _has_a_way_on(graph, store, at):
            yield f"a {step.status.value} step is forgotten"


def _may_run(graph: Graph, store: StoreState, at: int) -> bool:
    node, ends = graph[at], {parent: store.steps[parent].status for parent in graph[at].needs}
    good = sum(end is StepStatus.SUCCEEDED for end in ends.values())
    # One that is tried again by hand had ended when this step began.
    ended = all(end in FINAL_STEP or store.steps[parent].left_out for parent, end in ends.items())
    # Those that it can do without, and had to, count as if it had not asked for them.
    whole = ended and all(end is StepStatus.SUCCEEDED or graph[parent].optional for parent, end in ends.items())
    if node.kind is StepKind.SYNTHESIS:  # it hands on whatever has succeeded
        return ended and any(one.status is StepStatus.SUCCEEDED for one in store.steps)
    if store.steps[at].late or node.join is Join.ANY:
        return whole or good > 0
    if node.join is Join.QUORUM:
        return whole or good >= node.quorum
    return whole or (node.join is Join.BEST_EFFORT and ended and good > 0)


def _holds(store: StoreState, at: int) -> bool:
    """Whether the step is in flight, and so takes a slot of its queue."""
    status = store.steps[at].status
    return status in FLYING or (status is StepStatus.READY and at not in store.line)


def _has_a_way_on(graph: Graph, store: StoreState, at: int) -> bool:
    """An entry or a timer is there that moves the step on, whoever dies."""
    step = store.steps[at]
    match step.status:
        case StepStatus.READY:
            flying = any(one.slot for one in store.steps)
            return Entry(Notice.STEP_READY, at, step.attempt + 1) in store.control or (at in store.line and flying)
        case StepStatus.DISPATCHED | StepStatus.RUNNING:
            return step.timer
        case StepStatus.DELAYED:
            asked = (Notice.ATTEMPT_ENDED, at, step.attempt)
            return step.timer or any(entry[:3] == asked for entry in store.control)
        case StepStatus.BLOCKED if graph[at].waits and store.status not in FINAL_JOB:
            return step.timer or step.late
        case _:
            return True
