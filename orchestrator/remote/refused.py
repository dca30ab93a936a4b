"""What an API refuses, as the error that the same call raises over Redis."""

import inspect
from collections.abc import Mapping
from datetime import timedelta
from types import ModuleType
from typing import Final

from pydantic import BaseModel, Field, ValidationError

from tasks import decisions, errors, refusals
from tasks.errors import BadDocument, ContractError, FleetFull, InvalidPlan, SessionBusy, StoreFull, TroupeError
from tasks.knowledge import NothingUsable
from tasks.refusals import ApiUnavailable, DailyBudgetSpent, NotAllowed, RateLimited, ReplyRefused, Unauthenticated

SERVER_FAULT: Final = 500
BY_STATUS: Final[Mapping[int, type[TroupeError]]] = {401: Unauthenticated, 403: NotAllowed}
"""Of answers that are not this API's own, as a proxy's."""
LIMITED: Final = 429
AGAIN: Final = timedelta(seconds=1)
"""When to come back, where nothing was said of it."""
MAX_SHOWN: Final = 200


def _kinds(*modules: ModuleType) -> dict[str, type[TroupeError]]:
    found = [one for module in modules for one in vars(module).values() if inspect.isclass(one)]
    return {one.code: one for one in found if issubclass(one, TroupeError)}


KINDS: Final = _kinds(errors, refusals, decisions)
"""Every error of the tree by its code."""


class _Fault(BaseModel):
    where: str = ""
    message: str = ""


class _Problem(BaseModel):
    """As much of a problem as becomes an error; what later releases add is left out."""

    code: str
    detail: str = ""
    job: str = ""
    faults: list[_Fault] = Field(default_factory=list[_Fault])


def error_of(status: int, headers: Mapping[str, str], body: bytes) -> TroupeError:
    """The error that an answer tells. Codes that only a later release knows become the nearest family.

    Args:
        headers: With any case of their names, if the mapping bears that.
    """
    wait = retry_after(headers)
    try:
        problem = _Problem.model_validate_json(body)
    except ValidationError:
        return _foreign(status, wait, body)
    kind = KINDS.get(problem.code)
    if kind is None:
        return _family(status, wait, f"{problem.detail or problem.code} (code {problem.code})")
    return _made(kind, problem, wait)


def retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """How long the API asks to be left alone; None where it says nothing of it."""
    text = headers.get("Retry-After", "")
    return timedelta(seconds=int(text)) if text.isascii() and text.isdigit() and len(text) < 8 else None


def _made(kind: type[TroupeError], problem: _Problem, wait: timedelta | None) -> TroupeError:
    message = problem.detail
    if issubclass(kind, SessionBusy):
        return kind(message, job=problem.job)
    if issubclass(kind, InvalidPlan):
        return kind([one.message for one in problem.faults] or [message])
    if issubclass(kind, BadDocument) and problem.faults:
        return NothingUsable(message, [(one.where, one.message) for one in problem.faults])
    if issubclass(kind, ReplyRefused):
        return kind(problem.code, message)
    if issubclass(kind, FleetFull | StoreFull | RateLimited | DailyBudgetSpent):
        return kind(message, retry_after=wait or AGAIN)
    return kind(message)


def _foreign(status: int, wait: timedelta | None, body: bytes) -> TroupeError:
    shown = " ".join(body.decode("utf-8", "replace").split())[:MAX_SHOWN]
    if 300 <= status < 400:
        return ContractError(f"status {status}: it is elsewhere; give the address that it sends browsers to")
    return _family(status, wait, f"status {status}: {shown or 'nothing more was said'}")


def _family(status: int, wait: timedelta | None, message: str) -> TroupeError:
    if status == LIMITED:
        return RateLimited(message, wait or AGAIN)
    if status >= SERVER_FAULT:
        return ApiUnavailable(f"the API failed: {message}")
    return BY_STATUS.get(status, ContractError)(f"the API refuses it: {message}")
