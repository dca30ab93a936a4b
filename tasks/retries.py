"""How often and how soon what failed is tried again."""

from pydantic import Field

from tasks.wire import Wire


class RetryPolicy(Wire):
    """How often and how soon a step is tried again."""

    max_attempts: int = Field(default=3, ge=1, le=100)
    """Tries after failures, the first one included. Lost workers are counted apart (`max_losses`)."""
    max_losses: int = Field(default=3, ge=1, le=100)
    """Worker deaths under this step after which it is stopped as poison."""
    base_ms: int = Field(default=500, ge=0)
    """Longest wait before the second attempt; doubles with each, drawn at random from 0 (full jitter)."""
    cap_ms: int = Field(default=30_000, ge=0)
    """Longest wait of all."""
    retry_on: tuple[str, ...] = ()
    """Failure codes after which it is tried again; empty: all that may pass. Others are final, whatever they say."""
    never_on: tuple[str, ...] = ()
    """Failure codes after which it is not tried again; wins over `retry_on`."""
