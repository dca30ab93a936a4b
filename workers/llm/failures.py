"""Errors of the SDK and the provider, in our words. No message carries a key."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from tasks.errors import (
    BadSetting,
    ContractError,
    ModelTruncated,
    ModelUnavailable,
    SpendLimitReached,
    StepFailed,
    TransientError,
    TroupeError,
    UnknownModel,
)
from tasks.redaction import redact_text
from workers.llm.error_table import Cause, Kind, look_up, until_next_month
from workers.llm.names import ModelName, Platform

if TYPE_CHECKING:
    from anthropic import APIError

LONGEST_WAIT: Final = timedelta(days=31)
MAX_MESSAGE_CHARS: Final = 500
RESETS_MONTHLY: Final = frozenset({"enforced_spend_limit_reached", "contract_spend_limit_reached"})


def translate(error: "APIError", model: str) -> TroupeError:
    """What an error of the SDK means to us."""
    import anthropic
    import httpx2

    if isinstance(error, anthropic.APIStatusError):
        return from_provider(
            error.status_code,
            error.api_message or error.message,
            model=model,
            error_type=error.type,
            error_code=error.error_code,
            request_id=error.request_id,
            retry_after=retry_after(error.response.headers),
            now=_date(error.response.headers),
        )
    begun = not isinstance(error.__cause__, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout)
    if isinstance(error, anthropic.APITimeoutError):
        return ModelUnavailable(f"{model} gave no answer in time", begun=begun)
    cause = type(error.__cause__).__name__ if error.__cause__ else "connection error"
    return ModelUnavailable(f"{model} cannot be reached ({cause})", begun=begun)


def from_provider(
    status: int,
    message: str,
    *,
    model: str,
    error_type: str | None = None,
    error_code: str | None = None,
    request_id: str | None = None,
    retry_after: timedelta | None = None,
    now: datetime | None = None,
) -> TroupeError:
    """What an error of the Messages API means to us, by the table in `error_table`.

    Args:
        now: The provider's clock, by which a spend limit resets; ours unless given.
    """
    said = _tidy(message) + (f" [{request_id}]" if request_id else "")
    row = look_up(status, error_type, error_code, message)
    match row.cause:
        case Cause.SPENT:
            resets_in = until_next_month(now or datetime.now(UTC)) if error_code in RESETS_MONTHLY else None
            what = f"the spend limit or credit of the key is used up ({error_code or status}), {row.note}"
            return SpendLimitReached(f"{what}: {said}", resets_in=resets_in)
        case Cause.PROVIDER:
            return ModelUnavailable(
                f"{model} is not available ({status}): {said}", retry_after=retry_after, limited=status == 429
            )
        case Cause.TOO_LARGE:
            return ModelTruncated(f"the conversation is too large for {model} ({status}): {said}")
        case Cause.CREDENTIALS:
            platform = ModelName.parse(model).platform
            ours = platform is Platform.ANTHROPIC
            what = "ANTHROPIC_API_KEY was" if ours else f"the credentials of {platform} were"
            return BadSetting(f"{what} refused ({status}): {said}")
        case Cause.MODEL:
            why = "may not be used with this key" if status == 403 else "is not known to the provider"
            return UnknownModel(f"{model} {why} ({status}): {said}")
        case Cause.REQUEST:
            return ContractError(f"{model} refused the request ({status}): {said}")


def kind_of(error: TroupeError) -> Kind:
    """What to do about an error that a model's adapter raised."""
    match error:
        case SpendLimitReached():
            return Kind.CIRCUIT_OPEN
        case ModelUnavailable(retry_after=wait) if wait is not None:
            return Kind.WAIT_UNTIL
        case TransientError():
            return Kind.TRANSIENT
        case StepFailed():
            return Kind.WORK_FAILED
        case _:
            return Kind.CONTRACT


def retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """When the provider wants to be asked again: `retry-after-ms`, else `retry-after` in seconds or as a date.

    A date is held against the provider's own clock (`date`), never against ours.
    """
    for name, seconds in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            amount = float(headers.get(name, ""))
        except ValueError:
            continue
        if math.isfinite(amount) and amount >= 0:
            return timedelta(seconds=min(amount * seconds, LONGEST_WAIT.total_seconds()))
    try:
        wait = parsedate_to_datetime(headers["retry-after"]) - parsedate_to_datetime(headers["date"])
    except (KeyError, ValueError, TypeError):  # TypeError: one of the two dates has no zone
        return None
    return min(max(wait, timedelta(0)), LONGEST_WAIT)


def _date(headers: Mapping[str, str]) -> datetime | None:
    try:
        date = parsedate_to_datetime(headers["date"])
    except (KeyError, ValueError, TypeError):
        return None
    return date if date.tzinfo else None


def _tidy(message: str) -> str:
    text = " ".join(redact_text(message).split())
    return text if len(text) <= MAX_MESSAGE_CHARS else f"{text[:MAX_MESSAGE_CHARS]}…"
