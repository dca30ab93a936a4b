"""What a visitor may reach: its tenant's own. What is another's is not there, as what never was."""

from collections.abc import Collection
from typing import Annotated, Final

from fastapi import Depends, Path, Query

from orchestrator.api.door import Door, TheDoor
from orchestrator.api.visitors import Approver, Reader, Submitter, Visitor
from orchestrator.handle import AsyncJobHandle
from orchestrator.people import Keep
from tasks.errors import ContractError, InvalidId, UnknownJob, UnknownSession
from tasks.ids import NAME, JobId, SessionId, parse_job_id, session_id
from tasks.refusals import NotAllowed
from tasks.tenancy import SESSION_PREFIX, is_session_of, session_prefix

JobText = Annotated[str, Path(alias="job", description="Id of a job.", max_length=100)]
MAX_SESSION_CHARS: Final = 100


async def owned_job(door: Door, visitor: Visitor, job: str) -> AsyncJobHandle:
    """A handle on a job of the visitor's.

    Raises:
        UnknownJob: there is none, here or for these eyes.
    """
    try:
        name = parse_job_id(job)
    except InvalidId:
        raise _unknown(job) from None
    if not visitor.sees(await door.snapshots.tenant(name)):
        raise _unknown(job)
    return door.troupe.job(name)


def _unknown(job: str) -> UnknownJob:
    return UnknownJob(f"there is no job {job!r} here: never submitted, or past its retention")


async def _read(door: TheDoor, visitor: Reader, job: JobText) -> AsyncJobHandle:
    return await owned_job(door, visitor, job)


async def _changed(door: TheDoor, visitor: Submitter, job: JobText) -> AsyncJobHandle:
    return await owned_job(door, visitor, job)


async def _decided(door: TheDoor, visitor: Approver, job: JobText) -> AsyncJobHandle:
    return await owned_job(door, visitor, job)


ReadJob = Annotated[AsyncJobHandle, Depends(_read)]
ChangedJob = Annotated[AsyncJobHandle, Depends(_changed)]
DecidedJob = Annotated[AsyncJobHandle, Depends(_decided)]


ForTenant = Annotated[
    str | None,
    Query(alias="tenant", pattern=rf"^{NAME.pattern}$", description="For operators: on whose behalf, or of whom."),
]


def seen_by(door: Door, visitor: Visitor) -> Keep | None:
    """Which jobs are for a visitor's eyes; None: all of them."""
    if visitor.operator:
        return None

    async def keep(jobs: Collection[JobId]) -> Collection[JobId]:
        found = await door.snapshots.tenants(jobs)
        return {job for job, tenant in found.items() if visitor.sees(tenant)}

    return keep


def acting_for(visitor: Visitor, tenant: str | None) -> str:
    """The tenant whose bases and files are meant: an operator may name one.

    Raises:
        NotAllowed: it names another, and is no operator.
    """
    if tenant is None or tenant == visitor.own:
        return visitor.own
    if not visitor.operator:
        raise NotAllowed(f"this key acts for tenant {visitor.tenant!r} only")
    return tenant


def new_session(visitor: Visitor, text: str, partitions: int) -> SessionId:
    """The session that a visitor means by a name or an id; it need not be there.

    Names of other tenants than the default one get a prefix, so that no two tenants mean the same one.

    Raises:
        ContractError: it is neither a name nor an id.
        UnknownSession: it is an id of another tenant's.
    """
    whole = "." in text
    if not whole and not visitor.operator and SESSION_PREFIX.match(text) is None:
        text = session_prefix(visitor.own) + text
    found = session_id(text, partitions)
    if not visitor.operator and not is_session_of(found, visitor.own):
        raise UnknownSession(f"there is no session {text!r}: never begun here, deleted, or long unused")
    return found


def owned_session(visitor: Visitor, text: str, partitions: int) -> SessionId:
    """The session that is looked at or changed.

    Raises:
        UnknownSession: there can be none of that name for these eyes.
    """
    try:
        return new_session(visitor, text, partitions)
    except ContractError:
        raise UnknownSession(f"there is no session {text!r}: never begun here, deleted, or long unused") from None
