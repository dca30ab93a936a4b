"""What the fake Messages API can be told to do with one request. JSON-able, so another process can say so too."""

from typing import Annotated, Literal

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


class Break(_Behaviour):
    """Begin an answer and spoil it."""

    kind: Literal["break"] = "break"
    how: Literal["truncated", "malformed", "error_event", "dropped"] = "truncated"
    """`truncated`: the body ends in the middle; `malformed`: it is not JSON; `error_event`: overloaded after status 200
    (an unstreamed answer gets a 529); `dropped`: the connection closes without an answer."""


class Hang(_Behaviour):
    """Take the request and never answer, until the client goes away or the server stops."""

    kind: Literal["hang"] = "hang"


Behaviour = Annotated[Say | Fault | Break | Hang, Field(discriminator="kind")]
BEHAVIOURS: TypeAdapter[list[Say | Fault | Break | Hang]] = TypeAdapter(list[Behaviour])
