"""The store's scripts as pure functions: one for each file in `tasks/store/lua`, over the state of one job.

Left out: results, events, costs and the clock. A timer is there or not; when it is due is the explorer's choice.
The legal sources come from `tasks.states`, as they do for the scripts.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from tasks.models import Join, StepKind
from tasks.states import FINAL_JOB, FINAL_STEP, MOVES, Move, StepStatus, TaskStatus
from tasks.store import NewStep, Notice

JOB: Final = -1
"""Stands for a step where the job itself is meant: its deadline, and the proposal that it brings."""
LOST: Final = "worker_lost"
ACCEPTED: Final = ""
STALE: Final = "stale"


class Node(NamedTuple):
    """What a plan says of one step."""

    name: str
    kind: StepKind
    join: Join
    needs: tuple[int, ...]
    children: tuple[int, ...]
    quorum: int = 0
    optional: bool = False
    waits: bool = False
    """Whether it waits for those that it needs for a time only."""


class StepState(NamedTuple):
    """The fields of one step."""

    status: StepStatus
    attempt: int
    failures: int
    losses: int
    rest: int
    good: int
    timer: bool
    slot: bool = False
    left_out: int = 0
    """Attempt numbers that were left out: one for each time that the step was begun anew."""
    bad: int = 0
    """Of those that it needs: how many ended without success and are not optional."""
    late: bool = False
    """Whether it has waited long enough for them."""


class Entry(NamedTuple):
    """One entry of the control stream."""

    notice: Notice
    step: int
    attempt: int
    code: str = ""


class StoreState(NamedTuple):
    """All that is stored of one job."""

    status: TaskStatus | None = None
    revision: int = 0
    open: int = 0
    done: int = 0
    deadline: bool = False
    steps: tuple[StepState, ...] = ()
    control: tuple[Entry, ...] = ()
    line: tuple[int, ...] = ()
    """Ready steps that wait for a slot of their queue."""


Graph = tuple[Node, ...]
Made = tuple[StoreState, str]
"""A state and the reply: ACCEPTED, or why not."""


def graph_of(steps: Sequence[NewStep]) -> Graph:
    """The same plan in the model's form."""
    at = {new.step.id: number for number, new in enumerate(steps)}
    return tuple(
        Node(
            new.step.id,
            new.step.kind,
            new.step.join,
            tuple(at[one] for one in new.step.depends_on),
            tuple(at[one] for one in new.dependents),
            new.step.quorum,
            new.step.optional,
            new.step.join_ms > 0,
        )
        for new in steps
    )


@dataclass(slots=True)
class Draft:
    """A state that is being changed."""

    status: TaskStatus | None
    revision: int
    open: int
    done: int
    deadline: bool
    steps: list[StepState]
    control: list[Entry]
    line: list[int]

    @classmethod
    def of(cls, store: StoreState) -> "Draft":
        """A copy."""
        return cls(*store[:5], list(store.steps), list(store.control), list(store.line))

    def made(self, reply: str = ACCEPTED) -> Made:
        """What it has become."""
        steps, control = tuple(self.steps), tuple(sorted(self.control))
        of_job = (self.status, self.revision, self.open, self.done, self.deadline)
        return StoreState(*of_job, steps, control, tuple(self.line)), reply

    def tell(self, notice: Notice, step: int, attempt: int, code: str = "") -> None:
        """Leave something for the orchestrator to do."""
        self.control.append(Entry(notice, step, attempt, code))


class Scripts:
    """The moves of jobs with one plan.

    Args:
        off: Guards to leave out, to see what they prevent.
        window: Steps that may be in flight; 0 for any number.
    """

    def __init__(self, graph: Graph, off: Collection[str] = (), window: int = 0) -> None:
        self.graph = graph
        self.window = window
        self.off = frozenset(off)

    def may(self, guard: str, move: Move, step: StepState) -> bool:
        """The check of the status, unless it is off."""
        return step.status in MOVES[move][0] or f"{guard}.status" in self.off

    def current(self, guard: str, step: StepState, attempt: int) -> bool:
        """The check of the attempt, unless it is off."""
        return step.attempt == attempt or f"{guard}.attempt" in self.off

    def submit(self, store: StoreState) -> Made:
        """A job that brings its plan."""
        if store.status is not None:
            return store, STALE
        draft = Draft.of(StoreState(TaskStatus.PENDING, deadline=True))
        draft.tell(Notice.PLAN_PROPOSED, JOB, 0)
        return draft.made()

    def extend(self, store: StoreState, revision: int) -> Made:
        """Write the plan's steps."""
        fenced = store.revision == revision or "extend.revision" in self.off
        if store.status is None or store.status in FINAL_JOB or not fenced:
            return store, STALE
        draft = Draft.of(store)
        draft.status, draft.revision = TaskStatus.IN_PROGRESS, store.revision + 1
        draft.open += len(self.graph)
        draft.steps = [StepState(StepStatus.BLOCKED, 0, 0, 0, len(node.needs), 0, False) for node in self.graph]
        for at, node in enumerate(self.graph):
            if not node.needs:
                self._to_ready(draft, at)
            else:
                self._await_join(draft, at)
        return draft.made()

    def dispatch(self, store: StoreState, at: int, attempt: int) -> Made:
        """Take the next attempt, or say again that this one is to be published."""
        if at >= len(store.steps):
            return store, STALE
        step = store.steps[at]
        fresh = step.attempt + 1 == attempt or "dispatch.attempt" in self.off
        if self.may("dispatch", Move.DISPATCH, step) and fresh:
            draft = Draft.of(store)
            draft.steps[at] = step._replace(status=StepStatus.DISPATCHED, attempt=attempt, timer=True)
            return draft.made()
        again = step.status in MOVES[Move.REPUBLISH][0] and step.attempt == attempt
        return store, ACCEPTED if again and "dispatch.again" not in self.off else STALE

    def claim(self, store: StoreState, at: int, attempt: int) -> Made:
        """Give an attempt to a worker, with its lease."""
        if at >= len(store.steps):
            return store, STALE
        step = store.steps[at]
        if not (self.may("claim", Move.CLAIM, step) and self.current("claim", step, attempt)):
            return store, STALE
        draft = Draft.of(store)
        draft.steps[at] = step._replace(status=StepStatus.RUNNING, timer=True)
        return draft.made()

    def heartbeat(self, store: StoreState, at: int, attempt: int) -> Made:
        """Learn whether the lease is still the caller's: changes nothing here, where time is not told."""
        return store, self._refusal(store, at, attempt, Move.FALTER, "heartbeat")

    def report(self, store: StoreState, at: int, attempt: int) -> Made:
        """Write events, which are not kept here."""
        return store, STALE if self._refusal(store, at, attempt, Move.FALTER, "report") else ACCEPTED

    def settle(self, store: StoreState, at: int, attempt: int, code: str = "") -> Made:
        """End an attempt well, or with a failure code."""
        move = Move.FALTER if code else Move.SUCCEED
        refusal = self._refusal(store, at, attempt, move, "settle")
        if refusal:
            return store, refusal
        draft = Draft.of(store)
        if code:
            self._falter(draft, at, attempt, code)
            return draft.made()
        self._close(draft, at, StepStatus.SUCCEEDED)
        if self.graph[at].kind is StepKind.SYNTHESIS:
            self._finish(draft, TaskStatus.COMPLETED)
        else:
            self._advance(draft, at)
        return draft.made()

    def postpone(self, store: StoreState, at: int, attempt: int, later: bool) -> Made:
        """Let the next attempt begin, now or later."""
        if at >= len(store.steps):
            return store, STALE
        step = store.steps[at]
        if not (self.may("postpone", Move.POSTPONE, step) and self.current("postpone", step, attempt)):
            return store, STALE
        if step.timer and "postpone.timer" not in self.off:
            return store, STALE
        draft = Draft.of(store)
        if later:
            draft.steps[at] = step._replace(timer=True)
        else:
            self._to_ready(draft, at)
        return draft.made()

    def give_up(self, store: StoreState, at: int, attempt: int) -> Made:
        """End a step for good."""
        if at >= len(store.steps):
            return store, STALE
        step = store.steps[at]
        if not (self.may("give_up", Move.GIVE_UP, step) and self.current("give_up", step, attempt)):
            return store, STALE
        draft = Draft.of(store)
        self._leave_line(draft, at)
        self._close(draft, at, StepStatus.FAILED)
        if self.graph[at].kind is StepKind.WORK:
            self._advance(draft, at)
        else:
            self._finish(draft, TaskStatus.FAILED)
        return draft.made()

    def fall_back(self, store: StoreState, at: int, attempt: int) -> Made:
        """Let another agent take a step over."""
        if at >= len(store.steps):
            return store, STALE
        step = store.steps[at]
        if not (self.may("fall_back", Move.FALL_BACK, step) and self.current("fall_back", step, attempt)):
            return store, STALE
        draft = Draft.of(store)
        self._leave_line(draft, at)
        self._release(draft, at)
        self._fresh(draft, at)
        self._to_ready(draft, at)
        return draft.made()

    def reopen(self, store: StoreState, at: int, attempt: int) -> Made:
        """Try a step again that was given up, and what waited for it or was done without it."""
        if at >= len(store.steps) or store.status is TaskStatus.CANCELLED:
            return store, STALE
        if not (self.may("reopen", Move.REOPEN, store.steps[at]) and self.current("reopen", store.steps[at], attempt)):
            return store, STALE
        will = self._after_reopening(store, at)
        if will is None:
            return store, STALE
        draft = Draft.of(store)
        for number, (status, rest, good, bad) in enumerate(will):
            was = draft.steps[number]
            draft.steps[number] = was._replace(rest=rest, good=good, bad=bad)
            if status is was.status:
                continue
            if was.status is not StepStatus.SKIPPED:
                self._fresh(draft, number)
            opens = status not in FINAL_STEP
            status_now = StepStatus.BLOCKED if opens else status
            late = was.late and number == at
            draft.steps[number] = draft.steps[number]._replace(status=status_now, late=late)
            if status is StepStatus.BLOCKED:
                self._await_join(draft, number)
            draft.open += opens
            draft.done -= opens
        if store.status in FINAL_JOB:
            draft.status, draft.deadline = TaskStatus.IN_PROGRESS, True
        for number, (status, *_) in enumerate(will):
            if status is StepStatus.READY and store.steps[number].status is not StepStatus.READY:
                self._to_ready(draft, number)
        return draft.made()

    def _after_reopening(self, store: StoreState, target: int) -> list[tuple[StepStatus, int, int, int]] | None:
        """Status and counts of every step; None when the answer is being written, or would be without the target."""
        after: list[tuple[StepStatus, int, int, int]] = []
        answer_only = self.graph[target].kind is StepKind.SYNTHESIS
        dropped: set[int] = set()
        for at, node in enumerate(self.graph):
            status = store.steps[at].status
            ends = [after[parent][0] for parent in node.needs]
            rest = sum(end not in FINAL_STEP for end in ends)
            good = ends.count(StepStatus.SUCCEEDED)
            both = zip(ends, node.needs, strict=True)
            bad = sum(
                end in FINAL_STEP and end is not StepStatus.SUCCEEDED and not self.graph[parent].optional
                for end, parent in both
            )
            won = any(
                one.status is StepStatus.SUCCEEDED and number not in dropped and number < at
                for number, one in enumerate(store.steps)
            )
            early = node.join in (Join.ANY, Join.QUORUM) or store.steps[at].late
            undone = status is StepStatus.SUCCEEDED and rest > 0 and not early
            missed = status in (StepStatus.SKIPPED, StepStatus.CANCELLED)
            if node.kind is StepKind.SYNTHESIS:
                if status not in (*FINAL_STEP, StepStatus.BLOCKED) or (rest == 0 and not answer_only):
                    return None
                runs = rest == 0 and (good > 0 or won)
                status = StepStatus.READY if answer_only and runs else StepStatus.BLOCKED
            elif at == target:
                status = StepStatus.READY
            elif (undone or missed) and not answer_only:
                if undone:
                    dropped.add(at)
                runs, _ = _join(node, rest, good, bad > 0, won=False)
                never = bad > 0 and (node.join is Join.ALL or good + rest < (node.quorum or 1))
                blocked = StepStatus.SKIPPED if never else StepStatus.BLOCKED
                status = StepStatus.READY if runs or not node.needs else blocked
            after.append((status, rest, good, bad))
        return after

    def end_job(self, store: StoreState, status: TaskStatus = TaskStatus.CANCELLED) -> Made:
        """End the job from outside."""
        final = store.status in FINAL_JOB and "end_job.status" not in self.off
        if store.status is None or final:
            return store, store.status or ""
        draft = Draft.of(store)
        self._finish(draft, status)
        return draft.made(status)

    def sweep(self, store: StoreState, at: int) -> Made:
        """Act on one timer that is due: a step's, or the JOB's deadline."""
        draft = Draft.of(store)
        self._grant(draft)
        if at == JOB:
            if store.deadline and store.status not in FINAL_JOB:
                self._finish(draft, TaskStatus.FAILED)
            draft.deadline = False
            return draft.made()
        step = draft.steps[at]
        if not step.timer:
            return draft.made(STALE)
        if step.status in MOVES[Move.LOSE][0]:
            self._falter(draft, at, step.attempt, LOST)
        elif step.status in MOVES[Move.RESUME][0]:
            self._to_ready(draft, at)
        elif step.status in MOVES[Move.REPUBLISH][0]:
            draft.tell(Notice.STEP_UNCLAIMED, at, step.attempt)
        elif step.status in MOVES[Move.UNBLOCK][0]:
            draft.steps[at] = step._replace(timer=False, late=True)
            if step.good > 0:
                self._to_ready(draft, at)
        else:
            draft.steps[at] = step._replace(timer=False)
        return draft.made()

    def overdue(self, store: StoreState, at: int) -> Made:
        """A step waits for too long: its timer ends, and the sweep tells of it."""
        draft = Draft.of(store)
        self._grant(draft)
        step = draft.steps[at]
        draft.steps[at] = step._replace(timer=True)
        draft.tell(Notice.STEP_OVERDUE, at, step.attempt, step.status.value)
        return draft.made()

    def done(self, store: StoreState, entry: Entry) -> Made:
        """Delete an entry that was acted on."""
        if entry not in store.control:
            return store, STALE
        draft = Draft.of(store)
        draft.control.remove(entry)
        return draft.made()

    def _refusal(self, store: StoreState, at: int, attempt: int, move: Move, guard: str) -> str:
        if at >= len(store.steps):
            return "gone"
        step = store.steps[at]
        if not self.current(guard, step, attempt):
            return "superseded"
        return ACCEPTED if self.may(guard, move, step) else step.status.value

    def _to_ready(self, draft: Draft, at: int) -> None:
        draft.steps[at] = draft.steps[at]._replace(status=StepStatus.READY, timer=False)
        draft.line.append(at)
        self._grant(draft)

    def _grant(self, draft: Draft) -> None:
        while draft.line and not (self.window and sum(step.slot for step in draft.steps) >= self.window):
            at = draft.line.pop(0)
            if draft.steps[at].status is StepStatus.READY and not draft.steps[at].slot:
                draft.steps[at] = draft.steps[at]._replace(slot=True)
                draft.tell(Notice.STEP_READY, at, draft.steps[at].attempt + 1)

    def _await_join(self, draft: Draft, at: int) -> None:
        if self.graph[at].waits:
            draft.steps[at] = draft.steps[at]._replace(timer=True)

    def _leave_line(self, draft: Draft, at: int) -> None:
        if draft.steps[at].status is StepStatus.READY and at in draft.line:
            draft.line.remove(at)

    def _fresh(self, draft: Draft, at: int) -> None:
        step = draft.steps[at]
        number = step.attempt + ("left_out" not in self.off)
        draft.steps[at] = step._replace(attempt=number, left_out=step.left_out + 1, failures=0, losses=0)

    def _release(self, draft: Draft, at: int) -> None:
        if draft.steps[at].slot and "release" not in self.off:
            draft.steps[at] = draft.steps[at]._replace(slot=False)
            self._grant(draft)

    def _close(self, draft: Draft, at: int, status: StepStatus) -> None:
        draft.steps[at] = draft.steps[at]._replace(status=status, timer=False)
        draft.open -= 1
        draft.done += 1
        self._release(draft, at)

    def _falter(self, draft: Draft, at: int, attempt: int, code: str) -> None:
        step = draft.steps[at]
        draft.steps[at] = step._replace(
            status=StepStatus.DELAYED,
            losses=step.losses + (code == LOST),
            failures=step.failures + (code not in (LOST, "handed_back")),
            timer=False,
        )
        self._release(draft, at)
        draft.tell(Notice.ATTEMPT_ENDED, at, attempt, code)

    def _finish(self, draft: Draft, status: TaskStatus) -> None:
        draft.line.clear()
        if draft.open > 0:
            for at, step in enumerate(draft.steps):
                if step.status not in FINAL_STEP:
                    self._close(draft, at, StepStatus.CANCELLED)
        draft.status, draft.deadline = status, False

    def _advance(self, draft: Draft, ended: int) -> None:
        work = [ended]
        while work:
            at = work.pop()
            ok = draft.steps[at].status is StepStatus.SUCCEEDED
            excused = ok or self.graph[at].optional
            for child in self.graph[at].children:
                step = draft.steps[child]
                step = step._replace(rest=step.rest - 1, good=step.good + ok, bad=step.bad + (not excused))
                draft.steps[child] = step
                runs, skips = self._joined(draft, child)
                if step.status is StepStatus.BLOCKED and runs:
                    self._to_ready(draft, child)
                elif step.status is StepStatus.BLOCKED and skips:
                    self._close(draft, child, StepStatus.SKIPPED)
                    work.append(child)
                    if self.graph[child].kind is StepKind.SYNTHESIS:
                        self._finish(draft, TaskStatus.FAILED)
                        return

    def _joined(self, draft: Draft, at: int) -> tuple[bool, bool]:
        """Whether a step that lost one of those it waits for now runs, or is skipped."""
        node, step = self.graph[at], draft.steps[at]
        answer = node.kind is StepKind.SYNTHESIS
        won = answer and any(one.status is StepStatus.SUCCEEDED for one in draft.steps)
        return _join(node, step.rest, step.good, step.bad > 0, won=won, late=step.late)


def _join(node: Node, rest: int, good: int, bad: bool, *, won: bool, late: bool = False) -> tuple[bool, bool]:
    """Whether it runs, or is skipped: as `joined` in steps.lua."""
    bad = bad or node.kind is StepKind.SYNTHESIS
    early = late or node.join in (Join.ANY, Join.QUORUM)
    least = node.quorum if node.join is Join.QUORUM and not late else 1
    enough = node.join is Join.BEST_EFFORT and (good > 0 or won)
    runs = (early and good >= least) or (rest == 0 and (enough or not bad))
    return runs, rest == 0 and not runs
