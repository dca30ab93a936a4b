"""What travels between processes: jobs, plans, steps, attempts, results. All frozen, all versioned by VERSION.

Every model forbids unknown fields: a payload from a newer release is refused in words, never half-read.
"""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, AwareDatetime, Field, JsonValue
from pydantic.json_schema import SkipJsonSchema

from tasks.ids import NAME, SESSION_ID, STEP_ID, JobId, SessionId, StepId, WorkerName
from tasks.retries import RetryPolicy
from tasks.states import StepStatus
from tasks.usage import Budget, Usage
from tasks.wire import Wire

VERSION: Final = 1
"""Version of the stored and sent forms. Raised when an older process could misread a newer one."""

MAX_TASK_CHARS: Final = 100_000
"""Longest task. About 25,000 tokens: more belongs into documents."""
MAX_DESCRIPTION_CHARS: Final = 20_000
"""Longest description of a step."""
MAX_TEXT_CHARS: Final = 200_000
"""Longest text of one step's result."""
DEFAULT_TIMEOUT: Final = timedelta(hours=1)
MAX_TIMEOUT: Final = timedelta(days=7)


def _check_name(text: str) -> str:
    if NAME.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not a name: lower-case letters, digits, - and _, at most 48, a letter first")
    return text


def _check_step_id(text: str) -> str:
    if STEP_ID.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not a step id: lower-case letters, digits, - and _, at most 48, a letter first")
    return text


Name = Annotated[str, AfterValidator(_check_name)]
SessionName = Annotated[SessionId, Field(pattern=rf"^(?:{SESSION_ID.pattern})\z")]
StepName = Annotated[StepId, AfterValidator(_check_step_id)]


class SourceKind(StrEnum):
    """Where a source was found."""

    PASSAGE = "passage"
    """A passage of a document in a knowledge base."""
    TABLE = "table"
    """A data file that was queried."""


class Source(Wire):
    """A place that a result rests on. `text` stands in the file at the given lines or pages."""

    id: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    """Key that texts cite in square brackets, `[id]`. Stable for the same content of the same file."""
    kind: SourceKind = SourceKind.PASSAGE
    number: int | None = None
    """Position in the answer's list of sources, from 1; None in the results of single steps."""
    title: str
    path: str
    """Absolute path of the file when it was read."""
    heading: str | None = None
    """Section headings that the passage stands under, outermost first, joined by ' › '."""
    line_start: int | None = None
    """First line, from 1; None for paged files."""
    line_end: int | None = None
    """Last line, inclusive."""
    page_start: int | None = None
    page_end: int | None = None
    text: str = ""
    """The passage, verbatim, at most 2,000 characters."""
    knowledge: str | None = None
    """Knowledge base it came from."""
    query: str | None = None
    """SQL that was run, for tables."""


class Failure(Wire):
    """Why an attempt, a step or a job ended without a result. A fact, not an exception."""

    code: str
    """Stable and machine-readable: a `TroupeError.code`, or one of an agent's own."""
    message: str
    retryable: bool = False
    retry_after_ms: int | None = None
    """Earliest useful time for another try, from when the failure was met."""
    deferred: bool = False
    """The attempt was put off until then, and does not count."""


class Join(StrEnum):
    """When a step with several dependencies may run. It is skipped when all have ended and it may not.

    An optional dependency that did not succeed counts as if the step did not depend on it.
    """

    ALL = "all"
    """When all succeeded."""
    ANY = "any"
    """As soon as one succeeded."""
    QUORUM = "quorum"
    """As soon as `quorum` of them succeeded."""
    BEST_EFFORT = "best_effort"
    """When all have ended and at least one succeeded."""


class StepKind(StrEnum):
    """What a step is for; decides what its settling does to the job."""

    PLAN = "plan"
    """Proposes a plan; its result goes to the orchestrator."""
    WORK = "work"
    SYNTHESIS = "synthesis"
    """Writes the answer; its end is the job's end."""


class Fallback(Wire):
    """An agent that takes a step over when it would be given up, with the limits that then hold."""

    agent: Name
    queue: Name
    timeout_ms: int = Field(default=300_000, ge=1)
    queue_ms: int = Field(default=0, ge=0)
    idle_ms: int = Field(default=0, ge=0)
    retry: RetryPolicy = RetryPolicy()
    version: str = "1"


class Inherited(Wire):
    """A budget that a step spends from beside its job's and its agent's."""

    scope: str
    budget: Budget


class Step(Wire):
    """One node of a job's plan, checked and bound to an agent and a queue."""

    id: StepName
    kind: StepKind = StepKind.WORK
    description: str
    agent: Name
    queue: Name
    depends_on: tuple[StepName, ...] = ()
    join: Join = Join.ALL
    input: JsonValue = None
    """Whatever the step needs beside its description: the faults for a repair round, say."""
    timeout_ms: int = Field(default=300_000, ge=1)
    """Longest time of one attempt."""
    retry: RetryPolicy = RetryPolicy()
    total_ms: int = Field(default=0, ge=0)
    """Longest time of the whole step, from when it first is ready, over all attempts and fallbacks; 0: no limit."""
    queue_ms: int = Field(default=0, ge=0)
    """Longest time from ready until an attempt is claimed; 0: no limit."""
    idle_ms: int = Field(default=0, ge=0)
    """Longest time without a sign of life from the agent; 0: no limit."""
    fallbacks: tuple[Fallback, ...] = ()
    """Agents that take it over, one after the other, when it would be given up."""
    parent: StepName | None = None
    """The parked step that it is done for."""
    lineage: tuple[Name, ...] = ()
    """Agents of its parent, of that one's parent and so on, the first one first."""
    budgets: tuple[Inherited, ...] = ()
    """Budgets of its parents, which it spends from too."""
    tools: tuple[str, ...] | None = None
    """The only tools that its agent may use; None: all that it has. Children never get more than their parents."""
    handed: tuple[Name, ...] = ()
    """Agents that have handed it over, with its conversation."""
    version: str = "1"
    """Version of its agent that it was bound to: no other one does it while a worker has this one."""
    quorum: int = Field(default=0, ge=0)
    """How many of its dependencies must succeed, where they join by quorum."""
    optional: bool = False
    """Whether those that depend on it do without it when it does not succeed."""
    requires_approval: bool = False
    """Whether a person must say yes before it begins."""
    join_ms: int = Field(default=0, ge=0)
    """Longest time that it waits for its dependencies, from when it is written: then it runs on what there is, as soon
    as there is one result. 0: no limit."""


class PlannedStep(Wire):
    """One step as a planner proposes it; the orchestrator turns it into a `Step`."""

    id: str = Field(description="Short unique id: lower-case letters, digits, - and _.")
    description: str = Field(description="What to do, complete in itself.")
    agent: str | None = Field(default=None, description="Name of the agent that does it; or give a capability.")
    capability: str | None = Field(default=None, description="What the agent must be able to do, if no name is given.")
    depends_on: list[str] = Field(default_factory=list, description="Ids of the steps whose results this one needs.")
    join: Join | None = Field(default=None, description="When it may run; all dependencies unless said otherwise.")
    # A planner's model sees no more than the fields above: how patient to be is for people to say.
    retry: SkipJsonSchema[RetryPolicy | None] = None
    """Instead of its agent's; `step_attempts` is the most tries."""
    fallback: SkipJsonSchema[str | None] = None
    """Agent that takes it over when it would be given up, instead of its agent's own."""
    fallbacks: SkipJsonSchema[list[str]] = Field(default_factory=list)
    """Agents after that one, in their order, instead of those that follow it by themselves."""
    fallback_capability: SkipJsonSchema[str | None] = None
    """After them every agent that has this capability, by name."""
    timeout_ms: SkipJsonSchema[int] = Field(default=0, ge=0)
    """Longest time of one attempt. Each limit may only shorten what its agent and the settings say; 0: as they say."""
    total_ms: SkipJsonSchema[int] = Field(default=0, ge=0)
    """Longest time of the whole step, from when it first is ready."""
    queue_ms: SkipJsonSchema[int] = Field(default=0, ge=0)
    """Longest time from ready until an attempt is claimed."""
    idle_ms: SkipJsonSchema[int] = Field(default=0, ge=0)
    """Longest time without a sign of life from the agent."""
    input: SkipJsonSchema[JsonValue] = None
    """What an agent that is code is told beside the description."""
    quorum: SkipJsonSchema[int] = Field(default=0, ge=0)
    """How many of its dependencies must succeed, where they join by quorum; 0: more than half of them."""
    requires_approval: SkipJsonSchema[bool] = False
    """Whether a person must say yes before it begins."""
    tools: SkipJsonSchema[tuple[str, ...] | None] = None
    """The only tools that its agent may use, and those that it delegates to; None: all that it has."""
    optional: SkipJsonSchema[bool] = False
    """Whether those that depend on it do without it when it does not succeed."""
    join_ms: SkipJsonSchema[int] = Field(default=0, ge=0)
    """Longest time that it waits for its dependencies, from when the plan is accepted: then it runs on what there is,
    as soon as there is one result. 0: no limit."""


class Plan(Wire):
    """A plan as proposed: unchecked. `orchestrator.planning.check` says whether it may run."""

    rationale: str = Field(default="", description="Why this decomposition serves the task, in one or two sentences.")
    steps: list[PlannedStep]


class TableRef(Wire):
    """A data file that a job's agents may query."""

    name: str = Field(pattern=r"^[a-z_][a-z0-9_]{0,62}$")
    """Name in SQL."""
    path: str
    """Absolute path; every worker must see it there."""
    columns: tuple[str, ...] = ()
    """Names of its columns, for the planner, as far as the first bytes of the file show them; at most 200."""


class Origin(Wire):
    """Where a fork comes from."""

    job_id: JobId
    step: StepName
    """The first step that was done anew; `synthesis`: only the answer was, `plan`: all of it."""


class JobSpec(Wire):
    """What is asked for: written once at submit, never changed."""

    version: Literal[1] = VERSION
    id: JobId
    task: str = Field(min_length=1, max_length=MAX_TASK_CHARS)
    model: str | None = None
    """Model for all agents of the job; None: each worker's own setting."""
    knowledge: tuple[Name, ...] = ()
    """Knowledge bases that its agents may search; empty: the default one."""
    data: tuple[TableRef, ...] = ()
    plan: Plan | None = None
    """A ready plan; then no planner is asked."""
    budget_microusd: int | None = Field(default=None, ge=0)
    """Most that its model calls may cost together."""
    limits: Budget | None = None
    """Further limits of the whole job, beside `budget_microusd`."""
    replay: bool = False
    """Nothing is called: its journals were filled from a recording before it began."""
    timeout_ms: int = Field(default=int(DEFAULT_TIMEOUT / timedelta(milliseconds=1)), ge=1)
    """From submit; the job fails with `deadline_passed` after it."""
    idempotency_key: str | None = Field(default=None, min_length=1, max_length=200)
    tenant: Name = "default"
    """On whose behalf; limits and shares are counted by it."""
    priority: int = Field(default=5, ge=0, le=9)
    """Share of free slots while others wait too: each point doubles it. None starves."""
    max_in_flight: int | None = Field(default=None, ge=1)
    """Steps of this job that may be dispatched or running at once."""
    session: SessionName | None = None
    """The conversation that it answers; its partition is that of the id."""
    max_steps: int | None = Field(default=None, ge=1)
    """Steps of work that may begin before it stands still until it is told to go on."""
    replan: int | None = Field(default=None, ge=0, le=20)
    """Further plans that may be made for what has no result; None: as the settings say, for jobs that are planned."""
    review: bool = False
    """Whether a model says if the results suffice, before the answer is written: it is planned again if not."""
    traceparent: str | None = Field(default=None, max_length=200)
    """The trace that its producer was in: a W3C header. It says what the job is part of, and not what is asked for."""
    forked_from: Origin | None = None
    """The job that has done its first steps; their results were taken over."""

    @property
    def budget(self) -> Budget:
        """All that it may consume."""
        limits = self.limits or Budget()
        costs = [cost for cost in (self.budget_microusd, limits.cost_microusd) if cost is not None]
        return limits.model_copy(update={"cost_microusd": min(costs, default=None)})


class StepResult(Wire):
    """What one step found out."""

    text: str = Field(max_length=MAX_TEXT_CHARS)
    """Findings in Markdown; cites sources as `[id]`, in the final answer as `[number]`."""
    data: JsonValue = None
    """Structured findings, if the agent has any: a plan from the planner, rows from analysis."""
    sources: tuple[Source, ...] = ()
    """Only those that `text` cites."""
    model: str | None = None
    """Model that wrote it; None when code did."""


class AttemptOutcome(StrEnum):
    """How an attempt ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    LOST = "lost"
    """Its worker went silent."""
    PARKED = "parked"
    """It waits for other steps or for people; the next attempt goes on from there."""
    RETURNED = "returned"
    """Its worker handed it back unfinished, because it was stopping; counts neither as failure nor as loss."""


class Attempt(Wire):
    """One finished attempt, as kept with its job."""

    step: StepName
    number: int = Field(ge=1)
    outcome: AttemptOutcome
    worker: WorkerName | None = None
    started_at: AwareDatetime | None = None
    finished_at: AwareDatetime
    usage: Usage = Usage()
    failure: Failure | None = None


class StepInput(Wire):
    """What a step gets from one that it depends on."""

    step: StepName
    description: str
    agent: Name
    status: StepStatus
    result: StepResult | None = None
    """Of one that did not succeed: what it had found until then, if anything."""
    failure: Failure | None = None
    attempt: int = 0
    """Its last one; 0: not known."""


class Claim(Wire):
    """The right of one worker to one attempt, with all it needs to run it."""

    job: JobSpec
    step: Step
    attempt: int = Field(ge=1)
    deadline_ms: int
    """Time that is left for this attempt: the step's timeout, the rest of its total, or of the job's: the least."""
    inputs: tuple[StepInput, ...] = ()
    """Results of the dependencies; for those that did not succeed also of what they depended on."""
    parent_attempt: int = 0
    """Attempt that delegated the step; 0: none did."""


class AgentDefinition(Wire):
    """What an agent is, as announced by workers and shown to the planner."""

    name: Name
    description: str
    capabilities: tuple[str, ...] = ()
    version: str = "1"
    queue: Name
    tools: tuple[str, ...] = ()
    plannable: bool = True
    """Whether the planner may give it steps; false for the planner itself."""
    retry: RetryPolicy | None = None
    """How its steps are tried again; None: as the settings say."""
    fallback: Name | None = None
    """Agent that takes its steps over when they would be given up."""
    timeout_ms: int = Field(default=0, ge=0)
    """Longest time of one attempt of its steps. Each limit may only shorten what the settings say; 0: as they say."""
    total_ms: int = Field(default=0, ge=0)
    """Longest time of a whole step, from when it first is ready."""
    queue_ms: int = Field(default=0, ge=0)
    """Longest time from ready until an attempt is claimed."""
    idle_ms: int = Field(default=0, ge=0)
    """Longest time without a sign of life."""
    sub_agents: tuple[Name, ...] = ()
    """Agents that it may delegate to."""
    hand_offs: tuple[Name, ...] = ()
    """Agents that it may hand its conversation over to."""
    budget: Budget | None = None
    """The most that all its steps of one job may consume together, with those that they delegate."""
