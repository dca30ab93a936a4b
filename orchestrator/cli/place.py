"""The client of a command."""

from orchestrator.blocking import Troupe
from orchestrator.remote.settings import RemoteSettings, is_remote
from tasks.settings import read_settings


def connect() -> Troupe:
    """A client for the fleet to talk to."""
    return Troupe()


def api_settings() -> RemoteSettings | None:
    """The API that the fleet to talk to is behind; None where it is reached directly."""
    settings = read_settings(RemoteSettings)
    return settings if is_remote(settings.api_url) else None
