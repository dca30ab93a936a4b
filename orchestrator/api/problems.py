"""Errors as `application/problem+json` (RFC 9457), with the stable code of the error tree."""

import math
from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from orchestrator.api.uploads import MOST_FILES
from tasks import errors, refusals
from tasks.errors import ContractError, TransientError, TroupeError, WorkFailed
from tasks.knowledge import NothingUsable
from tasks.library_log import LibraryLog
from tasks.redaction import redact_text

log = LibraryLog("troupe.api")

MEDIA_TYPE: Final = "application/problem+json"
STATUSES: Final[dict[type[TroupeError], int]] = {
    refusals.Unauthenticated: 401,
    refusals.NotAllowed: 403,
    errors.UnknownJob: 404,
    errors.UnknownSession: 404,
    errors.UnknownKnowledge: 404,
    refusals.UnknownKey: 404,
    refusals.UnknownFile: 404,
    errors.NotDead: 409,
    errors.NotAsked: 409,
    errors.NotGenuine: 409,
    errors.StateConflict: 409,
    errors.IdempotencyConflict: 409,
    errors.SessionBusy: 409,
    errors.BadRecording: 409,
    errors.DamagedRecord: 409,
    errors.IncompatibleVersion: 409,
    errors.PayloadTooLarge: 413,
    errors.FleetFull: 429,
    refusals.RateLimited: 429,
    refusals.DailyBudgetSpent: 429,
    WorkFailed: 409,
    ContractError: 422,
    TransientError: 503,
}
"""Status of each error: that of the nearest class of its tree."""
NAMES: Final = {400: "malformed_request", 413: errors.PayloadTooLarge.code}
"""Codes of what is found before there is an error of ours; of others the status in words."""
AGAIN: Final = timedelta(seconds=1)
"""When to come back, where the error does not say."""
MAX_FAULTS: Final = 20
MAX_DETAIL_CHARS: Final = 2_000


class Fault(BaseModel):
    """One thing that is wrong with a request."""

    where: str
    """As `body.plan.steps.0.id`; of a document that was sent, its name."""
    message: str


class Problem(BaseModel):
    """Why a request was not done."""

    model_config = ConfigDict(json_schema_extra={"description": "RFC 9457"})

    type: str = "about:blank"
    title: str
    """The status, in words."""
    status: int
    detail: str
    """What was wrong, and what to do."""
    code: str
    """Stable, for programs: see docs/api.md."""
    faults: list[Fault] = Field(default_factory=list[Fault])
    job: str = ""
    """The job whose turn it is, where a session is busy."""


def said(status: int, code: str, detail: str, **more: object) -> Problem:
    """A problem with this status and code."""
    text = redact_text(detail)
    return Problem.model_validate(
        {"title": HTTPStatus(status).phrase, "status": status, "detail": text[:MAX_DETAIL_CHARS], "code": code, **more}
    )


def answer(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """The response that tells it."""
    content = problem.model_dump(exclude_defaults=True) | {"type": problem.type}
    return JSONResponse(content, problem.status, headers, media_type=MEDIA_TYPE)


def status_of(error: TroupeError) -> int:
    """The status of an error's nearest class."""
    return next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), 500)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route may answer beside its result, for the OpenAPI document. Some any route may: see EVERYWHERE."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in sorted(statuses)
    }


EVERYWHERE: Final = (400, 401, 403, 408, 413, 415, 422, 429, 503)


def catch_all(app: FastAPI) -> None:
    """Let every error of this app be answered as a problem."""
    app.add_exception_handler(TroupeError, _of_troupe)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(Exception, _of_us)


async def _of_troupe(request: Request, error: Exception) -> Response:
    found = cast(TroupeError, error)
    status = status_of(found)
    request.state.code = found.code
    headers: dict[str, str] = {}
    if status in {429, 503}:
        wait = getattr(found, "retry_after", None)
        seconds = wait / timedelta(seconds=1) if isinstance(wait, timedelta) else AGAIN / timedelta(seconds=1)
        headers["Retry-After"] = str(max(1, math.ceil(seconds)))
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return answer(said(status, found.code, str(found), **_more(found)), headers)


def _more(error: TroupeError) -> dict[str, object]:
    """What an error says beside its message: a client makes the same one of it."""
    if isinstance(error, errors.InvalidPlan):
        return {"faults": [{"where": "body.plan", "message": one} for one in error.faults[:MAX_FAULTS]]}
    if isinstance(error, NothingUsable):  # as many as one request brings
        return {"faults": [{"where": name, "message": reason} for name, reason in error.faults[:MOST_FILES]]}
    return {"job": error.job} if isinstance(error, errors.SessionBusy) else {}


async def _of_validation(request: Request, error: Exception) -> Response:
    found = cast(RequestValidationError, error)
    faults = [
        {"where": ".".join(str(part) for part in fault["loc"]), "message": str(fault["msg"])}
        for fault in cast("list[dict[str, Any]]", list(found.errors()))[:MAX_FAULTS]
    ]
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "application/json" and any(fault["where"] == "body" for fault in faults):
        request.state.code = "unsupported_media_type"
        return answer(said(415, "unsupported_media_type", "send JSON, with the header Content-Type: application/json"))
    request.state.code = "invalid_request"
    first = f"{faults[0]['where']}: {faults[0]['message']}" if faults else "the request is not as it should be"
    return answer(said(422, "invalid_request", first, faults=faults))


async def _of_http(request: Request, error: Exception) -> Response:
    found = cast(HTTPException, error)
    code = NAMES.get(found.status_code, "") or HTTPStatus(found.status_code).phrase.lower().replace(" ", "_")
    request.state.code = code
    headers = dict(found.headers or {})
    if found.status_code == 405:
        headers["Allow"] = ", ".join(_methods(request))
    return answer(said(found.status_code, code, str(found.detail)), headers)


def _methods(request: Request) -> list[str]:
    """All that a path can do. What is raised knows those of its first route only."""
    path = str(request.scope["path"])
    found = [one for one in iter_route_contexts(request.app.routes) if one.methods and one.path_regex.match(path)]
    return sorted({method for one in found for method in one.methods or ()})


async def _of_us(request: Request, error: Exception) -> Response:
    log.error("request_failed", path=request.url.path, error=repr(error))
    return answer(said(500, "internal_error", "a fault of the API itself; its log says more"))
