"""Keys of the API, and what was done with them."""

from datetime import timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request
from pydantic import Field, StringConstraints

from orchestrator.api.bodies import LEAST_S
from orchestrator.api.bodies import Body as Said
from orchestrator.api.door import TheDoor
from orchestrator.api.problems import problems
from orchestrator.api.visitors import Administrator, Visitor
from tasks.access import OPERATOR, ApiKey, Audited, Scope
from tasks.refusals import NotAllowed
from tasks.store.access import LONGEST, MAX_NAME_CHARS
from tasks.wire import Wire

router = APIRouter(tags=["access"])

LONGEST_S: Final = LONGEST / timedelta(seconds=1)
KeyId = Annotated[str, Path(alias="key", description="Id of a key.", max_length=100)]
TenantText = Annotated[str, StringConstraints(pattern=r"^(\*|[a-z][a-z0-9_-]{0,47})$")]


class KeyBody(Said):
    """A key to be made."""

    tenant: TenantText | None = None
    """Whose: your own unless given. Operators may name any, and `*` for a further operator."""
    scopes: list[Scope] = Field(min_length=1, max_length=len(Scope))
    """None that your own key has not."""
    name: str = Field(default="", max_length=MAX_NAME_CHARS)
    """Who will use it: decisions bear it."""
    expires_s: Annotated[float, Field(ge=LEAST_S, le=LONGEST_S, allow_inf_nan=False, strict=True)] | None = None
    """Seconds from now; unset: it is good until it is revoked. No longer than your own key."""


class MadeKey(Wire):
    """A key that was made."""

    key: ApiKey
    text: str
    """What is sent with requests. It is had here only: nobody can look it up."""


@router.get("/keys")
async def keys(door: TheDoor, visitor: Administrator) -> list[ApiKey]:
    """Keys of your tenant, oldest first, those too that were revoked or have expired; of all tenants for operators."""
    return await door.access.list(_reach(visitor))


@router.post("/keys", status_code=201, responses=problems(409))
async def make_key(request: Request, door: TheDoor, visitor: Administrator, body: KeyBody) -> MadeKey:
    """Make a key. Its text is in this answer, and nowhere else."""
    tenant = body.tenant or visitor.own
    if not visitor.operator and tenant != visitor.tenant:
        what = "operators" if tenant == OPERATOR else f"tenant {tenant!r}"
        raise NotAllowed(f"this key acts for tenant {visitor.tenant!r} only; it cannot make one for {what}")
    beyond = sorted(one.value for one in body.scopes if not visitor.may(one))
    if beyond:
        raise NotAllowed(f"this key has not the scope {beyond[0]!r}, and cannot give it")
    expires = None if body.expires_s is None else timedelta(seconds=body.expires_s)
    if visitor.left is not None:  # nobody makes a key that is good for longer than the own one
        expires = visitor.left if expires is None else min(expires, visitor.left)
    key, text = await door.access.create(tenant, body.scopes, name=body.name, expires=expires)
    request.state.made = key.id
    return MadeKey(key=key, text=text)


@router.delete("/keys/{key}", responses=problems(404))
async def revoke_key(door: TheDoor, visitor: Administrator, key: KeyId) -> ApiKey:
    """End a key at once. A second time changes nothing."""
    return await door.access.revoke(key, _reach(visitor))


@router.get("/audit")
async def audit(
    door: TheDoor, visitor: Administrator, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> list[Audited]:
    """What was done with keys of your tenant, or refused to them, newest first; of all tenants for operators."""
    return await door.audit.read(limit, _reach(visitor))


def _reach(visitor: Visitor) -> str | None:
    """The tenant whose keys are for a visitor's eyes; None: all tenants."""
    return None if visitor.operator else visitor.tenant
