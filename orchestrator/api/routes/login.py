"""The page's way in: a key, kept by the browser where no script can read it."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Cookie, Request, Response
from pydantic import Field, SecretStr

from orchestrator.api.bodies import Body as Said
from orchestrator.api.door import TheDoor
from orchestrator.api.visitors import COOKIE, check_local, check_same_origin, of_key
from tasks.access import ApiKey
from tasks.refusals import NotAllowed, Unauthenticated
from tasks.wire import Wire

router = APIRouter(tags=["access"])

LONGEST: Final = timedelta(days=30)
"""How long a browser keeps a key."""


class LoginBody(Said):
    """A key."""

    key: SecretStr = Field(max_length=200, examples=["trp_0123456789_…"])


class LoggedIn(Wire):
    """Whether a browser may go on without the form."""

    logged_in: bool


@router.get("/login", name="logged_in")
async def logged_in(
    request: Request, door: TheDoor, kept: Annotated[str | None, Cookie(alias=COOKIE, include_in_schema=False)] = None
) -> LoggedIn:
    """Whether a browser keeps a key that is good, or needs none. Never a refusal: the page asks this first."""
    try:
        check_same_origin(request.headers, request.method)
        entry = await door.access.enter(kept)
        if entry.key is None:
            check_local(request.client.host if request.client else "", request.headers, request.method)
    except (Unauthenticated, NotAllowed):
        return LoggedIn(logged_in=False)
    return LoggedIn(logged_in=True)


@router.post("/login", status_code=204)
async def login(request: Request, response: Response, door: TheDoor, body: LoginBody) -> None:
    """Have a browser keep a key, as a cookie that only requests of the same site carry."""
    check_same_origin(request.headers, request.method)
    entry = await door.access.enter(body.key.get_secret_value())
    if entry.key is None:
        raise Unauthenticated("the key is not valid")
    visitor = of_key(entry.key, entry.limits)
    await door.access.count_request(visitor.tenant, visitor.limits)
    request.state.visitor = visitor
    response.set_cookie(
        COOKIE,
        body.key.get_secret_value(),
        max_age=_seconds(entry.key),
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )


@router.post("/logout", status_code=204)
async def logout(request: Request, response: Response) -> None:
    """Have a browser forget its key. The key stays valid."""
    check_same_origin(request.headers, request.method)
    response.delete_cookie(COOKIE, path="/", secure=request.url.scheme == "https", httponly=True, samesite="strict")


def _seconds(key: ApiKey) -> int:
    left = LONGEST if key.expires_at is None else min(key.expires_at - datetime.now(UTC), LONGEST)
    return max(int(left / timedelta(seconds=1)), 1)
