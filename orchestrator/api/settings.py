"""Settings of the API."""

from typing import Final

from pydantic import Field

from tasks.settings import RoomSettings

USUAL_PORT: Final = 8080


class ApiSettings(RoomSettings):
    """Where the API listens, and how much it takes."""

    api_host: str = "127.0.0.1"
    """Address to listen on. Beyond this machine only when there is a key: `troupe keys create`."""
    api_port: int = Field(default=USUAL_PORT, ge=0, le=65535)
    """Port; 0: any free one."""
    api_max_body_bytes: int = Field(default=4_000_000, ge=1_000)
    """Longest request, uploads apart."""
    api_max_upload_bytes: int = Field(default=200_000_000, ge=1_000)
    """Longest upload, all its files together."""
    api_max_files_bytes: int = Field(default=2_000_000_000, ge=1_000)
    """What the uploaded files and the knowledge bases of one tenant may take together."""
    api_max_depth: int = Field(default=64, ge=4, le=200)
    """How deep the JSON of a request may be nested."""
    api_proxies: str = ""
    """Addresses of reverse proxies whose word on the caller's address and scheme is taken, `10.0.0.1,10.0.0.2`; empty:
    nobody's. Without keys no request that came through a proxy is answered."""
    api_max_streams: int = Field(default=1_000, ge=1, le=100_000)
    """Streams of events that one process serves a tenant at the same time; past it status 429."""
    api_drain_s: float = Field(default=10.0, ge=0, le=600)
    """How long a stopping API finishes requests. Streams of events are ended at once: their readers resume."""
