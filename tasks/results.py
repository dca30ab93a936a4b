"""JobResult: the whole outcome of a job as users, `--json` and the API get it. Its JSON form is a contract."""

from pydantic import AwareDatetime, JsonValue

from tasks.ids import JobId
from tasks.models import Attempt, Failure, Join, Origin, Source, StepKind
from tasks.states import StepStatus, TaskStatus
from tasks.usage import Budget, Ledger, Usage
from tasks.wire import Wire

MICROUSD = 1_000_000
"""Micro-dollars in a dollar."""


class UsageReport(Wire):
    """Usage with its cost in dollars."""

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    requests: int
    tool_calls: int
    cost_usd: float
    """Exact to the micro-dollar."""

    @classmethod
    def of(cls, usage: Usage) -> "UsageReport":
        """The report of a usage record."""
        return cls(
            **usage.model_dump(exclude={"cost_microusd"}),
            cost_usd=usage.cost_microusd / MICROUSD,
        )


class LedgerEntry(Wire):
    """What one step consumed with one agent and model, all its attempts together."""

    step: str
    agent: str
    model: str
    """`-` where an agent's own code counted."""
    usage: UsageReport


class LedgerReport(Wire):
    """What a job consumed, line by line; `total` is their sum, and the job's usage."""

    job_id: JobId
    lines: tuple[LedgerEntry, ...]
    total: UsageReport
    unanswered: int
    """Model calls whose answer nobody got, because their worker died or they were cancelled; they may have cost
    something that only the provider knows."""
    budget: Budget = Budget()
    """The most that the job may consume."""

    @classmethod
    def of(cls, job: JobId, ledger: Ledger, budget: Budget) -> "LedgerReport":
        """The report of a ledger."""
        lines = tuple(
            LedgerEntry(step=line.step, agent=line.agent, model=line.model, usage=UsageReport.of(line.usage))
            for line in ledger.lines
        )
        total = UsageReport.of(ledger.total)
        return cls(job_id=job, lines=lines, total=total, unanswered=ledger.unanswered, budget=budget)


class ErrorReport(Wire):
    """Why a step or the job has no result."""

    code: str
    message: str
    retryable: bool

    @classmethod
    def of(cls, failure: Failure) -> "ErrorReport":
        """The report of a failure."""
        return cls(code=failure.code, message=failure.message, retryable=failure.retryable)


class StepOutput(Wire):
    """What a step returned."""

    text: str
    data: JsonValue = None
    sources: tuple[Source, ...] = ()


class StepReport(Wire):
    """One step of a job."""

    id: str
    kind: StepKind
    description: str
    agent: str
    queue: str
    depends_on: tuple[str, ...]
    join: Join
    quorum: int = 0
    """How many of those must succeed, where they join by quorum."""
    optional: bool = False
    """Whether those that depend on it do without it when it has no result."""
    parent: str | None = None
    """The step that it is done for, if one delegated it."""
    status: StepStatus
    attempts: int
    """Attempts begun, lost ones included."""
    worker: str | None
    """Worker of the last attempt."""
    started_at: AwareDatetime | None
    """Start of the last attempt."""
    finished_at: AwareDatetime | None
    usage: UsageReport
    """Sum over all attempts."""
    result: StepOutput | None
    partial: StepOutput | None = None
    """What it had found before it failed, if anything."""
    error: ErrorReport | None
    waits_for: tuple[str, ...] = ()
    """What it waits for while it is parked, a line each: `approval: pay {"amount": 5}`, `question: Which year?`,
    `children: one_1, one_2`."""
    reused_from: JobId | None = None
    """The job whose result it is: it was taken over, with no attempt and at no cost."""


class Missing(Wire):
    """A part of the work that the answer had to do without."""

    step: str
    description: str
    status: StepStatus
    code: str
    message: str


class Asked(Wire):
    """Something that a step asks people, and waits for."""

    job_id: JobId
    step: str
    key: str
    """Tells it from others of the same step."""
    kind: str
    """approval or question."""
    agent: str
    tool: str | None = None
    """The tool that would be called."""
    input: JsonValue = None
    """With what arguments; without secrets. Of a step: what it is told beside its description."""
    description: str | None = None
    """The step that would begin, where it is one that needs a yes."""
    question: str | None = None
    options: tuple[str, ...] = ()
    """Answers to choose from; empty: any."""
    expires_at: AwareDatetime | None = None
    asked_at: AwareDatetime | None = None
    """Known in lists of all that is asked."""


class DeadStep(Wire):
    """A step that was given up, and may be retried by hand."""

    job_id: JobId
    step: str
    task: str
    """The job's task."""
    description: str
    agent: str
    queue: str
    job_status: TaskStatus
    died_at: AwareDatetime
    attempts: int
    """Attempts begun, lost ones included."""
    error: ErrorReport
    history: tuple[Attempt, ...]
    """Its attempts that ended, first to last."""


class JobResult(Wire):
    """The outcome of a job, or where it stands."""

    job_id: JobId
    task: str
    status: TaskStatus
    answer: str | None
    """Markdown; cites `sources` as `[1]`, `[2]` …"""
    sources: tuple[Source, ...]
    """In the order of their numbers."""
    steps: tuple[StepReport, ...]
    """In the order of the plan."""
    usage: UsageReport
    """Sum over all attempts of all steps."""
    missing: tuple[Missing, ...]
    model: str | None
    """Model that wrote the answer."""
    created_at: AwareDatetime
    started_at: AwareDatetime | None
    """When the first worker began."""
    finished_at: AwareDatetime | None
    error: ErrorReport | None
    paused: bool = False
    """Whether it stands still, with as many steps of work begun as were asked for, until it is told to go on."""
    forked_from: Origin | None = None
    """The job that it was forked from, and the first step that was done anew."""


class Standing(Wire):
    """Where a job stands, and no more."""

    job_id: JobId
    status: TaskStatus
    last_event: int
    """Number of its last event."""
    paused: bool


class JobSummary(Wire):
    """One line of a list of jobs."""

    job_id: JobId
    task: str
    status: TaskStatus
    created_at: AwareDatetime
    finished_at: AwareDatetime | None = None
    steps_total: int = 0
    steps_done: int = 0
    cost_microusd: int = 0
    tenant: str = "default"
    """On whose behalf it is."""
    paused: bool = False
    """Whether somebody has paused it."""
    session: str | None = None
    """The conversation that it belongs to."""
