"""What tools answer: bounded, as structured content and as text that a model reads."""

from collections.abc import Iterable
from typing import Final, Protocol

from mcp_types import CallToolResult, TextContent
from pydantic import BaseModel, JsonValue

from orchestrator.people import wording
from tasks.errors import ContractError, TroupeError
from tasks.knowledge import BaseStats, PassageHit
from tasks.models import AgentDefinition, Source
from tasks.redaction import redact_text
from tasks.results import Asked, ErrorReport, JobResult, JobSummary, Missing
from tasks.states import FINAL_STEP, StepStatus, TaskStatus

MAX_ANSWER_CHARS: Final = 50_000
MAX_TASK_CHARS: Final = 1_000
MAX_SOURCES: Final = 100
MAX_SOURCE_CHARS: Final = 300
MAX_STEPS: Final = 100
MAX_LINE_CHARS: Final = 300


class Reply(Protocol):
    """What a tool answers."""

    def text(self) -> str:
        """The same for people and models to read."""
        ...

    def model_dump(self, *, mode: str) -> dict[str, object]:
        """As structured content."""
        ...


class SourceLine(BaseModel):
    """A place that an answer rests on."""

    number: int | None
    title: str
    path: str
    where: str
    text: str
    """The beginning of the passage."""


class StepStanding(BaseModel):
    """One step of a job."""

    id: str
    agent: str
    description: str
    status: StepStatus
    waits_for: tuple[str, ...] = ()
    error: ErrorReport | None = None


class JobReply(BaseModel):
    """A job: where it stands, and its answer once it has one."""

    job_id: str
    session: str | None = None
    """The conversation that it answers in."""
    task: str
    status: TaskStatus
    final: bool
    """Whether it has ended, and does not change any more."""
    paused: bool
    steps_done: int
    steps_total: int
    answer: str | None
    """Markdown; cites sources as `[1]`, `[2]` …"""
    answer_cut: bool
    """Whether the answer is longer than what is shown."""
    sources: list[SourceLine]
    missing: list[Missing]
    """Parts of the work that the answer had to do without."""
    steps: list[StepStanding]
    error: ErrorReport | None
    cost_usd: float

    @classmethod
    def of(cls, job: JobResult, session: str | None = None) -> "JobReply":
        """The reply about a job."""
        answer = job.answer or ""
        return cls(
            job_id=job.job_id,
            session=session,
            task=_cut(job.task, MAX_TASK_CHARS),
            status=job.status,
            final=job.finished_at is not None,
            paused=job.paused,
            steps_done=sum(one.status in FINAL_STEP for one in job.steps),
            steps_total=len(job.steps),
            answer=None if job.answer is None else answer[:MAX_ANSWER_CHARS],
            answer_cut=len(answer) > MAX_ANSWER_CHARS,
            sources=[_source(one) for one in job.sources[:MAX_SOURCES]],
            missing=list(job.missing[:MAX_STEPS]),
            steps=[_step(job, at) for at in range(min(len(job.steps), MAX_STEPS))],
            error=job.error,
            cost_usd=job.usage.cost_usd,
        )

    def text(self) -> str:
        """The answer with its sources, or where the job stands."""
        lines = [_head(self)]
        if self.answer is not None:
            lines += [
                "",
                self.answer,
                *(["… (cut; the page and `troupe show` have all of it)"] if self.answer_cut else []),
            ]
            lines += ["", "Sources:"] if self.sources else []
            lines += [f"[{one.number}] {one.title}: {one.path} {one.where}".rstrip() for one in self.sources]
        else:
            lines += [f"- {one.id} ({one.agent}): {one.status.value}{_waits(one)}" for one in self.steps]
        if self.error is not None:
            lines.append(f"Error: {self.error.code}: {self.error.message}")
        lines += [f"Missing: {one.step}: {one.code}: {one.message}" for one in self.missing]
        return "\n".join(lines)


class JobStanding(BaseModel):
    """Where a job stands, without its answer."""

    job_id: str
    status: TaskStatus
    final: bool
    paused: bool
    steps_done: int
    steps_total: int
    steps: list[StepStanding]
    error: ErrorReport | None

    @classmethod
    def of(cls, job: JobResult) -> "JobStanding":
        """The standing of a job."""
        found = JobReply.of(job).model_dump(include=set(cls.model_fields))
        return cls.model_validate(found)

    def text(self) -> str:
        """One line, and one for each step."""
        lines = [f"- {one.id} ({one.agent}): {one.status.value}{_waits(one)}" for one in self.steps]
        error = [f"Error: {self.error.code}: {self.error.message}"] if self.error else []
        return "\n".join([_head(self), *lines, *error])


class CancelReply(BaseModel):
    """What became of a job that was to be cancelled."""

    job_id: str
    status: TaskStatus

    def text(self) -> str:
        """One line."""
        return f"job {self.job_id}: {self.status.value}"


class JobRow(BaseModel):
    """One line of a list of jobs."""

    job_id: str
    task: str
    status: TaskStatus
    paused: bool
    created_at: str
    steps_done: int
    steps_total: int
    session: str | None

    @classmethod
    def of(cls, job: JobSummary) -> "JobRow":
        """The line of a job."""
        return cls(
            job_id=job.job_id,
            task=_cut(job.task, MAX_LINE_CHARS),
            status=job.status,
            paused=job.paused,
            created_at=job.created_at.isoformat(),
            steps_done=job.steps_done,
            steps_total=job.steps_total,
            session=job.session,
        )


class JobsReply(BaseModel):
    """Jobs, newest first."""

    jobs: list[JobRow]

    def text(self) -> str:
        """A line each."""
        return _lines(
            (f"{one.job_id} {one.status.value} {one.steps_done}/{one.steps_total}: {one.task}" for one in self.jobs),
            "there are no jobs",
        )


class AgentRow(BaseModel):
    """An agent that jobs may use."""

    name: str
    description: str
    capabilities: tuple[str, ...]
    tools: tuple[str, ...]
    plannable: bool
    """Whether plans may name it."""

    @classmethod
    def of(cls, agent: AgentDefinition) -> "AgentRow":
        """The line of an agent."""
        return cls.model_validate(agent.model_dump(include=set(cls.model_fields)))


class AgentsReply(BaseModel):
    """Agents of living workers."""

    agents: list[AgentRow]

    def text(self) -> str:
        """A line each."""
        return _lines((f"{one.name}: {one.description}" for one in self.agents), "no worker is alive")


class KnowledgeReply(BaseModel):
    """Knowledge bases."""

    knowledge: list[BaseStats]

    def text(self) -> str:
        """A line each."""
        shown = (f"{one.name}: {one.documents} documents, {one.passages} passages" for one in self.knowledge)
        return _lines(shown, "there are no knowledge bases")


class HitsReply(BaseModel):
    """Passages that fit a query, best first."""

    knowledge: str
    hits: list[PassageHit]

    def text(self) -> str:
        """Each with its place."""
        shown = (
            f"[{one.id}] {one.title}: {one.path}{f' › {one.heading}' if one.heading else ''}\n{one.text}\n"
            for one in self.hits
        )
        return _lines(shown, "nothing fits")


class AskedReply(BaseModel):
    """What steps ask people, and wait for."""

    asked: list[Asked]

    def text(self) -> str:
        """A line each."""
        return _lines((_asked(one) for one in self.asked), "nothing is asked")


class DecidedReply(BaseModel):
    """What was decided."""

    decision: str
    asked: Asked

    def text(self) -> str:
        """One line."""
        return f"{self.decision}: {_asked(self.asked)}"


def told(reply: Reply) -> CallToolResult:
    """The result of a tool that did what it was to do."""
    return CallToolResult(
        content=[TextContent(type="text", text=reply.text())], structured_content=reply.model_dump(mode="json")
    )


def refused(error: TroupeError) -> CallToolResult:
    """The result of a tool that did not; `code` is that of every other door."""
    message = redact_text(str(error))[:MAX_TASK_CHARS]
    said: dict[str, JsonValue] = {
        "code": error.code,
        "message": message,
        "retryable": not isinstance(error, ContractError),
    }
    return CallToolResult(
        content=[TextContent(type="text", text=f"{error.code}: {message}")],
        structured_content={"error": said},
        is_error=True,
    )


def _head(job: JobReply | JobStanding) -> str:
    paused = ", paused" if job.paused else ""
    return f"job {job.job_id}: {job.status.value}{paused}, {job.steps_done} of {job.steps_total} steps done"


def _waits(step: StepStanding) -> str:
    return f", waits for {'; '.join(step.waits_for)}" if step.waits_for else ""


def _asked(one: Asked) -> str:
    return f"{one.kind} of step {one.step} of job {one.job_id} (key {one.key}), agent {one.agent}: {wording(one)}"


def _source(one: Source) -> SourceLine:
    pages, lines = (one.page_start, one.page_end), (one.line_start, one.line_end)
    where = f"lines {lines[0]}-{lines[1]}" if lines[0] else f"pages {pages[0]}-{pages[1]}" if pages[0] else ""
    return SourceLine(
        number=one.number, title=one.title, path=one.path, where=where, text=_cut(one.text, MAX_SOURCE_CHARS)
    )


def _step(job: JobResult, at: int) -> StepStanding:
    step = job.steps[at]
    return StepStanding(
        id=step.id,
        agent=step.agent,
        description=_cut(step.description, MAX_LINE_CHARS),
        status=step.status,
        waits_for=tuple(_cut(one, MAX_LINE_CHARS) for one in step.waits_for),
        error=step.error,
    )


def _lines(shown: Iterable[str], nothing: str) -> str:
    return "\n".join(shown) or nothing


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
