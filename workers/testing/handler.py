"""One connection to the fake Messages API."""

import json
import select
import socket
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any, Final, cast
from urllib.parse import urlsplit

from pydantic import ValidationError

from tasks.errors import UnknownModel
from workers.llm.pricing import Pricing
from workers.llm.tokens import estimate_tokens
from workers.testing.behaviours import BEHAVIOURS, Break, Fault, Hang, Say
from workers.testing.events import event, events
from workers.testing.record import Record
from workers.testing.responder import Responder, ask
from workers.testing.rules import broken_rules

Json = dict[str, Any]

REQUESTS_LIMIT: Final = 4000
"""Calls a minute that the rate-limit headers speak of; nothing is limited."""
POLL_S: Final = 0.02
SECRETS: Final = frozenset({"x-api-key", "authorization"})


@dataclass(frozen=True)
class Service:
    """What the connections of one server share."""

    record: Record
    responder: Responder | None
    """None: only what was queued is answered."""
    api_key: str | None
    stopping: threading.Event
    prices: Pricing = field(default_factory=Pricing.read)


class Handler(BaseHTTPRequestHandler):
    """Routes, checks and answers requests."""

    protocol_version = "HTTP/1.1"
    timeout = 60
    # Head and body leave in two writes; with Nagle's algorithm the second would wait 40 ms for an acknowledgement.
    disable_nagle_algorithm = True

    def __init__(self, service: Service, *args: Any) -> None:
        """Serve one connection until it closes, as the base class does."""
        self.service = service
        self.record = service.record
        super().__init__(*args)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing: tests own the terminal."""

    def do_GET(self) -> None:
        """Let another process look."""
        path = urlsplit(self.path).path
        if path == "/_fake/stats":
            self._json(200, self.record.stats)
        elif path == "/_fake/requests":
            self._json(200, [{"number": one.number, "body": one.body} for one in list(self.record.requests)])
        else:
            self._fault(Fault(status=404, type="not_found_error", message=f"Not found: {path}"), 0)

    def do_POST(self) -> None:
        """Answer a model call, or queue behaviours."""
        path = urlsplit(self.path).path
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        try:
            body = json.loads(raw)
            if path == "/_fake/queue":
                self.record.queue(BEHAVIOURS.validate_python(body))
                self._json(200, self.record.stats)
                return
        except (ValueError, ValidationError) as error:
            self._fault(Fault(status=400, type="invalid_request_error", message=f"invalid JSON: {error}"), 0)
            return
        if path != "/v1/messages" or not isinstance(body, dict):
            self._fault(Fault(status=404, type="not_found_error", message=f"Not found: {path}"), 0)
            return
        self._messages(cast("Json", body))

    def _messages(self, body: Json) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        masked = {name: "***" if name in SECRETS else value for name, value in headers.items()}
        number, behaviour = self.record.arrive(body, masked)
        refused = self._refuse(number, body, headers)
        if refused is not None:
            self._fault(refused, number)
            return
        if behaviour is None:
            behaviour = self._respond(number, body)
        if behaviour.delay_s and self._gone(behaviour.delay_s):
            return
        self._play(behaviour, number, body)

    def _refuse(self, number: int, body: Json, headers: dict[str, str]) -> Fault | None:
        key = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
        if not key or (self.service.api_key is not None and key != self.service.api_key):
            return Fault(status=401, type="authentication_error", message="invalid x-api-key")
        faults = broken_rules(body, headers) or self.record.tampered(body)
        if faults:
            self.record.blame(number, faults)
            return Fault(status=400, type="invalid_request_error", message="; ".join(faults))
        try:
            self.service.prices.facts(body["model"])
        except UnknownModel:
            return Fault(status=404, type="not_found_error", message=f"model: {body['model']}")
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

    def _play(self, behaviour: Say | Fault | Break | Hang, number: int, body: Json) -> None:
        match behaviour:
            case Say():
                message = _message(behaviour, number, body)
                self.record.answer(message)
                self._send(message, number, streamed=bool(body.get("stream")))
            case Fault():
                self._fault(behaviour, number)
            case Break():
                self._break(behaviour, number, body)
            case Hang():
                self._gone(None)
                self.close_connection = True

    def _send(self, message: Json, number: int, *, streamed: bool) -> None:
        if not streamed:
            self._json(200, message, number)
            return
        self._begin_stream(number)
        try:
            for piece in events(message):
                self._chunk(piece)
            self._chunk(b"")
        except OSError:  # the client closed the stream
            self.record.abort()
            self.close_connection = True

    def _break(self, behaviour: Break, number: int, body: Json) -> None:
        self.close_connection = True
        if behaviour.how == "dropped":
            return
        message = _message(Say(content="This answer will not be finished, whatever happens."), number, body)
        overloaded = {"type": "overloaded_error", "message": "Overloaded"}
        if not body.get("stream"):
            if behaviour.how == "error_event":
                self._fault(Fault(), number)
                return
            text = json.dumps(message).encode()
            spoilt = text[: len(text) // 2]
            self._head(200, "application/json", number, length=len(text if behaviour.how == "truncated" else spoilt))
            self.wfile.write(spoilt)
            return
        self._begin_stream(number)
        pieces = list(events(message))
        for piece in pieces[: len(pieces) // 2]:
            self._chunk(piece)
        if behaviour.how == "malformed":
            self._chunk(b'event: content_block_delta\ndata: {"type": "content_block_delta", \n\n')
        if behaviour.how == "error_event":
            self._chunk(event("error", {"error": overloaded}))
        self._chunk(b"")

    def _fault(self, fault: Fault, number: int) -> None:
        error: Json = {"type": fault.type, "message": fault.message}
        if fault.error_code is not None:
            error["details"] = {"error_code": fault.error_code}
        more = {} if fault.retry_after is None else {"retry-after": fault.retry_after}
        self._json(fault.status, {"type": "error", "error": error, "request_id": _request_id(number)}, number, more)

    def _json(self, status: int, value: object, number: int = 0, more: dict[str, str] | None = None) -> None:
        text = json.dumps(value).encode()
        self._head(status, "application/json", number, length=len(text), more=more)
        self.wfile.write(text)

    def _begin_stream(self, number: int) -> None:
        self._head(200, "text/event-stream; charset=utf-8", number, more={"transfer-encoding": "chunked"})

    def _head(
        self, status: int, kind: str, number: int, *, length: int | None = None, more: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("request-id", _request_id(number))
        self.send_header("anthropic-ratelimit-requests-limit", str(REQUESTS_LIMIT))
        self.send_header("anthropic-ratelimit-requests-remaining", str(max(0, REQUESTS_LIMIT - number)))
        reset = datetime.now(UTC) + timedelta(minutes=1)
        self.send_header("anthropic-ratelimit-requests-reset", reset.isoformat(timespec="seconds"))
        for name, value in (more or {}).items():
            self.send_header(name, value)
        if length is not None:
            self.send_header("content-length", str(length))
        if self.close_connection:
            self.send_header("connection", "close")
        self.end_headers()

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def _gone(self, wait_s: float | None) -> bool:
        """Wait, and say whether the client went away (or the server stops) meanwhile. None: wait for just that."""
        waited = 0.0
        while wait_s is None or waited < wait_s:
            if self.service.stopping.is_set():
                return True
            if _closed(self.connection):
                self.record.abort()
                self.close_connection = True
                return True
            waited += POLL_S
            self.service.stopping.wait(POLL_S)
        return False


def _message(say: Say, number: int, body: Json) -> Json:
    content: list[Any] = [{"type": "text", "text": say.content}] if isinstance(say.content, str) else say.content
    calls = any(block.get("type") == "tool_use" for block in content)
    prompt = [body.get("system", ""), body.get("tools", []), body["messages"]]
    usage: Json = {
        "input_tokens": estimate_tokens(prompt),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": estimate_tokens(content),
        "service_tier": "standard",
    }
    return {
        "id": f"msg_fake_{number:06d}",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": content,
        "stop_reason": say.stop_reason or ("tool_use" if calls else "end_turn"),
        "stop_sequence": None,
        "stop_details": say.stop_details,
        "usage": {**usage, **(say.usage or {})},
    }


def _request_id(number: int) -> str:
    return f"req_fake_{number:06d}"


def _closed(connection: socket.socket) -> bool:
    readable, _, _ = select.select([connection], [], [], 0)
    try:
        return bool(readable) and connection.recv(1, socket.MSG_PEEK) == b""
    except OSError:
        return True
