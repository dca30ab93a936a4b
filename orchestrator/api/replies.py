"""What routes answer where it is no model of the contract."""

from tasks.access import Scope, TenantLimits
from tasks.results import JobSummary
from tasks.states import TaskStatus
from tasks.wire import Wire


class JobPage(Wire):
    """A part of the list of jobs, newest first."""

    jobs: tuple[JobSummary, ...]
    next: str | None
    """Cursor of the next part; None: there is none. With filters a part may be short, or empty, and not the last."""


class Changed(Wire):
    """What a job's status is after a change."""

    job_id: str
    status: TaskStatus


class Retried(Wire):
    """Steps that are tried again."""

    job_id: str
    steps: tuple[str, ...]


class Me(Wire):
    """Who a key is, and what it may do."""

    tenant: str
    """`*` for operators."""
    operator: bool
    key: str | None
    """Id of the key; None where no keys are needed."""
    name: str
    scopes: tuple[Scope, ...]
    limits: TenantLimits
    keyless: bool
    """Whether no key was ever made, and only this machine may come in."""
