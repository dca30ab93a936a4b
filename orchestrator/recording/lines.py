"""The lines of a recording. They are kept in files: a change of their meaning is a new FORMAT."""

from typing import Annotated, Final, Literal, Self

from pydantic import Field, JsonValue, TypeAdapter, model_validator

from tasks.models import Join, Name, Source, StepKind, StepName
from tasks.results import ErrorReport, JobResult, StepOutput, StepReport
from tasks.states import StepStatus, TaskStatus
from tasks.wire import Wire

FORMAT: Final = 1
MAX_MESSAGE_CHARS: Final = 4000
"""How much of an error's message is kept."""
KINDS: Final = {"o": ("opening",), "m": ("heard", "too_long"), "t": ("done",), "b": ("unpaid",)}
"""Kinds of entries by the first letter of their ids."""


class HeaderLine(Wire):
    """The first line: what was asked for."""

    line: Literal["recording"] = "recording"
    format: Literal[1] = FORMAT
    release: str
    """Of Troupe, which recorded it."""
    model: str | None = None
    """Model that wrote the answer. Each call has its own beside it."""
    job: dict[str, JsonValue]
    """The job's spec without its ids."""


class Fault(Wire):
    """Why a step or the job has no result."""

    code: str
    message: str = Field(max_length=MAX_MESSAGE_CHARS)

    @classmethod
    def of(cls, error: ErrorReport | None) -> Self | None:
        """As a result reports it."""
        return cls(code=error.code, message=error.message[:MAX_MESSAGE_CHARS]) if error else None


class StepLine(Wire):
    """One step, and how it ended."""

    line: Literal["step"] = "step"
    id: StepName
    kind: StepKind
    description: str
    agent: Name
    """Who did it in the end."""
    depends_on: tuple[StepName, ...] = ()
    join: Join = Join.ALL
    status: StepStatus
    result: StepOutput | None = None
    partial: StepOutput | None = None
    """What it had found before it failed."""
    error: Fault | None = None

    @classmethod
    def of(cls, step: StepReport) -> Self:
        """The line of a step that is over."""
        failed = step.status is StepStatus.FAILED
        return cls.model_validate(
            {
                **{name: getattr(step, name) for name in ("id", "kind", "description", "agent", "join", "status")},
                "depends_on": step.depends_on,
                "result": step.result,
                "partial": step.partial if failed else None,
                "error": Fault.of(step.error) if failed else None,
            }
        )


class EntryLine(Wire):
    """One entry of a step's journal: what a model answered, or what a tool call came to."""

    line: Literal["entry"] = "entry"
    step: StepName
    id: str = Field(pattern=r"^(o|b|m[1-9][0-9]{0,5}|t[1-9][0-9]{0,5}:[0-9]{1,5})$")
    entry: dict[str, JsonValue]

    @model_validator(mode="after")
    def _is_what_its_id_says(self) -> Self:
        kind = self.entry.get("kind")
        if kind not in KINDS[self.id[0]]:
            raise ValueError(f"entry {self.id!r} cannot be {kind!r}")
        return self


class ResultLine(Wire):
    """The last line: how the job ended."""

    line: Literal["result"] = "result"
    lines: int
    """Lines before this one, by which a file is known to be whole."""
    status: TaskStatus
    answer: str | None
    sources: tuple[Source, ...] = ()
    model: str | None = None
    error: Fault | None = None

    @classmethod
    def of(cls, result: JobResult, lines: int) -> Self:
        """The line of a job that is over."""
        return cls(
            lines=lines,
            status=result.status,
            answer=result.answer,
            sources=result.sources,
            model=result.model,
            error=Fault.of(result.error),
        )


Line = HeaderLine | StepLine | EntryLine | ResultLine
LINE: Final[TypeAdapter[Line]] = TypeAdapter(Annotated[Line, Field(discriminator="line")])
