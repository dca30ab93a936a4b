"""A job while it runs: a live tree on a terminal, one plain line an event elsewhere."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.text import Text
from rich.tree import Tree

from orchestrator.blocking import JobHandle
from tasks.events import (
    ChildrenAccepted,
    EventsTrimmed,
    JobContinued,
    JobEvent,
    JobFinished,
    JobForked,
    JobPaused,
    JobReopened,
    JobSubmitted,
    MessagePosted,
    OtherEvent,
    PlanAccepted,
    PlanExtended,
    PlanRejected,
    StepCancelled,
    StepDispatched,
    StepFailed,
    StepFaltered,
    StepFellBack,
    StepHandedOver,
    StepParked,
    StepProgress,
    StepRetrying,
    StepSkipped,
    StepStarted,
    StepSucceeded,
    StepWoken,
    TextDelta,
    ToolCalled,
)
from tasks.results import JobResult
from tasks.states import StepStatus

MARKS: Final = {
    "waiting": ("·", "dim"),
    "queued": ("○", "cyan"),
    "running": ("●", "yellow"),
    "succeeded": ("✓", "green"),
    "retrying": ("↻", "magenta"),
    "failed": ("✗", "red"),
    "skipped": ("–", "dim"),
    "cancelled": ("✗", "dim"),
}

STATES: Final = {
    StepStatus.BLOCKED: "waiting",
    StepStatus.READY: "waiting",
    StepStatus.DISPATCHED: "queued",
    StepStatus.RUNNING: "running",
    StepStatus.PARKED: "waiting",
    StepStatus.DELAYED: "retrying",
    StepStatus.SUCCEEDED: "succeeded",
    StepStatus.FAILED: "failed",
    StepStatus.SKIPPED: "skipped",
    StepStatus.CANCELLED: "cancelled",
}
"""How a status is shown."""

OF_JOB: Final = (
    JobSubmitted,
    JobForked,
    PlanAccepted,
    PlanExtended,
    PlanRejected,
    JobPaused,
    JobContinued,
    JobReopened,
    JobFinished,
    EventsTrimmed,
    OtherEvent,
)
"""Events of no single step, or of none that is known."""


@dataclass(slots=True)
class StepLine:
    """One step, as shown."""

    state: str = "waiting"
    worker: str = ""
    started: datetime | None = None
    ended: datetime | None = None
    tools: int = 0
    note: str = ""


@dataclass(slots=True)
class JobView:
    """What is shown of a job; built from its events alone."""

    job_id: str
    steps: dict[str, StepLine] = field(default_factory=dict[str, StepLine])
    descriptions: dict[str, str] = field(default_factory=dict[str, str])
    waits: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """What parked steps wait for, where that is known."""
    status: str = "pending"
    rationale: str = ""
    """Why its plan is as it is, in the planner's words."""

    def describe(self, snapshot: JobResult) -> None:
        """Learn what the steps are for, and what they wait for; events carry only their names."""
        self.waits = {step.id: step.waits_for for step in snapshot.steps if step.waits_for}
        self.descriptions = {step.id: f"{step.agent}: {' '.join(step.description.split())}" for step in snapshot.steps}

    def begin(self, snapshot: JobResult) -> None:
        """Take in where a job stands whose first events are not read."""
        self.status = snapshot.status.value
        self.describe(snapshot)
        for step in snapshot.steps:
            state = STATES[step.status]
            worker = step.worker or ""
            self.steps[step.id] = StepLine(state, worker, step.started_at, step.finished_at)

    def apply(self, event: JobEvent) -> str | None:
        """Take in one event.

        Returns:
            The line that says it, where somebody wants to read it.
        """
        match event:
            case JobSubmitted():
                return f"job {event.job_id} accepted"
            case JobForked():
                for step in event.steps:
                    self.steps[step] = StepLine("succeeded", note=f"reused from {event.source}")
                return f"forked from {event.source} at {event.step}: {', '.join(event.steps) or 'nothing'} reused"
            case PlanAccepted():
                self.status = "in_progress"
                for step in event.steps:
                    self.steps.setdefault(step, StepLine())
                self.rationale = " ".join(event.rationale.split())
                return f"plan: {', '.join(event.steps)}" + (f" ({self.rationale})" if self.rationale else "")
            case PlanExtended():
                self.steps.setdefault(event.step, StepLine())
                return f"plans again ({event.step}): {', '.join(event.lacking) or 'nothing'} without a result"
            case PlanRejected():
                return f"plan refused: {'; '.join(event.faults)}"
            case JobReopened():
                self.status = event.status.value
                for line in self.steps.values():
                    if line.state not in {"succeeded", "queued", "running", "retrying"}:
                        line.state, line.note, line.ended = "waiting", "", None
                return f"job goes on: {', '.join(event.steps)}"
            case JobPaused():
                self.status = "paused"
                asked = event.by == "request"
                return "paused on request" if asked else "paused: as many steps as were asked for have begun"
            case JobContinued():
                self.status = "in_progress"
                more = "all steps" if event.steps is None else f"{event.steps} more step{'s'[: event.steps > 1]}"
                return f"job goes on with {more}"
            case JobFinished():
                self.status = event.status.value
                return f"job {event.status.value}" + (f": {event.failure.message}" if event.failure else "")
            case EventsTrimmed():
                return f"events {event.first} to {event.seq} are not kept any more"
            case OtherEvent():
                of_step = f"{event.step}: " if event.step else ""
                return f"{of_step}{event.type} (an event of a later release)"
            case _:
                return self._apply_step(event)

    def render(self) -> Tree:
        """The tree, as it is now."""
        tree = Tree(Text(f"job {self.job_id}  {self.status}", style="bold"))
        if self.rationale:
            tree.add(Text(f"why: {self.rationale[:200]}", style="dim"))
        for name, line in self.steps.items():
            mark, style = MARKS[line.state]
            text = Text(f"{mark} {name}", style=style)
            text.append(f"  {self.descriptions.get(name, '')[:70]}", style="default")
            text.append(f"  {' '.join(_facts(line))}", style="dim")
            tree.add(text)
        return tree

    def _apply_step(self, event: JobEvent) -> str | None:
        if isinstance(event, OF_JOB):
            return None
        line = self.steps.setdefault(event.step, StepLine())
        match event:
            case StepHandedOver():
                return f"{event.step}: {event.agent} has handed it over to {event.to}"
            case StepDispatched():
                line.state = "queued"
                return None
            case StepStarted():
                line.state, line.worker, line.started = "running", event.worker, event.at
                return f"{event.step}: started on {event.worker}"
            case StepSucceeded():
                line.state, line.ended = "succeeded", event.at
                return f"{event.step}: done in {_seconds(line)}"
            case StepFaltered():
                line.note = event.failure.message
                return f"{event.step}: attempt {event.attempt} ended: {event.failure.code}: {event.failure.message}"
            case StepParked():
                line.state, line.note = "waiting", f"waits for {'; '.join(self.waits.get(event.step, event.waits_for))}"
                return f"{event.step}: {line.note}"
            case StepWoken():
                line.state, line.note = "queued", ""
                return f"{event.step}: goes on"
            case ChildrenAccepted():
                for child in event.steps:
                    self.steps.setdefault(child, StepLine())
                return f"{event.step}: has {', '.join(event.steps)} done"
            case StepRetrying():
                line.state = "retrying"
                return f"{event.step}: tries again in {event.delay_ms / 1000:.1f} s"
            case StepFellBack():
                line.state, line.note = "retrying", f"{event.fallback} takes over"
                return f"{event.step}: {event.agent} gave up: {event.failure.message}; {event.fallback} takes over"
            case StepFailed():
                line.state, line.ended, line.note = "failed", event.at, event.failure.message
                return f"{event.step}: failed: {event.failure.message}"
            case StepSkipped():
                line.state = "skipped"
                return f"{event.step}: skipped"
            case StepCancelled():
                line.state = "cancelled"
                return f"{event.step}: cancelled"
            case ToolCalled():
                line.tools += 1
                return f"{event.step}: {event.tool} {'ok' if event.success else event.code} ({event.duration_ms} ms)"
            case StepProgress():
                line.note = event.message
                return f"{event.step}: {event.message}"
            case MessagePosted():
                return f"{event.step} to {event.to or 'all'}: {' '.join(event.text.split())}"
            case TextDelta():
                line.note = " ".join(event.text.split())
                return None


def follow(view: JobView, events: Iterable[JobEvent], console: Console, refresh: "Refresh") -> None:
    """Show a job until its last event: a live tree on a terminal, plain lines elsewhere."""
    if not console.is_terminal:
        for event in events:
            refresh(view, event)
            line = view.apply(event)
            if line is not None:
                console.print(line, markup=False, highlight=False, soft_wrap=True)
        return
    with Live(view.render(), console=console, refresh_per_second=10) as live:
        for event in events:
            refresh(view, event)
            view.apply(event)
            live.update(view.render())


class Refresh:
    """Reads the steps' descriptions when a plan has come."""

    def __init__(self, handle: JobHandle) -> None:
        self.handle = handle

    def __call__(self, view: JobView, event: JobEvent) -> None:
        """Called before each event is shown."""
        if isinstance(event, PlanAccepted | PlanExtended | JobSubmitted | StepFellBack | JobReopened | StepParked):
            view.describe(self.handle.snapshot())


def _facts(line: StepLine) -> Iterable[str]:
    if line.ended or line.started:
        yield _seconds(line)
    if line.tools:
        yield f"{line.tools} tool calls"
    if line.worker:
        yield line.worker.partition("@")[0]
    if line.note and (line.state in {"failed", "retrying", "running", "waiting"} or line.started is None):
        yield line.note[:80]


def _seconds(line: StepLine) -> str:
    if line.started is None or line.ended is None:
        return ""
    return f"{(line.ended - line.started).total_seconds():.1f} s"
