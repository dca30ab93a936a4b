"""Routes, checks and answers the requests of one connection to the fake Messages API."""

import json
import threading
from dataclasses import dataclass, field
from typing import Any, Final, cast
from urllib.parse import urlsplit

from pydantic import ValidationError

from tasks.errors import UnknownModel
from workers.llm.names import ModelName
from workers.llm.pricing import Pricing
from workers.testing.answers import message, request_id
from workers.testing.behaviours import BEHAVIOURS, TYPES, Break, Fault, Hang, Say
from workers.testing.cache import CacheUse, PromptCache
from workers.testing.events import event, events
from workers.testing.limits import RateLimiter
from workers.testing.record import Record
from workers.testing.responder import Responder, ask
from workers.testing.rules import broken_rules
from workers.testing.wire import Wire

Json = dict[str, Any]

SECRETS: Final = frozenset({"x-api-key", "authorization"})
UNFINISHED: Final = "This answer will not be finished, whatever happens."


@dataclass(frozen=True)
class Service:
    """What the connections of one server share."""

    record: Record
    responder: Responder | None
    """None: only what was queued is answered."""
    api_key: str | None
    stopping: threading.Event
    prices: Pricing
    limiter: RateLimiter | None
    """None: nothing is limited."""
    cache: PromptCache
    latency_s: float = 0.0
    pace_s: float = 0.0


@dataclass(frozen=True)
class Exchange:
    """One request that keeps the rules, and what its answer must carry."""

    number: int
    key: str
    body: Json
    prompt: CacheUse
    headers: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def streamed(self) -> bool:
        """Whether it asked for events."""
        return bool(self.body.get("stream"))

    @property
    def family(self) -> str:
        """What limits are counted for."""
        return ModelName.parse(self.body["model"]).family


class Handler(Wire):
    """Answers."""

    def __init__(self, service: Service, *args: Any) -> None:
        """Serve one connection until it closes, as the base class does."""
        self.service = service
        self.record = service.record
        self.stopping = service.stopping
        super().__init__(*args)

    def left(self) -> None:
        """Count it."""
        self.record.abort()
        super().left()

    def do_GET(self) -> None:  # noqa: N802 - the base class's name
        """Let another process look."""
        path = urlsplit(self.path).path
        if path == "/_fake/stats":
            self.send_json(200, self.record.stats)
        elif path == "/_fake/requests":
            self.send_json(200, [{"number": one.number, "body": one.body} for one in list(self.record.requests)])
        else:
            self._fault(Fault(status=404, type="not_found_error", message=f"Not found: {path}"))

    def do_POST(self) -> None:  # noqa: N802 - the base class's name
        """Answer a model call, count tokens, or queue behaviours."""
        path = urlsplit(self.path).path
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        try:
            body = json.loads(raw)
            if path == "/_fake/queue":
                self.record.queue(BEHAVIOURS.validate_python(body))
                self.send_json(200, self.record.stats)
                return
        except (ValueError, ValidationError) as error:
            self._fault(Fault.of(400).model_copy(update={"message": f"invalid JSON: {error}"}))
            return
        if path not in ("/v1/messages", "/v1/messages/count_tokens") or not isinstance(body, dict):
            self._fault(Fault(status=404, type="not_found_error", message=f"Not found: {path}"))
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        if path == "/v1/messages":
            self._messages(cast("Json", body), headers)
        else:
            self._count_tokens(cast("Json", body), headers)

    def _count_tokens(self, body: Json, headers: dict[str, str]) -> None:
        """Free of charge, and no call: only its form is checked."""
        refused = self._refuse(0, {"max_tokens": 1, **body}, headers)
        if refused is not None:
            self._fault(refused)
            return
        bare = {name: value for name, value in body.items() if name != "cache_control"}
        prompt = PromptCache(lambda: 0.0, minimum=1).look_up("", bare)
        self.send_json(200, {"input_tokens": prompt.uncached + prompt.written_5m + prompt.written_1h})

    def _messages(self, body: Json, headers: dict[str, str]) -> None:
        masked = {name: "***" if name in SECRETS else value for name, value in headers.items()}
        number = self.record.arrive(body, masked)
        refused = self._refuse(number, body, headers)
        if refused is not None:
            self.record.next()
            self._fault(refused, number)
            return
        exchange = self._admit(number, body, _key(headers))
        if exchange is None:
            return
        behaviour = self.record.next() or self._respond(number, body)
        delay = behaviour.delay_s or (self.service.latency_s if isinstance(behaviour, Say) else 0.0)
        if delay and self.gone(delay):
            return
        self._play(behaviour, exchange)

    def _refuse(self, number: int, body: Json, headers: dict[str, str]) -> Fault | None:
        key = _key(headers)
        if not key or (self.service.api_key is not None and key != self.service.api_key):
            return Fault(status=401, type="authentication_error", message="invalid x-api-key")
        faults = broken_rules(body, headers)
        try:
            faults = faults or self.record.tampered(body, self.service.prices.facts(body["model"]))
        except UnknownModel:
            return Fault(status=404, type="not_found_error", message=f"model: {body['model']}")
        if faults:
            self.record.blame(number, faults)
            return Fault(status=400, type="invalid_request_error", message="; ".join(faults))
        return None

    def _admit(self, number: int, body: Json, key: str) -> Exchange | None:
        """Past the rate limits; None when they have refused it."""
        exchange = Exchange(number, key, body, self.service.cache.look_up(key, body))
        if self.service.limiter is None:
            return exchange
        prompt = exchange.prompt
        counted = prompt.uncached + prompt.written_5m + prompt.written_1h
        admission = self.service.limiter.admit(key, exchange.family, counted)
        if admission.refused_by is None:
            return Exchange(number, key, body, prompt, admission.headers)
        self.record.limit()
        said = f"This request would exceed your rate limit of {admission.refused_by.replace('-', ' ')} per minute"
        self._fault(Fault(status=429, type=TYPES[429], message=said), number, admission.headers)
        return None

    def _respond(self, number: int, body: Json) -> Say | Fault | Break | Hang:
        responder = self.service.responder
        if responder is None:
            self.record.blame(number, ["the script has no answer left"])
            return Fault(status=400, type="invalid_request_error", message="the script has no answer left")
        try:
            return ask(responder, body)
        except Exception as error:  # noqa: BLE001 - a fault in a test's own function must reach the test, not kill a thread
            self.record.blame(number, [f"the responder raised {error!r}"])
            return Fault(status=500, type="api_error", message=f"the responder raised {error!r}")

    def _play(self, behaviour: Say | Fault | Break | Hang, exchange: Exchange) -> None:
        match behaviour:
            case Say():
                self._say(behaviour, exchange)
            case Fault():
                self._fault(behaviour, exchange.number, exchange.headers)
            case Break():
                self._break(behaviour, exchange)
            case Hang():
                self.gone(None)
                self.close_connection = True

    def _say(self, say: Say, exchange: Exchange) -> None:
        answer = message(say, exchange.number, exchange.body, exchange.prompt)
        self.record.answer(exchange.number, answer)
        if self.service.limiter is not None:
            self.service.limiter.wrote(exchange.key, exchange.family, int(answer["usage"]["output_tokens"]))
        self.service.cache.begin(exchange.prompt)
        if not exchange.streamed:
            self.send_json(200, answer, exchange.number, exchange.headers)
            return
        pace = say.pace_s or self.service.pace_s
        try:
            self.begin_stream(exchange.number, exchange.headers)
            for piece in events(answer):
                self.chunk(piece)
                if pace and self.gone(pace):
                    return
            self.chunk(b"")
        except OSError:  # the client closed the stream
            self.left()

    def _break(self, broken: Break, exchange: Exchange) -> None:
        self.close_connection = True
        if broken.how == "dropped":
            return
        if broken.how in ("empty", "html"):
            page = b"<html><body>Bad gateway</body></html>" if broken.how == "html" else b""
            self.send_head(200, "text/html" if page else "application/json", exchange.number, length=len(page))
            self.wfile.write(page)
            return
        answer = message(Say(content=UNFINISHED), exchange.number, exchange.body, exchange.prompt)
        if exchange.streamed:
            self._break_stream(broken, exchange, answer)
        elif broken.how == "error_event":
            self._fault(Fault.of(broken.status), exchange.number)
        else:
            text = json.dumps(answer).encode()
            spoilt = text[: len(text) // 2]
            length = len(spoilt if broken.how == "malformed" else text)
            self.send_head(200, "application/json", exchange.number, length=length)
            self.wfile.write(spoilt)

    def _break_stream(self, broken: Break, exchange: Exchange, answer: Json) -> None:
        self.begin_stream(exchange.number, exchange.headers)
        pieces = list(events(answer))
        middle = len(pieces) // 2
        for piece in pieces[:middle]:
            self.chunk(piece)
        if broken.how == "half_event":
            self.chunk(pieces[middle][:-20])
        if broken.how == "malformed":
            self.chunk(b'event: content_block_delta\ndata: {"type": "content_block_delta", \n\n')
        if broken.how == "error_event":
            fault = Fault.of(broken.status)
            self.chunk(event("error", {"error": {"type": fault.type, "message": fault.message}}))
        self.chunk(b"")

    def _fault(self, fault: Fault, number: int = 0, headers: dict[str, str] | None = None) -> None:
        error: Json = {"type": fault.type, "message": fault.message}
        if fault.error_code is not None:
            error["details"] = {"error_code": fault.error_code}
        more = dict(headers or {})
        if fault.retry_after is not None:
            more["retry-after"] = fault.retry_after
        self.send_json(fault.status, {"type": "error", "error": error, "request_id": request_id(number)}, number, more)


def _key(headers: dict[str, str]) -> str:
    return headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
