"""Whether this process lives, and may be given requests; and who a key is."""

from fastapi import APIRouter

from orchestrator.api.door import TheDoor
from orchestrator.api.problems import problems
from orchestrator.api.replies import Me
from orchestrator.api.visitors import AnyVisitor
from tasks.errors import StoreUnavailable
from tasks.wire import Wire

router = APIRouter(tags=["health"])
mine = APIRouter(tags=["access"])


class Health(Wire):
    """It is well."""

    status: str = "ok"


@router.get("/healthz")
async def healthz() -> Health:
    """This process lives. Needs no key, asks nobody."""
    return Health()


@router.get("/readyz", responses=problems(503))
async def readyz(door: TheDoor) -> Health:
    """The store answers, and this process is not about to end. Needs no key."""
    if door.closing.is_set():
        raise StoreUnavailable("this process is about to end")
    await door.store.ping()
    return Health()


@mine.get("/me")
async def me(visitor: AnyVisitor) -> Me:
    """Who the key of this request is, and what it may do."""
    return Me(
        tenant=visitor.tenant,
        operator=visitor.operator,
        key=visitor.key,
        name=visitor.name,
        scopes=tuple(sorted(visitor.scopes)),
        limits=visitor.limits,
        keyless=visitor.keyless,
    )
