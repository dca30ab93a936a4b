"""Where Troupe lives on this machine, and which fleet is meant when none is named."""

from pathlib import Path

from pydantic import Field, SecretStr

from orchestrator.local.state import running_stack
from tasks.settings import RoomSettings, StoreSettings, read_settings


class HomeSettings(RoomSettings):
    """Where Troupe keeps things on this machine."""

    home: Path = Field(default_factory=lambda: Path.home() / ".troupe")
    """Knowledge bases, embedded Redis, logs. Workers on several machines need it on a shared volume."""


def home() -> Path:
    """TROUPE_HOME, as an absolute path."""
    return read_settings(HomeSettings).home.expanduser().absolute()


def store_settings() -> StoreSettings:
    """Settings of the fleet to talk to: as set; else the `troupe up` that runs here; else Redis' usual port."""
    settings = read_settings(StoreSettings)
    if "redis_url" in settings.model_fields_set:
        return settings
    stack = running_stack(home())
    return settings if stack is None else settings.model_copy(update={"redis_url": SecretStr(stack["redis_url"])})


def given_redis_url() -> str | None:
    """The Redis that was set; None when none was, and a stack brings its own."""
    settings = read_settings(StoreSettings)
    return settings.redis_url.get_secret_value() if "redis_url" in settings.model_fields_set else None
