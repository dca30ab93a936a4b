"""What may be called at addresses that jobs and users name."""

from typing import Self

from pydantic import Field, model_validator

from tasks.outbound.allowed import Allowed
from tasks.settings import RoomSettings


class OutboundSettings(RoomSettings):
    """Calls of web pages and receivers of webhooks, by workers and the API. What is allowed is so for every tenant."""

    outbound_allow: str = ""
    """Hosts of your own that may be called although their addresses are not public, separated by commas: exact names
    (`wiki.example.internal`), addresses or networks (`10.1.0.0/16`), each with a port where that is not one of the
    ports below (`127.0.0.1:9000`; `:*` for any)."""
    outbound_ports: str = "80,443,8080,8443"
    """Ports that may be called, separated by commas."""
    outbound_timeout_s: float = Field(default=20.0, gt=0, le=300)
    """Longest call, in seconds: name, connection, redirects and body together."""
    outbound_max_bytes: int = Field(default=5_000_000, ge=1000, le=100_000_000)
    """Largest reply, unpacked. A larger one is refused, and not read to its end."""
    outbound_redirects: int = Field(default=5, ge=0, le=20)
    """Most redirects that are followed one after the other."""

    @model_validator(mode="after")
    def _readable(self) -> Self:
        self.allowed()
        return self

    def allowed(self) -> Allowed:
        """The two lists, read.

        Raises:
            ValueError: one of them cannot be read.
        """
        return Allowed.parse(self.outbound_allow, self.outbound_ports)
