"""Who may come in by the doors, and what they may do there."""

from collections.abc import Set as AbstractSet
from enum import StrEnum
from typing import Final

from pydantic import AwareDatetime, Field

from tasks.wire import Wire

OPERATOR: Final = "*"
"""In place of a tenant: whoever runs the fleet, and sees every tenant."""


class Scope(StrEnum):
    """What a key may be used for."""

    SUBMIT = "submit"
    """Begin, change and end jobs, sessions and documents."""
    READ = "read"
    """See them."""
    APPROVE = "approve"
    """Decide what steps ask people."""
    ADMIN = "admin"
    """All of these, and make and revoke keys."""


def allows(scopes: AbstractSet[Scope], wanted: Scope) -> bool:
    """Whether one of these scopes is the wanted one, or stands for it."""
    return wanted in scopes or Scope.ADMIN in scopes


class ApiKey(Wire):
    """A key, without what is secret of it."""

    id: str
    name: str
    tenant: str
    """A tenant's name, or `*` for operators."""
    scopes: tuple[Scope, ...]
    created_at: AwareDatetime
    expires_at: AwareDatetime | None = None
    revoked_at: AwareDatetime | None = None


class TenantLimits(Wire):
    """What a tenant may do at the doors. None: no limit of its own."""

    requests_per_minute: int | None = Field(default=None, ge=1, le=1_000_000)
    open_jobs: int | None = Field(default=None, ge=1, le=1_000_000)
    daily_microusd: int | None = Field(default=None, ge=0, le=10**15)
    """The most that its jobs of one day (UTC) may cost together, in micro-dollars."""


class Audited(Wire):
    """Something that was done, or refused, at a door."""

    at: AwareDatetime
    key: str | None
    """Id of the key; None: no key was shown, or none is needed."""
    tenant: str | None
    action: str
    """As `job.cancel`."""
    object: str
    """What it was done to: an id."""
    outcome: str
    """`ok`, or the code of the refusal."""
    address: str
    """Where it came from."""
