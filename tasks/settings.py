"""Settings: `TROUPE_…` environment variables, then `troupe.toml` (or the file that TROUPE_CONFIG names).

Read once in a main, then passed on. One class a room; this one holds what both sides must agree on.
"""

import os
import re
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from tasks.errors import BadSetting
from tasks.ids import MAX_PARTITIONS

DEFAULT_REDIS_URL = "redis://localhost:6379/0"

SCHEMES = ("redis", "rediss", "unix")

S = TypeVar("S", bound="RoomSettings")


class RoomSettings(BaseSettings):
    """Base of every settings class: frozen, `TROUPE_` prefix, `troupe.toml` below the environment."""

    model_config = SettingsConfigDict(env_prefix="TROUPE_", frozen=True, extra="ignore", env_ignore_empty=True)

    config_variable: ClassVar[str] = "TROUPE_CONFIG"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then the file."""
        path = Path(os.environ.get(cls.config_variable) or "troupe.toml")
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, path)


class StoreSettings(RoomSettings):
    """Where the shared state is, and the periods that judge who is alive. Equal in every process of a fleet."""

    redis_url: SecretStr = SecretStr(DEFAULT_REDIS_URL)
    """The store: redis://, rediss:// or unix://."""
    broker_url: SecretStr | None = None
    """Celery's broker; unset: the store's server, in the database after the store's. RabbitMQ is fine too."""
    prefix: str = Field(default="troupe", pattern=r"^[a-z0-9_-]{1,32}$")
    """First part of every key; two fleets may share one Redis under two prefixes."""
    partitions: int = Field(default=1, ge=1, le=MAX_PARTITIONS)
    """Slots that new jobs are spread over. Raise it with a Redis Cluster, where limits then hold for each partition by
    itself; never lower it while jobs are open."""
    max_open_jobs: int = Field(default=10_000, ge=1)
    """Jobs that may be open at once; past it a submit is refused with `fleet_full`."""
    max_open_jobs_of_tenant: int = Field(default=0, ge=0)
    """The same for each tenant; 0: no limit of its own."""
    store_timeout_s: float = Field(default=5.0, gt=0, le=60)
    """Longest wait for an answer of Redis before `StoreUnavailable`."""
    lease_s: float = Field(default=15.0, gt=0, le=3600)
    """How long a silent worker keeps its attempts."""
    heartbeat_s: float = Field(default=1.0, gt=0, le=1200)
    """How often a worker renews its leases and learns of cancelled attempts."""
    sweep_s: float = Field(default=1.0, gt=0, le=60)
    """How often due timers are looked at."""
    republish_s: float = Field(default=10.0, gt=0, le=3600)
    """How long a published message may stay unclaimed before it is looked for."""
    presence_s: float = Field(default=10.0, gt=0, le=3600)
    """How long a silent worker counts as alive in lists."""
    retention_s: float = Field(default=7 * 86_400.0, gt=0)
    """How long a finished job is kept."""
    events_max: int = Field(default=10_000, ge=100)
    """Events kept for one job; older ones are dropped."""

    @field_validator("redis_url")
    @classmethod
    def _is_redis_url(cls, value: SecretStr) -> SecretStr:
        url = value.get_secret_value()
        try:
            parts = urlsplit(url)
            _ = parts.port  # reads it, and refuses what is no port
            if parts.scheme not in SCHEMES:
                raise ValueError(f"it must begin with one of {', '.join(f'{name}://' for name in SCHEMES)}")
        except ValueError as error:
            raise ValueError(f"{hide_password(url)!r} is not a Redis URL: {error}") from error
        broker_beside(url)
        return value

    @model_validator(mode="after")
    def _periods_fit(self) -> Self:
        if self.lease_s < 3 * self.heartbeat_s:
            raise ValueError(f"lease_s ({self.lease_s}) must be at least three times heartbeat_s ({self.heartbeat_s})")
        if self.presence_s < 2 * self.heartbeat_s:
            raise ValueError(f"presence_s ({self.presence_s}) must be at least twice heartbeat_s ({self.heartbeat_s})")
        return self

    @property
    def broker(self) -> str:
        """Celery's broker URL, secrets included."""
        if self.broker_url is not None:
            return self.broker_url.get_secret_value()
        return broker_beside(self.redis_url.get_secret_value())


def read_settings(kind: type[S], **values: Any) -> S:
    """Read settings of one room; arguments win over the environment.

    Raises:
        BadSetting: a value is missing, malformed or contradicts another; names the variable.
    """
    try:
        return kind(**values)
    except ValidationError as error:
        raise BadSetting(_explain(error)) from error
    except (ValueError, OSError) as error:  # a TOML file that cannot be parsed, or not be opened
        raise BadSetting(f"the settings file cannot be read: {error}") from error


def _explain(error: ValidationError) -> str:
    faults: list[str] = []
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        name = "_".join(str(part) for part in fault["loc"])
        variable = f"TROUPE_{name.upper()}: " if name else ""
        faults.append(f"{variable}{fault['msg'].removeprefix('Value error, ')}")
    return "; ".join(faults)


def broker_beside(redis_url: str) -> str:
    """The broker URL that goes with a store URL: same server, next database.

    kombu writes Unix sockets as `redis+socket://` with the database in `virtual_host`.

    Raises:
        BadSetting: it is no URL, or the database is no number.
    """
    try:
        url = urlsplit(redis_url)
    except ValueError as error:
        raise BadSetting(f"TROUPE_REDIS_URL: {hide_password(redis_url)!r} is not a URL: {error}") from error
    query = dict(parse_qsl(url.query))
    number = query.pop("db", None) or ("" if url.scheme == "unix" else url.path.strip("/")) or "0"
    if not number.isdecimal():
        raise BadSetting(f"TROUPE_REDIS_URL: {number!r} is not a database number")
    if url.scheme == "unix":
        rest = urlencode({**query, "virtual_host": str(int(number) + 1)})
        return f"redis+socket://{url.netloc}{url.path}?{rest}"
    return urlunsplit((url.scheme, url.netloc, f"/{int(number) + 1}", urlencode(query), ""))


def hide_password(url: str) -> str:
    """The URL without its password, for logs and error messages; also one that is malformed."""
    hidden = re.sub(r"^([^/]*//[^/@:]*):.*@", r"\1:***@", url, flags=re.DOTALL)
    return re.sub(r"(?i)([?&]password=)[^&]*", r"\1***", hidden)
