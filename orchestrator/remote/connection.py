"""One API, asked over HTTP: keys, timeouts, retries, and answers checked before they are believed."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from orchestrator.remote.refused import error_of, retry_after
from orchestrator.remote.settings import RemoteSettings, is_this_machine
from tasks.errors import BadSetting, ContractError, TroupeError
from tasks.refusals import ApiUnavailable, RateLimited

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")

Query = Mapping[str, str | int | float | bool | Sequence[str] | None]
Uploads = Sequence[tuple[str, tuple[str, IO[bytes]]]]

PAUSES_S: Final = (0.1, 0.3, 0.6, 1.0, 2.0, 3.0, 4.0, 4.0, 5.0)
"""Between tries: an API that is restarted is back within their sum."""
LONGEST_PAUSE: Final = timedelta(seconds=5)
"""An API that wants to be left alone for longer is not asked again here."""
SAFE: Final = frozenset({"GET", "HEAD"})
AWAY: Final = frozenset({502, 503, 504})
SILENT_S: Final = 60.0
"""A stream that sends no heartbeat for so long is dead."""


class NotSent(ApiUnavailable):
    """The API was not reached: nothing can have been done."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the API answered."""

    status: int
    body: bytes

    def read(self, kind: type[T]) -> T:
        """The body as a model, or a list of them. Fields of later releases are left out.

        Raises:
            ApiUnavailable: it is none: something else answers there.
        """
        try:
            return cast(T, _adapter(kind).validate_json(self.body, extra="ignore"))
        except ValidationError as error:
            raise ApiUnavailable(
                f"what answers is no API of Troupe's that this release can read: {error.error_count()} faults; "
                f"the first: {error.errors(include_url=False, include_input=False)[0]['msg']}"
            ) from error


@cache
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


class Connection:
    """A client's connections to one API. Use it in one event loop."""

    def __init__(self, settings: RemoteSettings) -> None:
        self.settings = settings
        self.transport: httpx2.AsyncBaseTransport | None = None
        """What requests go through; None: the network."""
        self._client: httpx2.AsyncClient | None = None
        self._reached = False

    def __repr__(self) -> str:
        return f"<{self.settings.api_url}>"

    async def ask(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: object = None,
        content: bytes | None = None,
        uploads: Uploads | None = None,
        key: str | None = None,
        again: bool | None = None,
        wait: float = 0,
    ) -> Reply:
        """One request, and its answer. Asked again while the API is away, if doing it twice does no harm.

        Args:
            body: What becomes JSON.
            content: Bytes to send as they are.
            uploads: Files to send, each from its beginning.
            key: Idempotency key; with one, the request may be sent again.
            again: Whether a second time does no harm; None: as method and key say.
            wait: Seconds that the API is asked to wait for something.

        Raises:
            ApiUnavailable: no answer, and it was no use to ask again, or might have done it twice.
            TroupeError: what the API refuses it with.
        """
        harmless = again if again is not None else method in SAFE or key is not None
        request = _Request(method, path, query, body, content, uploads, key, self.settings.api_timeout_s + wait)
        for pause in (*PAUSES_S, None):
            try:
                status, headers, text = await self._once(request)
            except ApiUnavailable as error:
                if pause is None or not (harmless or isinstance(error, NotSent)) or not self._reached:
                    raise
                await asyncio.sleep(pause)
                continue
            if status < 300:
                return Reply(status, text)
            error = error_of(status, headers, text)
            left = retry_after(headers) or timedelta(0)
            if pause is None or left > LONGEST_PAUSE or not _may_pass(status, error, harmless):
                raise error
            await asyncio.sleep(max(pause, left.total_seconds()))
        raise AssertionError("the last try ends the loop")

    @asynccontextmanager
    async def stream(self, path: str, *, headers: Mapping[str, str]) -> AsyncGenerator["httpx2.EventSource"]:
        """A stream of server-sent events. Not asked again: whoever reads knows where to go on.

        Raises:
            ApiUnavailable: no answer, or the connection was lost.
            TroupeError: what the API refuses it with.
        """
        import httpx2

        timeout = httpx2.Timeout(self.settings.api_timeout_s, read=SILENT_S)
        try:
            async with self._http.sse(path, headers=dict(headers), timeout=timeout) as source:
                self._reached = True
                if source.response.status_code >= 300:
                    text = await source.response.aread()
                    raise error_of(source.response.status_code, source.response.headers, text)
                yield source
        except httpx2.RequestError as error:
            raise self._lost(error) from error

    async def close(self) -> None:
        """Give the connections back."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _once(self, request: "_Request") -> tuple[int, Mapping[str, str], bytes]:
        import httpx2

        headers = {} if request.key is None else {"Idempotency-Key": request.key}
        if request.content is not None:
            headers["Content-Type"] = "application/jsonl"
        try:
            found = await self._http.request(
                request.method,
                request.path,
                params={name: value for name, value in (request.query or {}).items() if value is not None},
                json=request.body,
                content=request.content,
                files=request.uploads,
                headers=headers,
                timeout=httpx2.Timeout(self.settings.api_timeout_s, read=request.timeout_s),
            )
        except httpx2.RequestError as error:
            raise self._lost(error) from error
        except (httpx2.InvalidURL, UnicodeError) as error:
            raise ContractError(f"{request.path!r} cannot be asked for: {error}") from error
        self._reached = True
        return found.status_code, found.headers, found.content

    def _lost(self, error: Exception) -> ApiUnavailable:
        import httpx2

        kind = NotSent if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout) else None
        why = str(error) or type(error).__name__
        hint = "; TROUPE_API_CA_FILE names who vouches for it" if "CERTIFICATE" in why.upper() else ""
        return (kind or ApiUnavailable)(f"the API at {self.settings.api_url} gave no answer: {why}{hint}")

    @property
    def _http(self) -> "httpx2.AsyncClient":
        if self._client is None:
            self._client = _client(self.settings, self.transport)
        return self._client


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    query: Query | None
    body: object
    content: bytes | None
    uploads: Uploads | None
    key: str | None
    timeout_s: float


def _may_pass(status: int, error: TroupeError, harmless: bool) -> bool:
    """Whether to ask again: what was refused for its rate was not done; of the rest, what does no harm twice."""
    return isinstance(error, RateLimited) or (harmless and status in AWAY)


def _client(settings: RemoteSettings, transport: "httpx2.AsyncBaseTransport | None") -> "httpx2.AsyncClient":
    import httpx2

    headers = {"Accept": "application/json", "User-Agent": "troupe"}
    if settings.api_key is not None:
        headers["Authorization"] = f"Bearer {settings.api_key.get_secret_value()}"
    return httpx2.AsyncClient(
        base_url=f"{settings.api_url}/v1/",
        headers=headers,
        verify=_certificates(settings.api_ca_file),
        transport=transport,
        trust_env=not is_this_machine(settings.parts.hostname or ""),
        limits=httpx2.Limits(max_connections=None, max_keepalive_connections=20),
        follow_redirects=False,
    )


def _certificates(file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=None if file is None else str(file))
    except (OSError, ssl.SSLError) as error:
        raise BadSetting(f"TROUPE_API_CA_FILE: {str(file)!r} cannot be read: {error}") from error
