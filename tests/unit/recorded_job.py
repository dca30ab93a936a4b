"""A recording by hand: a plan, one step that worked and one that did not, and an answer."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import JsonValue

from orchestrator.recording import Recording
from orchestrator.recording.lines import EntryLine, Fault, HeaderLine, ResultLine, StepLine
from tasks.ids import StepId
from tasks.models import Source, StepKind
from tasks.results import JobResult, StepOutput
from tasks.states import StepStatus, TaskStatus

SOURCE: Final = Source(id="p0123456789", title="Handbook", path="/docs/handbook.md", text="It is so.")
NUMBERED: Final = SOURCE.model_copy(update={"number": 1})
OPENING: Final[dict[str, JsonValue]] = {"kind": "opening", "text": "Go."}

Journals = Mapping[str, Mapping[str, dict[str, JsonValue]]]
"""Entries by step and id."""


def a_step_line(name: str, **fields: Any) -> StepLine:
    """A step that worked."""
    output = StepOutput(text=f"Found [{SOURCE.id}].", data={"n": 1}, sources=(SOURCE,))
    values = {"id": name, "kind": StepKind.WORK, "description": f"Do {name}.", "agent": "search"}
    return StepLine.model_validate({**values, "status": StepStatus.SUCCEEDED, "result": output, **fields})


FAILED: Final = a_step_line(
    "two", status=StepStatus.FAILED, result=None, error=Fault(code="model_refused", message="It declined."),
    partial=StepOutput(text="Half."),
)  # fmt: skip
STEPS: Final = (a_step_line("plan", kind=StepKind.PLAN, agent="planner"), a_step_line("one"), FAILED)


def a_recording(
    steps: Sequence[StepLine] = STEPS,
    journals: Journals | None = None,
    job: Mapping[str, JsonValue] | None = None,
) -> Recording:
    """A recording of a job that has completed."""
    entries = {
        StepId(step): tuple(EntryLine(step=StepId(step), id=name, entry=entry) for name, entry in journal.items())
        for step, journal in ({"one": {"o": OPENING}} if journals is None else journals).items()
    }
    lines = 1 + len(steps) + sum(map(len, entries.values()))
    result = ResultLine(
        lines=lines, status=TaskStatus.COMPLETED, answer="So [1].", sources=(NUMBERED,), model="offline"
    )
    header = HeaderLine(release="0.1.0", model="offline", job={"task": "Why?"} if job is None else dict(job))
    return Recording(header, tuple(steps), entries, result)


def an_outcome(recording: Recording, **changes: Mapping[str, Any] | None) -> JobResult:
    """The outcome of a replay that came out as recorded, but for changes: by step, and `job` for the whole.

    A change of None leaves the step out.
    """
    nothing = dict.fromkeys(("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"), 0)
    usage = {**nothing, "requests": 0, "tool_calls": 0, "cost_usd": 0}
    steps = [
        {
            **line.model_dump(mode="json", exclude={"line"}),
            "queue": line.agent,
            "attempts": 1,
            "worker": None,
            "started_at": None,
            "finished_at": None,
            "usage": usage,
            "error": line.error and {**line.error.model_dump(), "retryable": False},
            **(changes.get(line.id) or {}),
        }
        for line in recording.steps
        if changes.get(line.id, {}) is not None
    ]
    ended = recording.result.model_dump(mode="json", exclude={"line", "lines"})
    times = {"created_at": "2026-01-01T00:00:00Z", "started_at": None, "finished_at": None}
    whole = {"job_id": "j" + "0" * 19, "task": "Why?", "steps": steps, "usage": usage, "missing": [], **times}
    return JobResult.model_validate({**whole, **ended, **(changes.get("job") or {})})
