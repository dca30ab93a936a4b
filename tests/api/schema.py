"""The whole OpenAPI document against the API, by Schemathesis: `python -m tests.api.schema --requests 5000`.

No answer may be a 5xx, have a status or a form that the document does not say, or take what the document forbids.
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Generator, MutableMapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

import schemathesis as untyped
from pydantic import SecretStr
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.engine import events, from_schema
from schemathesis.generation import GenerationMode
from schemathesis.openapi.checks import AllowHeaderMismatch, RejectedPositiveData
from schemathesis.python import asgi

from orchestrator.api.app import create_app
from orchestrator.local.redis_server import RedisServer
from tasks.logs import LogSettings, configure_logs
from tasks.settings import StoreSettings
from tests.api.conftest import a_door
from tests.api.routes import ASKED, LOOK
from tests.api.scene import Grown, grown

schemathesis = cast(Any, untyped)
"""Its own types leave parts of it open."""
Message = MutableMapping[str, Any]
STREAM_S: Final = 0.1
"""How long a stream of events is read: that of an open job does not end."""
WAIT: Final = b"wait=0.01"
"""In place of longer ones."""
LEFT_AS_DRAWN: Final = 0.3
"""Share of the requests that may name what is not there."""
AS_KNOWN: Final = 0.3
"""Share of the others whose body is one that is known to be good."""
REFUSED: Final = ("400", "401", "403", "404", "405", "409", "415", "422", "429")
NULLABLE: Final = ("/v1/jobs/{job}/advance", "/v1/jobs/{job}/steps/{step}/approve", "/v1/jobs/{job}/steps/{step}/deny")
"""Whose body may be null, or missing, which is drawn as a wrong one."""
YEAR_S: Final = 31_536_000
"""Nothing is forgotten that others reach."""


@dataclass(slots=True)
class Outcome:
    """What came of a run."""

    requests: int = 0
    statuses: Counter[int] = field(default_factory=Counter[int])
    unreached: set[str] = field(default_factory=set[str])
    """Operations that never answered with success."""
    failures: dict[str, str] = field(default_factory=dict[str, str])
    """What was wrong, by operation and kind; an example of each."""
    seconds: float = 0.0

    def told(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "requests": self.requests,
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "unreached": sorted(self.unreached),
            "failures": self.failures,
            "seconds": round(self.seconds, 1),
        }


@dataclass(frozen=True, slots=True)
class Served:
    """An API whose tenants have everything, on a server of its own."""

    settings: StoreSettings
    home: Path
    keys: dict[str, str]
    grown: dict[str, Grown]


@contextmanager
def served() -> Generator[Served]:
    """Start one."""
    with tempfile.TemporaryDirectory(prefix="schema-") as folder:
        server = RedisServer.start(Path(folder) / "redis", append_only=False)
        try:
            settings = StoreSettings(redis_url=SecretStr(server.url), partitions=1)
            home = Path(folder) / "home"
            home.mkdir()
            yield asyncio.run(_grow(settings, home))
        finally:
            server.stop()


async def _grow(settings: StoreSettings, home: Path) -> Served:
    async with grown(settings, home) as (api, found):
        return Served(settings, home, api.keys, found)


def explore(scene: Served, who: str, seed: int, most: int, examples: int | None = None) -> Outcome:
    """Send at most about so many requests with somebody's key, all checks on.

    Args:
        examples: Only so many of each operation, drawn at random. None: also each case that the document knows, and
            sequences of operations.
    """
    app = create_app(a_door(scene.settings, scene.home))
    config = cast(Any, SchemathesisConfig).from_dict(_settings(scene, who, seed, examples))
    schema = schemathesis.openapi.from_asgi("/openapi.json", _hurried(app), config=config)
    reaching = _Reaching(scene, who, seed)

    def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
        reaching.change(case)

    schemathesis.hook(before_call)
    schema.hook(filter_failure)
    begun, found = time.monotonic(), Outcome()
    left = {one.ok().label for one in schema.get_all_operations()}
    try:
        for event in from_schema(schema).execute():
            if isinstance(event, events.ScenarioFinished):
                _take(found, left, event)
            elif isinstance(event, events.NonFatalError):
                found.failures[f"{event.label}: error"] = str(event.value)[:2000]
            if found.requests >= most:
                break
    finally:
        schemathesis.hooks.unregister(before_call)
        asgi.shutdown_lifespans()
    found.unreached, found.seconds = left, time.monotonic() - begun
    return found


def _take(found: Outcome, left: set[str], event: events.ScenarioFinished) -> None:
    for case, interaction in event.recorder.interactions.items():
        found.requests += 1
        if interaction.response is not None:
            found.statuses[interaction.response.status_code] += 1
            if interaction.response.status_code < 300:
                left.discard(_label(event, case))
    for case, checks in event.recorder.checks.items():
        for check in checks:
            if check.failure_info is not None:
                label = _label(event, case)
                info = check.failure_info
                said = f"{info.failure.title}: {info.failure.message}\n{info.code_sample}"
                found.failures.setdefault(f"{label}: {check.name}: {info.failure.title}", said[:3000])


class _Reaching:
    """Has requests that are valid reach what is there, more often than not: nobody guesses an id."""

    def __init__(self, scene: Served, who: str, seed: int) -> None:
        self.draw = random.Random(seed)
        self.mine = scene.grown["acme"]
        self.key = scene.keys["acme:read"]
        self.operator = "operator" in who

    def change(self, case: Any) -> None:
        """Change a request that is about to be sent."""
        parts = {} if case.meta is None else {where.value: part.mode for where, part in case.meta.components.items()}
        good = {name for name, mode in parts.items() if mode is GenerationMode.POSITIVE}
        name = str(case.operation.definition.raw.get("operationId"))
        asking = ASKED.get(name, LOOK)
        if name == "fleet.prune" and "body" in good:
            case.body = {**case.body, "older_than_s": YEAR_S}
        if self.draw.random() < LEFT_AS_DRAWN:
            return
        if "path" in good:
            there = asking.names(self.mine)
            case.path_parameters = {place: there[place] for place in list[str](case.path_parameters or {})}
        options = asking.options(self.mine)
        if "query" in good:
            asked = {"tenant": "acme"} if self.operator and name.startswith(("files.", "knowledge.")) else {}
            case.query = {**(case.query or {}), **options.get("params", {}), **asked}
        if "body" in good and self.draw.random() < AS_KNOWN:
            case.body = {"key": self.key} if name == "access.login" else self._body(options, case.body)

    def _body(self, options: dict[str, Any], drawn: Any) -> Any:
        if "files" in options:
            ((_, content),) = options["files"].values()
            return {"files": [content]}
        return options.get("content", options.get("json", drawn))


def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """Drop what no schema can say: that an id was never given, that a word of a query is none, that two fields do not
    go together. Such requests have a code of their own; `invalid_request` is what the schema should have said."""
    if isinstance(failure, AllowHeaderMismatch):  # a step may be called `retry`: then its path is that of the operation
        return case.operation.label != "POST /v1/dead/{job}/retry"
    if isinstance(failure, RejectedPositiveData) and response.status_code == 422:  # 0: it could draw no body
        return response.json().get("code") == "invalid_request" and case.body != 0
    if isinstance(failure, AcceptedNegativeData) and response.request.body in {None, b"", b"null"}:
        return case.operation.path not in NULLABLE
    return True


@schemathesis.serializer("application/jsonl")
def _as_lines(context: Any, value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


def _label(event: events.ScenarioFinished, case: str) -> str:
    return str(cast(Any, event.recorder.cases[case].value).operation.label)


def _settings(scene: Served, who: str, seed: int, examples: int | None) -> dict[str, Any]:
    return {
        "seed": seed,
        "headers": {"Authorization": f"Bearer {scene.keys[who]}"},
        "request-timeout": 30,
        "continue-on-failure": True,
        "generation": {"database": "none", "deterministic": True, "no-shrink": True, "max-examples": examples or 20},
        "phases": {name: {"enabled": examples is None} for name in ("examples", "coverage", "stateful")},
        "checks": {"negative_data_rejection": {"expected-statuses": [*REFUSED, "413"]}},  # more files than are taken
    }


def _hurried(app: Any) -> Callable[[Any, Any, Any], Awaitable[None]]:
    """The app, as one that does not wait: not for the ends of jobs, nor for further events."""

    async def run(scope: Any, receive: Any, send: Callable[[Message], Awaitable[None]]) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        begun = [False]

        async def tell(message: Message) -> None:
            begun[0] = begun[0] or message["type"] == "http.response.start"
            await send(message)

        query = b"&".join(_short(part) for part in cast(bytes, scope["query_string"]).split(b"&"))
        accepts = dict(cast("list[tuple[bytes, bytes]]", scope["headers"])).get(b"accept", b"")
        if not (scope["path"].endswith("/events") or b"event-stream" in accepts):
            await app({**scope, "query_string": query}, receive, tell)
            return
        task = asyncio.ensure_future(app(scope, receive, tell))
        done, _ = await asyncio.wait({task}, timeout=STREAM_S)
        if done:
            task.result()
            return
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return run


def _short(part: bytes) -> bytes:
    name, _, value = part.partition(b"=")
    try:
        return WAIT if name == b"wait" and 0 < float(value) <= 60 else part
    except ValueError:
        return part


def main() -> None:
    """Run by hand."""
    parser = argparse.ArgumentParser(prog="python -m tests.api.schema", description=__doc__)
    parser.add_argument("--requests", type=int, default=5_000)
    parser.add_argument("--who", default="operator", help="operator, acme, or acme:read: whose key")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    configure_logs(LogSettings(log_level="warning"))
    with served() as scene:
        found = explore(scene, asked.who, asked.seed, asked.requests)
    print(json.dumps(found.told(), indent=2))
    sys.exit(1 if found.failures else 0)


if __name__ == "__main__":
    main()
