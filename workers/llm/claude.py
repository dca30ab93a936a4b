"""Claude, through the Anthropic SDK: on the Claude API, Bedrock, Vertex or Foundry."""

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final, cast

from tasks.errors import BadSetting, ModelUnavailable, UnknownModel
from workers.context import running_step
from workers.llm.base import ModelReply, ModelRequest
from workers.llm.clients import account_of, open_client
from workers.llm.failures import translate
from workers.llm.names import ModelName, Platform
from workers.llm.payload import STREAM_ABOVE, payload
from workers.llm.pricing import Pricing
from workers.llm.replies import parse_json, read_reply
from workers.llm.settings import ModelSettings
from workers.llm.stream import MessageAssembly

if TYPE_CHECKING:
    from anthropic import AsyncAPIResponse
    from anthropic import MiddlewareInput as Middleware
    from anthropic.types import Message
    from httpx2 import AsyncClient

    from workers.llm.clients import Client


COUNTED: Final = frozenset({"model", "messages", "system", "tools", "tool_choice", "thinking", "output_config"})
"""Arguments of a call that its prompt is counted by."""


class ClaudeModel:
    """A Claude model. Use it on one event loop only: its connections belong to the loop of its first call.

    Nothing is retried here. The SDK, its client and connections come at the first call.
    """

    def __init__(
        self,
        name: str,
        settings: ModelSettings,
        *,
        pricing: Pricing | None = None,
        http_client: "AsyncClient | None" = None,
        middleware: "Sequence[Middleware]" = (),
    ) -> None:
        """Check the name; connect to nothing.

        Args:
            name: `claude-…`, or `bedrock/…`, `vertex/…`, `foundry/…`.
            pricing: Read from the settings unless given.
            http_client: Instead of the SDK's own, for tests.
            middleware: SDK middleware: where limits and journals look at each response.

        Raises:
            UnknownModel: it has no price.
            BadSetting: the price table cannot be read.
        """
        self._name = name
        self._platform = ModelName.parse(name).platform
        self._settings = settings
        self._pricing = pricing or Pricing.read(settings.pricing)
        self._pricing.facts(name)
        self._http_client = http_client
        self._middleware = tuple(middleware)
        self._client: Client | None = None
        self._opening = asyncio.Lock()

    @property
    def name(self) -> str:
        """Model name, its platform included."""
        return self._name

    async def reply(self, request: ModelRequest) -> ModelReply:
        """One call of the Messages API, to `request.model`, which must be of the same platform; see `Model.reply`.

        Raises:
            BadSetting: no credentials, or refused ones.
        """
        asked = ModelName.parse(request.model)
        if asked.platform is not self._platform:
            raise UnknownModel(f"{request.model} is not served by {self._platform}, as {self._name} is")
        facts = self._pricing.facts(request.model)
        client = await self._open()
        arguments = payload(request, model=asked.id, max_output=facts.max_output, cache=self._settings.cache)
        # Bedrock streams in a framing of its own, and through the SDK needs no streaming for long answers.
        wanted = _is_watched(arguments, request) or request.on_begin is not None
        streamed = wanted and self._platform is not Platform.BEDROCK
        message = await self._call(client, arguments, request, streamed=streamed)
        reply = read_reply(message, asked=request.model, pricing=self._pricing)
        if not streamed:
            reply.show(request.on_text)
        return reply

    async def count_tokens(self, request: ModelRequest) -> int:
        """Tokens of the request's prompt, as the provider counts them; costs nothing, and has a rate limit of its own.

        Raises:
            TroupeError: as `reply` does.
        """
        import anthropic

        facts = self._pricing.facts(request.model)
        client = await self._open()
        arguments = payload(request, model=ModelName.parse(request.model).id, max_output=facts.max_output)
        wanted = {name: value for name, value in arguments.items() if name in COUNTED}
        try:
            return (await client.messages.count_tokens(**wanted)).input_tokens
        except anthropic.APIError as error:
            raise translate(error, request.model) from error
        except anthropic.AnthropicError as error:
            raise BadSetting(f"{request.model} cannot be called: {error}") from error

    async def account(self) -> str:
        """A fingerprint of whose rate limits the calls count against; never the key itself.

        Raises:
            BadSetting: no credentials.
        """
        return account_of(self._platform, await self._open())

    def rate_class(self, model: str) -> str:
        """Which models share rate limits with that one.

        Raises:
            UnknownModel: it has no price.
        """
        return self._pricing.facts(model).rate_class or ModelName.parse(model).family

    async def close(self) -> None:
        """Close the connections; a later call would open new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _open(self) -> "Client":
        async with self._opening:
            if self._client is None:
                self._client = await open_client(
                    self._platform, self._settings, http_client=self._http_client, middleware=self._middleware
                )
            return self._client

    async def _call(self, client: "Client", arguments: dict[str, Any], request: ModelRequest, *, streamed: bool) -> Any:
        import anthropic
        import httpx2

        model = request.model
        try:
            if streamed:
                return await _stream(client, arguments, request)
            # The raw body, not the SDK's objects: these drop nothing today, but blocks must go back byte for byte.
            raw = cast("AsyncAPIResponse[Message]", await client.messages.with_raw_response.create(**arguments))
            return parse_json(raw.http_response.content)
        except anthropic.APIError as error:
            raise translate(error, model) from error
        except anthropic.AnthropicError as error:  # credentials that a file or a helper should have given
            raise BadSetting(f"{model} cannot be called: {error}") from error
        except httpx2.HTTPError as error:  # only streams: the SDK hands their errors through
            raise ModelUnavailable(f"the answer of {model} broke off ({type(error).__name__})", begun=True) from error


def _is_watched(arguments: dict[str, Any], request: ModelRequest) -> bool:
    """Whether its pieces are signs of life: somebody wants the text as it comes, or it may be too long to wait for."""
    return request.on_text is not None or arguments["max_tokens"] > STREAM_ABOVE


async def _stream(client: "Client", arguments: dict[str, Any], request: ModelRequest) -> Any:
    from anthropic import AsyncStream

    assembly, step = MessageAssembly(request.model, request.on_text), running_step()
    # One that is streamed only to learn of its beginning is no more idle than it would be as a whole.
    watched, begin = _is_watched(arguments, request), request.on_begin
    async with client.messages.with_streaming_response.create(**arguments, stream=True) as response:
        with step.waiting(seen=True) if step and watched else nullcontext():
            async for event in AsyncStream.raw_events(response.http_response):
                if step:
                    step.sign()
                if event.data:
                    assembly.add(parse_json(event.data))
                    if begin is not None:
                        begin()
                        begin = None
    return assembly.finish()
