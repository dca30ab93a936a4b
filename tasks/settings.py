"""Settings: `TROUPE_…` environment variables, then `troupe.toml` (or the file that TROUPE_CONFIG names).

Read once in a main, then passed on. One class a room; this one holds what both sides must agree on.
"""

import os
from math import isclose
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from tasks.address import Address, Kind, hide_password, next_database, parse_address
from tasks.broker import check_broker
from tasks.errors import BadSetting
from tasks.ids import MAX_PARTITIONS

DEFAULT_REDIS_URL = "redis://localhost:6379/0"

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
        named = os.environ.get(cls.config_variable)
        path = Path(named or "troupe.toml")
        if named and (path.is_dir() or not path.exists()):
            raise BadSetting(f"{cls.config_variable}: there is no file {named!r}")
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, path)


class StoreSettings(RoomSettings):
    """Where the shared state is, and the periods that judge who is alive. Equal in every process of a fleet."""

    redis_url: SecretStr = SecretStr(DEFAULT_REDIS_URL)
    """The store: `redis://`, `rediss://` (TLS), `unix://`, `sentinel://host,host/SERVICE/DB` or
    `redis+cluster://host,host`; Redis 7.0 or newer."""
    broker_url: SecretStr | None = None
    """Celery's broker; unset: the store's server, in the database after the store's. RabbitMQ (`amqp://`) is fine too.
    A Redis Cluster is no broker."""
    redis_ca_file: Path | None = None
    """Certificates that vouch for the servers of `rediss://` URLs, store and broker; unset: those of this machine."""
    redis_cert_file: Path | None = None
    """Our own certificate, for servers that ask for one."""
    redis_key_file: Path | None = None
    """The key of our own certificate."""
    redis_insecure: bool = False
    """Take any certificate. Whoever is in between can then read and change everything."""
    sentinel_username: str = ""
    """User at the Sentinels; the one in the URL is for the servers behind them."""
    sentinel_password: SecretStr = SecretStr("")
    """Password of the Sentinels."""
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
    heartbeat_s: float = Field(default=0.5, gt=0, le=1200)
    """How often a worker renews its leases and learns of cancelled attempts. Costs Redis 0.5 ms for 100 that run."""
    sweep_s: float = Field(default=1.0, gt=0, le=60)
    """How often due timers are looked at."""
    republish_s: float = Field(default=10.0, gt=0, le=3600)
    """How long a published message may stay unclaimed before it is looked for."""
    presence_s: float = Field(default=10.0, gt=0, le=3600)
    """How long a silent worker counts as alive in lists."""
    retention_s: float = Field(default=7 * 86_400.0, gt=0)
    """How long a finished job is kept."""
    session_ttl_s: float = Field(default=7 * 86_400.0, gt=0)
    """How long a session is kept after its last change; while a job of it is open, until after that."""
    session_messages_max: int = Field(default=20_000, ge=100)
    """Messages kept of one session; the oldest are dropped."""
    session_calls_max: int = Field(default=5_000, ge=100)
    """The same for its tool calls."""
    session_line_max: int = Field(default=100, ge=1)
    """Requests of one session that may wait for their turn; one more is refused with `session_busy`."""
    events_max: int = Field(default=10_000, ge=100)
    """Events kept for one job; older ones are dropped."""

    @field_validator("redis_url")
    @classmethod
    def _is_redis_url(cls, value: SecretStr) -> SecretStr:
        url = value.get_secret_value()
        try:
            parse_address(url)
        except ValueError as error:
            raise ValueError(f"{hide_password(url)!r} is not a Redis URL: {error}") from error
        return value

    @field_validator("broker_url")
    @classmethod
    def _is_broker_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            check_broker(value.get_secret_value())
        return value

    @model_validator(mode="after")
    def _periods_fit(self) -> Self:
        if _below(self.lease_s, 3 * self.heartbeat_s):
            raise ValueError(f"lease_s ({self.lease_s}) must be at least three times heartbeat_s ({self.heartbeat_s})")
        if _below(self.presence_s, 2 * self.heartbeat_s):
            raise ValueError(f"presence_s ({self.presence_s}) must be at least twice heartbeat_s ({self.heartbeat_s})")
        return self

    @property
    def address(self) -> Address:
        """The store's address."""
        return parse_address(self.redis_url.get_secret_value())

    @property
    def tls(self) -> dict[str, str | bool]:
        """What redis-py is told of certificates when it connects with TLS, to the store or the broker."""
        names = {
            "ssl_ca_certs": self.redis_ca_file,
            "ssl_certfile": self.redis_cert_file,
            "ssl_keyfile": self.redis_key_file,
        }
        options: dict[str, str | bool] = {name: str(path) for name, path in names.items() if path is not None}
        options["ssl_cert_reqs"] = "none" if self.redis_insecure else "required"
        options["ssl_check_hostname"] = not self.redis_insecure
        return options

    @property
    def broker(self) -> str:
        """Celery's broker URL, secrets included.

        Raises:
            BadSetting: the store is a cluster, which is no broker, and none was named.
        """
        if self.broker_url is not None:
            return self.broker_url.get_secret_value()
        address = self.address
        if address.kind is Kind.CLUSTER:
            raise BadSetting(
                "TROUPE_BROKER_URL: a Redis Cluster is a store and no broker: Celery cannot use it; "
                "name one Redis server (redis://…) or RabbitMQ (amqp://…)"
            )
        return next_database(address)


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


def _below(value: float, least: float) -> bool:
    """Whether it is too small; 0.3 is not below 3 × 0.1, which is 0.30000000000000004."""
    return value < least and not isclose(value, least)


def _explain(error: ValidationError) -> str:
    faults: list[str] = []
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        name = "_".join(str(part) for part in fault["loc"])
        variable = f"TROUPE_{name.upper()}: " if name else ""
        faults.append(f"{variable}{fault['msg'].removeprefix('Value error, ')}")
    return "; ".join(faults)
