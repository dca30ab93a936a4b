"""What requests say. Types are strict: `"5"` is no number. Lengths and counts are bounded."""

from datetime import timedelta
from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, SecretStr, StringConstraints

from tasks.ids import NAME
from tasks.models import DEFAULT_TIMEOUT, MAX_TASK_CHARS, MAX_TIMEOUT, Plan, StepName
from tasks.models import Name as Checked
from tasks.usage import Budget

MAX_USD: Final = 1_000_000.0
LONGEST_S: Final = MAX_TIMEOUT / timedelta(seconds=1)
LEAST_S: Final = 0.001
"""Times are kept in milliseconds."""


def _whole(value: object) -> object:
    """JSON knows one kind of number: 5.0 is 5."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Count = Annotated[int, Field(ge=1, le=1_000_000, strict=True), BeforeValidator(_whole)]
Priority = Annotated[int, Field(ge=0, le=9, strict=True), BeforeValidator(_whole)]
Rounds = Annotated[int, Field(ge=0, le=20, strict=True), BeforeValidator(_whole)]

FORM: Final = Field(json_schema_extra={"pattern": f"^{NAME.pattern}$"})
"""What a check in code knows, for the document; ids of steps have the same form."""
Name = Annotated[Checked, FORM]
Step = Annotated[StepName, FORM]
Task = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TASK_CHARS, pattern=r"\S")]
Model = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Usd = Annotated[float, Field(ge=0, le=MAX_USD, allow_inf_nan=False, strict=True)]
Seconds = Annotated[float, Field(ge=LEAST_S, le=LONGEST_S, allow_inf_nan=False, strict=True)]
FileId = Annotated[str, StringConstraints(pattern=r"^f[0-9a-z]{10,40}$")]


class Body(BaseModel):
    """Base of what a request says."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class WebhookBody(Body):
    """Who is told when the job has ended."""

    url: str = Field(min_length=8, max_length=2_000)
    """https:// or http://, of a public address."""
    secret: SecretStr | None = Field(default=None, min_length=16, max_length=200)
    """What its messages are signed with; unset: one that is made for the job, see docs/api.md."""


class Options(Body):
    """What a job may be told beside its task: as `AsyncTroupe.submit` has it."""

    model: Model | None = None
    knowledge: list[Name] = Field(default_factory=list[Name], max_length=100)
    """Knowledge bases to search; `default` unless given."""
    files: list[FileId] = Field(default_factory=list[str], max_length=100)
    """Uploaded data files that its agents may query: ids from POST /v1/files."""
    data: list[str] = Field(default_factory=list[str], max_length=100)
    """Data files by their absolute paths on the workers' machines. For operators only."""
    plan: Plan | None = None
    """Steps to run as they are; no planner is asked."""
    budget_usd: Usd | None = None
    budget: Budget | None = None
    """Further limits: tokens, model calls, tool calls."""
    timeout_s: Seconds = DEFAULT_TIMEOUT / timedelta(seconds=1)
    tenant: Name | None = None
    """On whose behalf. For operators only; others act for the tenant of their key."""
    priority: Priority = 5
    max_in_flight: Count | None = None
    max_steps: Count | None = None
    replan: Rounds | None = None
    review: bool = Field(default=False, strict=True)
    webhook: WebhookBody | None = None


class SubmitBody(Options):
    """A job to be done."""

    task: Task


class ForkBody(Body):
    """A job to be done again from one of its steps: as `AsyncJobHandle.fork` has it."""

    from_step: str = Field(min_length=1, max_length=48)
    edit: dict[str, JsonValue] | None = None
    model: Model | None = None
    budget_usd: Usd | None = None
    timeout_s: Seconds | None = None
    in_session: bool = Field(default=False, strict=True)


class AdvanceBody(Body):
    """How many further steps of work may begin."""

    steps: Count | None = None
    """None: all of them."""
