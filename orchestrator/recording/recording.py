"""A recording, taken apart and put together: what is asked, what the journals of a replay hold, what it came to."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Self

from pydantic import ValidationError
from pydantic_core import to_json

from orchestrator.recording.difference import first_difference
from orchestrator.recording.file import read_lines, write_lines
from orchestrator.recording.lines import EntryLine, HeaderLine, Line, ResultLine, StepLine
from tasks.errors import BadRecording
from tasks.ids import JobId, StepId, new_job_id
from tasks.models import Failure, JobSpec, Join, StepResult
from tasks.recorded import Recorded
from tasks.results import JobResult, StepOutput
from tasks.states import StepStatus
from tasks.store import JournalEntry

NOT_HELD = (
    *("id", "idempotency_key", "budget_microusd", "limits", "max_in_flight", "timeout_ms", "replay"),
    *("session", "max_steps", "forked_from"),
)
"""Parts of a job's spec that do not hold for its replay: it calls nothing, and has an id and a time of its own."""


@dataclass(frozen=True, slots=True)
class Recording:
    """All that a job's models and tools said, and what came of it. `AsyncJobHandle.record` takes one."""

    header: HeaderLine
    steps: tuple[StepLine, ...]
    """In the order of the plan."""
    journals: Mapping[StepId, Sequence[EntryLine]]
    result: ResultLine

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """Read a recording from its file. Anybody may have written that: it is checked, and bounded.

        Raises:
            BadRecording: it cannot be read, is cut, too large, or no recording.
            IncompatibleVersion: it is of a later format.
        """
        place = Path(path)
        return cls._of(place, read_lines(place))

    def write(self, path: Path | str) -> None:
        """Write it to a file, whole or not at all.

        Raises:
            BadRecording: it cannot be written; what was there before still is.
        """
        write_lines(Path(path), self.lines)

    @property
    def lines(self) -> Iterator[Line]:
        """It as it stands in its file."""
        steps = chain.from_iterable((step, *self.journals.get(step.id, ())) for step in self.steps)
        return chain([self.header], steps, [self.result])

    @property
    def agents(self) -> tuple[str, ...]:
        """Agents that its steps need, sorted."""
        return tuple(sorted({step.agent for step in self.steps}))

    def spec(self, job: JobId, timeout: timedelta) -> JobSpec:
        """What is to be submitted to replay it.

        Raises:
            BadRecording: it holds no job that can be.
        """
        held = {name: value for name, value in self.header.job.items() if name not in NOT_HELD}
        milliseconds = max(int(timeout / timedelta(milliseconds=1)), 1)
        try:
            return JobSpec.model_validate({**held, "id": job, "timeout_ms": milliseconds, "replay": True})
        except ValidationError as error:
            raise BadRecording(f"its job cannot be submitted: {_said(error)}") from error

    def seeds(self) -> Iterator[tuple[StepId, list[JournalEntry]]]:
        """What the journals of a replay hold before it begins, step by step."""
        for step in self.steps:
            entries = [_recorded(step).entry]
            if step.status is StepStatus.SUCCEEDED:
                entries += [JournalEntry(one.id, _json(one)) for one in self.journals.get(step.id, ())]
            yield step.id, entries

    def difference(self, result: JobResult) -> str | None:
        """Where the outcome of a replay first departs from what was recorded, in words; None: nowhere.

        What is compared: the plan, the text, data and sources of every step, what failed and why, the answer, its
        sources and its model. Not: ids of jobs, times, workers, attempts, usage.
        """
        found = first_difference(self.steps, self.result, result)
        here = version("troupe")
        if found is None or self.header.release == here:
            return found
        return f"{found} (recorded by release {self.header.release!r}; this is {here!r})"

    @classmethod
    def _of(cls, path: Path, lines: Iterator[tuple[int, Line]]) -> Self:
        steps: dict[StepId, StepLine] = {}
        journals: dict[StepId, dict[str, EntryLine]] = {}
        _, header = next(lines)
        if not isinstance(header, HeaderLine):
            raise BadRecording(f"{path} is no recording: its first line does not say so")
        result: ResultLine | None = None
        for number, line in lines:
            if result is not None or isinstance(line, HeaderLine):
                raise BadRecording(f"{path}: line {number} is one too many")
            if isinstance(line, ResultLine):
                result = line
                if line.lines != number - 1:
                    raise BadRecording(f"{path} is not whole: {number - 1} lines in place of {line.lines}")
            elif isinstance(line, StepLine):
                if steps.setdefault(line.id, line) is not line:
                    raise BadRecording(f"{path}: line {number}: step {line.id!r} stands there twice")
            elif line.step not in steps:
                raise BadRecording(f"{path}: line {number}: there is no step {line.step!r} before it")
            elif journals.setdefault(line.step, {}).setdefault(line.id, line) is not line:
                raise BadRecording(f"{path}: line {number}: entry {line.id!r} of {line.step!r} stands there twice")
        if result is None:
            raise BadRecording(f"{path} is cut: the line with the result is missing")
        entries = {step: tuple(journal.values()) for step, journal in journals.items()}
        recording = cls(header, tuple(steps.values()), entries, result)
        recording._check(path)
        return recording

    def _check(self, path: Path) -> None:
        """See that a replay of it can be submitted."""
        try:
            self.spec(new_job_id(0), timedelta(hours=1))
            for step in self.steps:
                _recorded(step)
        except BadRecording as error:
            raise BadRecording(f"{path}: {error}") from error
        except ValidationError as error:
            raise BadRecording(f"{path}: a step of it cannot be replayed: {_said(error)}") from error


def _json(line: EntryLine) -> str:
    return to_json(line.entry).decode()


def _recorded(step: StepLine) -> Recorded:
    """What the worker that replays the step must know of it."""
    failed = step.status is StepStatus.FAILED
    code, message = (step.error.code, step.error.message) if step.error else ("step_failed", "it failed")
    early = step.join is Join.ANY and step.result is not None
    return Recorded(
        agent=step.agent,
        status=step.status,
        failure=Failure(code=code, message=message) if failed else None,
        found=_result(step.partial) if failed and step.partial else None,
        sources=tuple(one.model_copy(update={"number": None}) for one in step.result.sources)
        if early and step.result
        else (),
    )


def _result(output: StepOutput) -> StepResult:
    return StepResult(text=output.text, data=output.data, sources=output.sources)


def _said(error: ValidationError) -> str:
    fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
