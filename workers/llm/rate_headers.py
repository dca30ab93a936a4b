"""Sees the head of every answer: its status, and what it says of rate limits.

https://platform.claude.com/docs/en/api/rate-limits#response-headers
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from tasks.store.limits import Readings, Told

if TYPE_CHECKING:
    from anthropic import AsyncAPIResponse
    from anthropic._middleware import AsyncCallNext
    from anthropic._request import APIRequest


@dataclass(slots=True)
class Glimpse:
    """What was seen of one call."""

    sent: bool = False
    status: int | None = None
    """None: no answer came."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def readings(self) -> Readings:
        """What the headers said."""
        return read(self.headers)


_glimpse: ContextVar[Glimpse | None] = ContextVar("troupe_glimpse", default=None)


@contextmanager
def watching(glimpse: Glimpse) -> Generator[None]:
    """Note there what is seen of the call that is made inside."""
    token = _glimpse.set(glimpse)
    try:
        yield
    finally:
        _glimpse.reset(token)


async def look(request: "APIRequest", call_next: "AsyncCallNext") -> "AsyncAPIResponse[Any]":
    """SDK middleware: shows each answer, also one with an error status, to whoever watches the call."""
    glimpse = _glimpse.get()
    if glimpse is None:
        return await call_next(request)
    glimpse.sent, glimpse.status, glimpse.headers = True, None, {}
    response = await call_next(request)
    glimpse.status, glimpse.headers = response.status_code, response.headers
    return response


def read(headers: Mapping[str, str]) -> Readings:
    """Rate limits of an answer; what is missing or malformed was not said."""
    return Readings(
        requests=_told(headers, "requests"),
        input_tokens=_told(headers, "input-tokens"),
        output_tokens=_told(headers, "output-tokens"),
    )


def _told(headers: Mapping[str, str], name: str) -> Told | None:
    begins = f"anthropic-ratelimit-{name}"
    try:
        limit, remaining = int(headers[f"{begins}-limit"]), int(headers[f"{begins}-remaining"])
    except (KeyError, ValueError):
        return None
    if limit < 1 or remaining < 0:
        return None
    return Told(limit, remaining, _full_in(headers, f"{begins}-reset"))


def _full_in(headers: Mapping[str, str], name: str) -> timedelta | None:
    """By the provider's own clock, never by ours."""
    try:
        return datetime.fromisoformat(headers[name]) - parsedate_to_datetime(headers["date"])
    except (KeyError, ValueError, TypeError):  # TypeError: one of the two has no zone
        return None
