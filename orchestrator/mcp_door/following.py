"""To wait for a job on behalf of a call: its progress is told, and a call that is broken off ends what it began."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, cast

import anyio
from mcp.server.mcpserver import Context

from orchestrator.handle import AsyncJobHandle
from orchestrator.mcp_door.ways import Way
from tasks.errors import TroupeError
from tasks.events import (
    ChildrenAccepted,
    JobEvent,
    JobFinished,
    JobPaused,
    PlanAccepted,
    PlanExtended,
    StepCancelled,
    StepFailed,
    StepParked,
    StepProgress,
    StepRetrying,
    StepSkipped,
    StepStarted,
    StepSucceeded,
    ToolCalled,
)
from tasks.results import JobResult
from tasks.states import FINAL_STEP

T = TypeVar("T")

FAREWELL_S: Final = 10.0
"""Longest that a call which was broken off takes to cancel its job."""
MAX_MESSAGE_CHARS: Final = 300


@dataclass(slots=True)
class Progress:
    """How far a job is, from its events."""

    steps: set[str] = field(default_factory=set[str])
    done: set[str] = field(default_factory=set[str])
    _since: int = 0
    _told: float = 0.0

    @classmethod
    def of(cls, job: JobResult) -> "Progress":
        """Where a job stands whose earlier events are not read."""
        return cls({one.id for one in job.steps}, {one.id for one in job.steps if one.status in FINAL_STEP})

    def take(self, event: JobEvent) -> str | None:
        """Take one event in; what is happening, in a line, if somebody wants to know."""
        match event:
            case PlanAccepted() | ChildrenAccepted():
                self.steps.update(event.steps)
            case PlanExtended() | StepStarted() | StepParked() | StepRetrying():
                self.steps.add(event.step)
            case StepSucceeded() | StepFailed() | StepSkipped() | StepCancelled():
                self.steps.add(event.step)
                self.done.add(event.step)
                self._since = 0
            case _:
                pass
        return _line(event)

    def next(self) -> float:
        """The number to tell now: whole steps that are done and, because it must grow with each, a part of one."""
        self._since += 1
        self._told = max(len(self.done) + self._since / (self._since + 1), self._told + 1e-6)
        return self._told


async def follow(job: AsyncJobHandle, context: Context[Any], progress: Progress, since: int = 0) -> JobResult:
    """Tell a job's progress until it has ended; its outcome then."""
    source = cast("AsyncGenerator[JobEvent]", job.events(since))
    async with aclosing(source) as events:
        await _tell(context, progress, "waiting for what happens")
        async for event in events:
            if (line := progress.take(event)) is not None:
                await _tell(context, progress, line)
    return await job.wait()


async def _tell(context: Context[Any], progress: Progress, line: str) -> None:
    done, total = len(progress.done), len(progress.steps)
    message = f"{done} of {total} steps done: {line}"[:MAX_MESSAGE_CHARS]
    await context.report_progress(progress.next(), max(total, done + 1), message)


async def unbroken(call: Awaitable[T]) -> T:
    """Do it whole, also if the tool call is broken off meanwhile: else a job might be there whose id nobody knows."""
    found: list[T] = []
    with anyio.CancelScope(shield=True):
        found.append(await call)
    return found[0]


@asynccontextmanager
async def answerable(way: Way, job: AsyncJobHandle) -> AsyncGenerator[None]:
    """Cancel the job if the call that began it is broken off; not when this process ends, which jobs outlive."""
    try:
        yield
    except asyncio.CancelledError:
        if not way.closing.is_set():
            with anyio.move_on_after(FAREWELL_S, shield=True), suppress(TroupeError):
                await job.cancel()
        raise


def _line(event: JobEvent) -> str | None:
    match event:
        case PlanAccepted():
            return f"planned {len(event.steps)} steps"
        case ChildrenAccepted():
            return f"{event.step} delegates to {', '.join(event.steps)}"
        case StepStarted():
            return f"{event.step} began on {event.worker}"
        case StepSucceeded():
            return f"{event.step} succeeded"
        case StepFailed():
            return f"{event.step} failed: {event.failure.code}"
        case StepSkipped():
            return f"{event.step} was skipped"
        case StepParked():
            return f"{event.step} waits for {', '.join(event.waits_for)}"
        case StepRetrying():
            return f"{event.step} is tried again"
        case ToolCalled():
            return f"{event.step} called {event.tool}{'' if event.success else f': {event.code}'}"
        case StepProgress():
            return f"{event.step}: {' '.join(event.message.split())}"
        case JobPaused():
            return "paused"
        case JobFinished():
            return event.status.value
        case _:
            return None
