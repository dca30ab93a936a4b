"""Errors of the SDK and the provider, in our words. No message carries a key."""

import math
import re
from collections.abc import Mapping
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from tasks.errors import BadSetting, ContractError, ModelUnavailable, TroupeError, UnknownModel
from workers.llm.names import ModelName, Platform

if TYPE_CHECKING:
    from anthropic import APIError

SPENT: Final = frozenset({"enforced_spend_limit_reached", "contract_spend_limit_reached"})
"""Kinds of 429 that last until the month ends; retrying them is in vain (https://platform.claude.com/docs/en/api/rate-limits)."""
LONGEST_WAIT: Final = timedelta(days=31)
MAX_MESSAGE_CHARS: Final = 500
_KEY = re.compile(r"sk-ant-[A-Za-z0-9_-]+")


def translate(error: "APIError", model: str) -> TroupeError:
    """What an error of the SDK means to us."""
    import anthropic

    if isinstance(error, anthropic.APIStatusError):
        return from_provider(
            error.status_code,
            error.api_message or error.message,
            model=model,
            error_code=error.error_code,
            request_id=error.request_id,
            retry_after=retry_after(error.response.headers),
        )
    if isinstance(error, anthropic.APITimeoutError):
        return ModelUnavailable(f"{model} gave no answer in time")
    cause = type(error.__cause__).__name__ if error.__cause__ else "connection error"
    return ModelUnavailable(f"{model} cannot be reached ({cause})")


def from_provider(
    status: int,
    message: str,
    *,
    model: str,
    error_code: str | None = None,
    request_id: str | None = None,
    retry_after: timedelta | None = None,
) -> TroupeError:
    """What an HTTP status of the Messages API means to us."""
    said = _tidy(message) + (f" [{request_id}]" if request_id else "")
    if status == 429 and error_code in SPENT:
        return ContractError(f"the spend limit is reached ({error_code}); it lasts until the month ends: {said}")
    if status in (408, 409, 429) or status >= 500:
        return ModelUnavailable(f"{model} is not available ({status}): {said}", retry_after=retry_after)
    if status == 401:
        platform = ModelName.parse(model).platform
        what = "ANTHROPIC_API_KEY" if platform is Platform.ANTHROPIC else f"the credentials of {platform}"
        verb = "was" if platform is Platform.ANTHROPIC else "were"
        return BadSetting(f"{what} {verb} refused (401): {said}")
    if status in (403, 404):
        why = "may not be used with this key" if status == 403 else "is not known to the provider"
        return UnknownModel(f"{model} {why} ({status}): {said}")
    return ContractError(f"{model} refused the request ({status}): {said}")


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


def _tidy(message: str) -> str:
    text = " ".join(_KEY.sub("sk-ant-…", message).split())
    return text if len(text) <= MAX_MESSAGE_CHARS else f"{text[:MAX_MESSAGE_CHARS]}…"
