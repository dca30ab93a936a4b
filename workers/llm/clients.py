"""The SDK's clients, one class for each platform. Importing the SDK takes 1.6 s, so it happens here, at first use."""

import asyncio
import hashlib
import ipaddress
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tasks.errors import BadSetting, ContractError
from workers.llm.names import Platform
from workers.llm.settings import ModelSettings

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic, AsyncAnthropicFoundry
    from anthropic import MiddlewareInput as Middleware
    from anthropic.lib.bedrock import AsyncAnthropicBedrock
    from anthropic.lib.vertex import AsyncAnthropicVertex
    from httpx2 import AsyncClient

    Client = AsyncAnthropic | AsyncAnthropicBedrock | AsyncAnthropicVertex | AsyncAnthropicFoundry


async def open_client(
    platform: Platform,
    settings: ModelSettings,
    *,
    http_client: "AsyncClient | None" = None,
    middleware: "Sequence[Middleware]" = (),
) -> "Client":
    """A client that retries nothing: waiting and retrying is decided by the store, for the whole fleet.

    Args:
        http_client: Instead of the SDK's own, for tests.
        middleware: Sees the response of every call, failed ones included, before an error is raised.

    Raises:
        BadSetting: no credentials, or a platform whose extra packages are not installed.
        ContractError: the client would call another machine, and TROUPE_ALLOW_MODEL_REQUESTS forbids that.
    """
    # The import blocks for more than a second, and certificates are read from disk: not on the loop.
    client = await asyncio.to_thread(_build, platform, settings, http_client, middleware)
    host = client.base_url.host
    if not settings.allow_model_requests and not _is_loopback(host):
        raise ContractError(f"TROUPE_ALLOW_MODEL_REQUESTS is false: no model call may leave this machine (to {host})")
    return client


def load_sdk() -> None:
    """Import what a client needs, where there is time for it; a second call costs nothing."""
    for name in ("anthropic.lib.bedrock", "anthropic.lib.vertex", "httpx2"):
        import_module(name)


def _build(
    platform: Platform,
    settings: ModelSettings,
    http_client: "AsyncClient | None",
    middleware: "Sequence[Middleware]",
) -> "Client":
    import anthropic
    import httpx2
    from anthropic.lib.bedrock import AsyncAnthropicBedrock
    from anthropic.lib.vertex import AsyncAnthropicVertex

    options: dict[str, Any] = {
        "max_retries": 0,
        "timeout": httpx2.Timeout(settings.model_timeout_s, connect=min(5.0, settings.model_timeout_s)),
        "middleware": list(middleware),
        "open_telemetry": False,  # each call has a span of ours, whichever model answers: not two
    }
    if http_client is not None:
        options["http_client"] = http_client
    kinds: dict[Platform, Any] = {
        Platform.ANTHROPIC: anthropic.AsyncAnthropic,
        Platform.BEDROCK: AsyncAnthropicBedrock,
        Platform.VERTEX: AsyncAnthropicVertex,
        Platform.FOUNDRY: anthropic.AsyncAnthropicFoundry,
    }
    try:
        client: Client = kinds[platform](**options)
    except (anthropic.AnthropicError, ValueError, ImportError) as error:
        raise BadSetting(f"no client for {platform}: {error}") from error
    if isinstance(client, anthropic.AsyncAnthropic) and platform is Platform.ANTHROPIC and not _has_credentials(client):
        raise BadSetting("there is no key for Claude: set ANTHROPIC_API_KEY, or use --model offline")
    return client


def account_of(platform: Platform, client: "Client") -> str:
    """A short fingerprint of whose limits a client's calls count against: its key, and where it is used."""
    names = ("api_key", "auth_token", "aws_access_key", "aws_profile", "project_id", "resource")
    who = [str(getattr(client, name, None) or "") for name in names]
    return hashlib.sha256("\0".join([platform, str(client.base_url), *who]).encode()).hexdigest()[:16]


def _has_credentials(client: "AsyncAnthropic") -> bool:
    return any(one is not None for one in (client.api_key, client.auth_token, client.credentials))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
