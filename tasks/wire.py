"""The base of every model that travels between processes."""

from pydantic import BaseModel, ConfigDict


class Wire(BaseModel):
    """Base of every model that travels."""

    model_config = ConfigDict(frozen=True, extra="forbid")
