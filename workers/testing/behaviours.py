"""What the fake Messages API can be told to do with one request. JSON-able, so another process can say so too."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter

from workers.llm.base import Block


class _Behaviour(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    delay_s: float = Field(default=0.0, ge=0)
    """Wait before anything is sent; ends early when the client goes away."""


class Say(_Behaviour):
    """Answer with a message."""

    kind: Literal["say"] = "say"
    content: list[Block] | str
    """Blocks, or the text of a single one."""
    stop_reason: str | None = None
    """`tool_use` when a block is one, else `end_turn`."""
    stop_details: dict[str, JsonValue] | None = None
    usage: dict[str, JsonValue] | None = None
    """Over the estimated one, field by field."""
    pace_s: float = Field(default=0.0, ge=0)
    """Wait between the events of a streamed answer."""


TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    503: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""The `error.type` of each status."""


class Fault(_Behaviour):
    """Answer with an error."""

    kind: Literal["fault"] = "fault"
    status: int = Field(default=529, ge=400, le=599)
    type: str = "overloaded_error"
    message: str = "Overloaded"
    error_code: str | None = None
    """`error.details.error_code`: `enforced_spend_limit_reached` …"""
    retry_after: str | None = None
    """Header, verbatim."""

    @classmethod
    def of(cls, status: int, error_code: str | None = None, *, retry_after: str | None = None) -> "Fault":
        """The error that goes with a status: `Fault.of(429, "ramp_limit_exceeded", retry_after="3")`."""
        kind = TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
        text = kind.removesuffix("_error").replace("_", " ")
        return cls(status=status, type=kind, message=text, error_code=error_code, retry_after=retry_after)


class Break(_Behaviour):
    """Begin an answer and spoil it."""

    kind: Literal["break"] = "break"
    how: Literal["truncated", "half_event", "malformed", "error_event", "dropped", "empty", "html"] = "truncated"
    """`truncated`: the body ends in the middle, between two events; `half_event`: within one; `malformed`: it is not
    JSON; `error_event`: an error after status 200 (an unstreamed answer gets its status); `dropped`: the connection
    closes without an answer; `empty`: status 200 and no body; `html`: status 200 and a page, as a bad proxy sends."""
    status: int = Field(default=529, ge=400, le=599)
    """Which error, for `error_event`."""


class Hang(_Behaviour):
    """Take the request and never answer, until the client goes away or the server stops."""

    kind: Literal["hang"] = "hang"


Behaviour = Annotated[Say | Fault | Break | Hang, Field(discriminator="kind")]
BEHAVIOURS: TypeAdapter[list[Say | Fault | Break | Hang]] = TypeAdapter(list[Behaviour])
