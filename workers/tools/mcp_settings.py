"""Which MCP servers there are, and what of them may be used."""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self, cast

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from tasks.errors import BadSetting
from tasks.settings import RoomSettings

SERVER_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class McpSettings(RoomSettings):
    """Where the servers are listed."""

    mcp: Path | None = None
    """A TOML file with a table `[servers.NAME]` for each MCP server; see docs/tools.md. Unset: none."""


class McpServerConfig(BaseModel):
    """One server: a program that speaks over its stdin and stdout (`command`), or an address (`url`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    command: str | None = None
    args: tuple[str, ...] = ()
    env: dict[str, SecretStr] = Field(default_factory=dict[str, SecretStr])
    """Besides PATH, HOME and the like: a server does not see the worker's own environment, which holds its keys."""
    cwd: Path | None = None
    log_file: Path | None = None
    """Where what it writes to stderr is kept; unset: nowhere."""
    url: str | None = Field(default=None, pattern=r"^https?://")
    """Streamable HTTP."""
    headers: dict[str, SecretStr] = Field(default_factory=dict[str, SecretStr])
    timeout_s: float = Field(default=30.0, gt=0, le=3600)
    """Longest call."""
    connect_s: float = Field(default=10.0, gt=0, le=300)
    """Longest time until it has listed its tools."""
    allow: tuple[str, ...] = ("*",)
    """Names of tools that may be used; `*` and `?` stand for others."""
    prefix: str | None = None
    """Before the names of its tools; unset: its own name and `_`."""
    requires_approval: tuple[str, ...] = ()
    """Names of tools that need a person's yes, as in `allow`."""
    rate_limit: int | None = Field(default=None, ge=1)
    """Calls a minute of each of its tools."""
    concurrency: int | None = Field(default=None, ge=1)
    """Calls at the same time of each of its tools, in one process."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.command is None) == (self.url is None):
            raise ValueError("give either command or url")
        alien = (self.args, self.env, self.cwd, self.log_file) if self.url is not None else (self.headers,)
        if any(alien):
            raise ValueError("headers belong to a url; args, env, cwd and log_file to a command")
        return self


def read_servers(path: Path | None, environment: Mapping[str, str] | None = None) -> dict[str, McpServerConfig]:
    """The servers by name. `${NAME}` in any text of the file is replaced by that environment variable.

    Raises:
        BadSetting: the file cannot be read or has a wrong shape, or a variable is not set. No value is repeated in the
            message: it may be a key.
    """
    if path is None:
        return {}
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        tables: object = content.pop("servers", {})
        if content or not isinstance(tables, dict):
            raise ValueError(f"only tables [servers.NAME] may stand in it, not {', '.join(content) or 'that'}")
        known = os.environ if environment is None else environment
        return {name: _server(name, table, known) for name, table in cast("dict[str, Any]", tables).items()}
    except (OSError, ValueError) as error:  # TOMLDecodeError is a ValueError
        raise BadSetting(f"TROUPE_MCP: {path} cannot be used: {error}") from error


def _server(name: str, table: object, known: Mapping[str, str]) -> McpServerConfig:
    if SERVER_NAME.fullmatch(name) is None:
        raise ValueError(f"{name!r} cannot name a server: lower-case letters, digits, - and _, a letter first")
    try:
        return McpServerConfig.model_validate(_filled(table, name, known))
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        said = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'server'}: {one['msg']}" for one in faults)
        raise ValueError(f"servers.{name}: {said}") from None  # the cause would show the values


def _filled(value: Any, name: str, known: Mapping[str, str]) -> Any:
    def of(match: re.Match[str]) -> str:
        if match[1] not in known:
            raise ValueError(f"servers.{name}: the environment variable {match[1]} is not set")
        return known[match[1]]

    if isinstance(value, str):
        return _VARIABLE.sub(of, value)
    if isinstance(value, dict):
        return {key: _filled(item, name, known) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_filled(item, name, known) for item in cast("list[Any]", value)]
    return value
