"""Two jobs side by side: plans, results, answer, sources, cost and time. Pure."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from difflib import unified_diff
from enum import StrEnum
from typing import Final

from pydantic import JsonValue

from tasks.ids import JobId
from tasks.models import Source
from tasks.results import JobResult, StepOutput, StepReport, UsageReport
from tasks.states import StepStatus, TaskStatus
from tasks.wire import Wire

PLANNED: Final = (
    *("kind", "description", "agent", "queue", "depends_on", "join", "quorum", "optional", "parent"),
)  # fmt: skip
"""What of a step is its plan's."""
MAX_COMPARED_CHARS: Final = 50_000
"""Of each of two texts that are compared line by line: that takes the product of their lengths at worst."""
MAX_LINES: Final = 200
"""Lines of one text's differences."""
MAX_LINE_CHARS: Final = 500


class Presence(StrEnum):
    """In which of two jobs a step is."""

    BOTH = "both"
    BEFORE = "before"
    """It is gone."""
    AFTER = "after"
    """It has come."""


class Change(Wire):
    """A value that differs."""

    field: str
    before: JsonValue
    after: JsonValue


class TextChange(Wire):
    """What two texts, or what stands with them, have not in common."""

    same: bool
    lines: tuple[str, ...] = ()
    """Unified diff, with as little around it as may be; cut after 200 lines. Empty too where only data differ."""
    sources_gained: tuple[Source, ...] = ()
    sources_lost: tuple[Source, ...] = ()


class Figures(Wire):
    """What a step, or a job, has taken."""

    status: str
    attempts: int
    tokens: int
    """In and out, cached ones included."""
    requests: int
    tool_calls: int
    cost_usd: float
    duration_s: float | None
    """Of a job from submit to its end, of a step its last attempt's; None: not ended, or no attempt was made."""
    reused_from: JobId | None = None
    error: str | None = None
    """Code."""


class StepDiff(Wire):
    """One step in two jobs."""

    id: str
    presence: Presence
    changes: tuple[Change, ...] = ()
    """Of what the plan says of it."""
    before: Figures | None = None
    after: Figures | None = None
    result: TextChange

    @property
    def differs(self) -> bool:
        """Whether it is another step, ended in another way, or found something else."""
        if self.before is None or self.after is None:
            return True
        ended = (self.before.status, self.before.error) != (self.after.status, self.after.error)
        return bool(self.changes) or ended or not self.result.same


class Side(Wire):
    """One of the jobs."""

    job_id: JobId
    task: str
    model: str | None
    figures: Figures


class JobDiff(Wire):
    """Two jobs, step by step, aligned by the steps' ids."""

    before: Side
    after: Side
    steps: tuple[StepDiff, ...]
    """In the order of the first job, then those that are only in the other one."""
    answer: TextChange
    differs: bool
    """Whether task, plan, results, answer or sources do. Attempts, cost, time and workers do not count."""


def diff(before: JobResult, after: JobResult) -> JobDiff:
    """What differs between two jobs, such as one and its fork. O(their texts)."""
    ones, others = ({step.id: step for step in job.steps} for job in (before, after))
    steps = tuple(_step(ones.get(name), others.get(name), name) for name in dict.fromkeys([*ones, *others]))
    answer = _text(_Told.of_job(before), _Told.of_job(after))
    sides = _side(before), _side(after)
    ended = [(job.status, job.error and job.error.code) for job in (before, after)]
    differs = (
        before.task != after.task or ended[0] != ended[1] or not answer.same or any(step.differs for step in steps)
    )
    return JobDiff(before=sides[0], after=sides[1], steps=steps, answer=answer, differs=differs)


class _Told(Wire):
    """What is compared of a result."""

    text: str | None
    data: JsonValue = None
    sources: tuple[Source, ...] = ()

    @classmethod
    def of_job(cls, job: JobResult) -> "_Told":
        return cls(text=job.answer, sources=job.sources)

    @classmethod
    def of_step(cls, step: StepReport | None) -> "_Told":
        output: StepOutput | None = (step.result or step.partial) if step else None
        return cls(text=output.text, data=output.data, sources=output.sources) if output else cls(text=None)


def _side(job: JobResult) -> Side:
    attempts = sum(step.attempts for step in job.steps)
    error = job.error.code if job.error else None
    figures = _figures(job.status, attempts, job.usage, _seconds(job.created_at, job.finished_at), error)
    return Side(job_id=job.job_id, task=job.task, model=job.model, figures=figures)


def _step(one: StepReport | None, other: StepReport | None, name: str) -> StepDiff:
    presence = Presence.AFTER if one is None else Presence.BEFORE if other is None else Presence.BOTH
    return StepDiff(
        id=name,
        presence=presence,
        changes=tuple(_changes(one, other)) if one and other else (),
        before=_of_step(one) if one else None,
        after=_of_step(other) if other else None,
        result=_text(_Told.of_step(one), _Told.of_step(other)),
    )


def _changes(one: StepReport, other: StepReport) -> Iterator[Change]:
    was, now = (step.model_dump(mode="json", include={*PLANNED}) for step in (one, other))
    for field in PLANNED:
        if was[field] != now[field]:
            yield Change(field=field, before=was[field], after=now[field])


def _of_step(step: StepReport) -> Figures:
    error = step.error.code if step.error else None
    figures = _figures(step.status, step.attempts, step.usage, _seconds(step.started_at, step.finished_at), error)
    return figures.model_copy(update={"reused_from": step.reused_from})


def _figures(
    status: TaskStatus | StepStatus, attempts: int, usage: UsageReport, seconds: float | None, error: str | None
) -> Figures:
    tokens = usage.input_tokens + usage.output_tokens + usage.cache_read_tokens + usage.cache_write_tokens
    return Figures(
        status=status.value,
        attempts=attempts,
        tokens=tokens,
        requests=usage.requests,
        tool_calls=usage.tool_calls,
        cost_usd=usage.cost_usd,
        duration_s=seconds,
        error=error,
    )


def _seconds(begun: datetime | None, ended: datetime | None) -> float | None:
    return (ended - begun).total_seconds() if begun and ended else None


def _text(one: _Told, other: _Told) -> TextChange:
    gained, lost = _beyond(other.sources, one.sources), _beyond(one.sources, other.sources)
    same = (one.text, one.data) == (other.text, other.data) and not gained and not lost
    lines = tuple(_lines(one.text or "", other.text or "")) if one.text != other.text else ()
    return TextChange(same=same, lines=lines, sources_gained=gained, sources_lost=lost)


def _beyond(these: Sequence[Source], those: Sequence[Source]) -> tuple[Source, ...]:
    """Sources of the first that are not among the second; an id stands for the same content of the same file."""
    known = {one.id for one in those}
    return tuple(one for one in these if one.id not in known)


def _lines(one: str, other: str) -> Iterator[str]:
    was, now = (text[:MAX_COMPARED_CHARS].splitlines() for text in (one, other))
    found = list(unified_diff(was, now, lineterm="", n=1))[2:]  # the first two lines name files
    for line in found[:MAX_LINES]:
        yield line if len(line) <= MAX_LINE_CHARS else f"{line[: MAX_LINE_CHARS - 1]}…"
    if len(found) > MAX_LINES:
        yield f"… {len(found) - MAX_LINES} more lines"
    elif not found or max(len(one), len(other)) > MAX_COMPARED_CHARS:
        yield f"… compared as far as character {MAX_COMPARED_CHARS:,}, or they differ in blank ends only"
