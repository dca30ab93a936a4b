"""Settings of a client that goes over HTTP."""

import ipaddress
from contextlib import suppress
from pathlib import Path
from typing import Final, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from tasks.settings import RoomSettings

SCHEMES: Final = ("http", "https")


class RemoteSettings(RoomSettings):
    """The HTTP API that producers and commands use in place of Redis."""

    api_url: str = ""
    """Address of a `troupe api`, as `https://troupe.example.org`; set, clients and commands go there and not to Redis.
    What was behind a fleet's name in a proxy stays part of it: `https://example.org/troupe`."""
    api_key: SecretStr | None = None
    """Key to show there: `troupe keys create`."""
    api_insecure: bool = False
    """Send the key over plain `http://` to other machines too. Whoever is in between can then read it."""
    api_ca_file: Path | None = None
    """Certificates that vouch for the API; unset: those of this machine."""
    api_timeout_s: float = Field(default=30.0, gt=0, le=600)
    """Longest silence of the API, beyond what it is asked to wait."""

    @field_validator("api_url")
    @classmethod
    def _is_address(cls, value: str) -> str:
        if not value:
            return value
        try:
            parts = urlsplit(value)
            fits = parts.scheme in SCHEMES and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        except ValueError as error:
            raise ValueError(f"it is no address: {error}") from error
        if not fits or parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("give the address of an API: https://host, without user, password, ? or #")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _keeps_the_key(self) -> Self:
        """A key over plain HTTP can be read by everybody in between."""
        parts = self.parts
        if self.api_key is None or self.api_insecure or parts.scheme != "http" or is_this_machine(parts.hostname or ""):
            return self
        raise ValueError(
            f"the key would go to {parts.hostname} over plain http, where anybody in between can read it: use "
            "https://, or say TROUPE_API_INSECURE=true (insecure=True)"
        )

    @property
    def parts(self) -> SplitResult:
        """The address, taken apart."""
        return urlsplit(self.api_url)


def is_remote(url: str) -> bool:
    """Whether an address is one of an API, and not of a store."""
    return urlsplit(url).scheme.lower() in SCHEMES if "://" in url else False


def is_this_machine(host: str) -> bool:
    """Whether what is sent to a host stays on this machine."""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"
