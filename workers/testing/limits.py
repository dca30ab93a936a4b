"""The provider's rate limits: token buckets for each key and model, told in headers.

https://platform.claude.com/docs/en/api/rate-limits
"""

import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

MINUTE_S: Final = 60.0
EPSILON: Final = 1e-6
"""What a level may lack by rounding."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of each key and model; None: unlimited. Buckets are full at first and are refilled all the time."""

    requests: int | None = None
    """A minute."""
    input_tokens: int | None = None
    """A minute; what is read from the cache does not count."""
    output_tokens: int | None = None
    """A minute; a request is refused when none are left, and counts what it really wrote."""
    burst: float = 1.0
    """Size of a bucket as a part of its limit; less than 1 refuses bursts that the minute would still allow."""


@dataclass(slots=True)
class _Bucket:
    limit: int
    size: float
    level: float
    at: float

    def refill(self, now: float) -> None:
        self.level = min(self.size, self.level + max(0.0, now - self.at) * self.limit / MINUTE_S)
        self.at = now

    def wait(self, amount: float) -> float:
        """Seconds until so much is there; one that is larger than the bucket waits until it is full."""
        return max(0.0, (min(amount, self.size) - self.level) * MINUTE_S / self.limit)


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether a request may come in."""

    headers: dict[str, str] = field(default_factory=dict[str, str])
    refused_by: str | None = None
    """The limit that refuses it: requests, input-tokens or output-tokens."""


class RateLimiter:
    """Buckets of all keys and models. Safe to use from many threads."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: dict[tuple[str, str], dict[str, _Bucket]] = {}

    def admit(self, key: str, model: str, input_tokens: int) -> Admission:
        """Take one request and its input tokens, or refuse it and take nothing."""
        wanted = {"requests": 1.0, "input-tokens": float(input_tokens), "output-tokens": 1.0}
        with self._lock:
            buckets = self._of(key, model)
            refused = [name for name, bucket in buckets.items() if bucket.level + EPSILON < wanted[name]]
            if refused:
                wait = max(buckets[name].wait(wanted[name]) for name in refused)
                headers = {**dict(self._headers(buckets)), "retry-after": str(max(1, math.ceil(wait)))}
                return Admission(headers, refused[0])
            for name in buckets.keys() & {"requests", "input-tokens"}:
                buckets[name].level -= wanted[name]
            return Admission(dict(self._headers(buckets)))

    def wrote(self, key: str, model: str, output_tokens: int) -> None:
        """Count output; it may overdraw the bucket."""
        with self._lock:
            bucket = self._of(key, model).get("output-tokens")
            if bucket is not None:
                bucket.level -= output_tokens

    def _of(self, key: str, model: str) -> dict[str, _Bucket]:
        now = self._clock()
        if (key, model) not in self._buckets:
            limits = {
                "requests": self._limits.requests,
                "input-tokens": self._limits.input_tokens,
                "output-tokens": self._limits.output_tokens,
            }
            self._buckets[key, model] = {
                name: _Bucket(limit, size, size, now)
                for name, limit in limits.items()
                if limit is not None
                for size in [max(1.0, limit * self._limits.burst)]
            }
        buckets = self._buckets[key, model]
        for bucket in buckets.values():
            bucket.refill(now)
        return buckets

    def _headers(self, buckets: dict[str, _Bucket]) -> Iterator[tuple[str, str]]:
        for name, bucket in buckets.items():
            full = self._clock() + bucket.wait(bucket.size)
            yield f"anthropic-ratelimit-{name}-limit", str(bucket.limit)
            yield f"anthropic-ratelimit-{name}-remaining", str(max(0, math.floor(bucket.level)))
            reset = datetime.fromtimestamp(math.ceil(full), UTC)
            yield f"anthropic-ratelimit-{name}-reset", reset.isoformat().replace("+00:00", "Z")
