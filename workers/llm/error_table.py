"""One table: what each error of the Messages API means to us.

From https://platform.claude.com/docs/en/api/errors and https://platform.claude.com/docs/en/api/rate-limits; error codes
are those of `error.details.error_code`. docs/model-errors.md shows it to people; a test keeps the two together.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """What to do about an error."""

    TRANSIENT = "transient"
    """Ask again, with a growing pause."""
    WAIT_UNTIL = "wait-until"
    """Ask again when the provider says; a long wait is no reason to hold a worker."""
    CIRCUIT_OPEN = "circuit-open"
    """Nobody may ask with this key until its reset: each call would fail, and may count against it."""
    CONTRACT = "contract"
    """Our call, key or model is wrong; asking again unchanged cannot succeed."""
    WORK_FAILED = "work-failed"
    """This step's work cannot be done so; others of the same key go on."""


class Cause(StrEnum):
    """What was wrong, where the kind alone does not tell which error to raise."""

    REQUEST = "request"
    CREDENTIALS = "credentials"
    MODEL = "model"
    SPENT = "spent"
    TOO_LARGE = "too large"
    PROVIDER = "provider"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; a None matches anything."""

    status: int | None
    type: str | None
    code: str | None
    kind: Kind
    cause: Cause
    note: str
    says: re.Pattern[str] | None = None
    """The message must match too: where the API has no code yet for something that is worth telling apart."""


_T, _W, _O, _C, _F = Kind.TRANSIENT, Kind.WAIT_UNTIL, Kind.CIRCUIT_OPEN, Kind.CONTRACT, Kind.WORK_FAILED
_TOO_LONG: Final = re.compile(r"(?i)prompt is too long|exceeds? the (?:maximum )?context")
_NO_CREDIT: Final = re.compile(r"(?i)credit balance is too low")

TABLE: Final = (
    # A code or a text before its type, a type before its status: the first line that matches counts.
    Row(429, None, "enforced_spend_limit_reached", _O, Cause.SPENT, "until the 1st of the month, 00:00 UTC"),
    Row(429, None, "contract_spend_limit_reached", _O, Cause.SPENT, "until the 1st of the month, 00:00 UTC"),
    Row(None, None, "linked_organization_spend_limit_reached", _O, Cause.SPENT, "until somebody raises it"),
    Row(None, None, "linked_organization_billing_unavailable", _O, Cause.SPENT, "until somebody mends it"),
    Row(403, None, "organization_on_hold", _O, Cause.SPENT, "until the provider lifts it"),
    Row(429, None, "ramp_limit_exceeded", _W, Cause.PROVIDER, "usage grew too fast; `retry-after` says when"),
    Row(None, None, "cmek_key_unreachable", _T, Cause.PROVIDER, "the encryption key could not be reached"),
    Row(None, None, "cmek_context_unavailable", _T, Cause.PROVIDER, "the encryption settings could not be read"),
    Row(None, None, "request_body_too_large_after_decoding", _F, Cause.TOO_LARGE, "over the size limit once decoded"),
    Row(400, None, None, _F, Cause.TOO_LARGE, "“prompt is too long”", _TOO_LONG),
    Row(400, None, None, _O, Cause.SPENT, "“credit balance is too low”, until somebody pays", _NO_CREDIT),
    Row(400, "invalid_request_error", None, _C, Cause.REQUEST, "malformed, or not allowed for this model"),
    Row(401, "authentication_error", None, _C, Cause.CREDENTIALS, "the key is wrong or gone"),
    Row(402, "billing_error", None, _O, Cause.SPENT, "until somebody pays"),
    Row(403, "permission_error", None, _C, Cause.MODEL, "the key may not use this model or feature"),
    Row(404, "not_found_error", None, _C, Cause.MODEL, "no such model, or no longer"),
    Row(408, None, None, _T, Cause.PROVIDER, "the request did not arrive in time"),
    Row(409, "conflict_error", None, _T, Cause.PROVIDER, "something changed meanwhile"),
    Row(413, "request_too_large", None, _F, Cause.TOO_LARGE, "over 32 MB"),
    Row(429, "rate_limit_error", None, _W, Cause.PROVIDER, "a rate limit; `retry-after` says when"),
    Row(500, "api_error", None, _T, Cause.PROVIDER, "a fault there"),
    Row(503, None, None, _T, Cause.PROVIDER, "a fault before it got there"),
    Row(504, "timeout_error", None, _T, Cause.PROVIDER, "took too long there; stream long answers"),
    Row(529, "overloaded_error", None, _T, Cause.PROVIDER, "too busy for everybody"),
)
_ELSE_SERVER: Final = Row(None, None, None, _T, Cause.PROVIDER, "any other 5xx")
_ELSE_CLIENT: Final = Row(None, None, None, _C, Cause.REQUEST, "any other 4xx")

STATUS_OF: Final = {row.type: row.status for row in reversed(TABLE) if row.type and row.status and not row.code}
"""What an `error` event after status 200 would have been as a status."""


def look_up(status: int, kind: str | None = None, code: str | None = None, message: str = "") -> Row:
    """The line for an answer. An unknown type or code is that of its status.

    Args:
        kind: `error.type`.
        code: `error.details.error_code`.
    """
    candidates = [row for row in TABLE if row.status in (None, status)]
    for row in candidates:
        named = (row.code is not None and row.code == code) or (row.says is not None and row.says.search(message))
        if named:
            return row
    plain = [row for row in candidates if row.code is None and row.says is None]
    for row in plain:
        if row.type == kind:
            return row
    if plain:
        return plain[0]
    return _ELSE_SERVER if status >= 500 else _ELSE_CLIENT


def until_next_month(now: datetime) -> timedelta:
    """How long until spend limits are reset: the 1st of the next month, 00:00 UTC."""
    now = now.astimezone(UTC)
    first = datetime(now.year + now.month // 12, now.month % 12 + 1, 1, tzinfo=UTC)
    return first - now
