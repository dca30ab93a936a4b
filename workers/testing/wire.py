"""How the fake Messages API writes to a connection."""

import json
import select
import socket
import threading
from http.server import BaseHTTPRequestHandler
from typing import Final

from workers.testing.answers import request_id

POLL_S: Final = 0.02


class Wire(BaseHTTPRequestHandler):
    """One connection: heads, bodies, chunks, and whether anybody still listens."""

    protocol_version = "HTTP/1.1"
    timeout = 60
    # Head and body leave in two writes; with Nagle's algorithm the second would wait 40 ms for an acknowledgement.
    disable_nagle_algorithm = True

    stopping: threading.Event
    """Set when the server ends."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing: tests own the terminal."""

    def left(self) -> None:
        """The client went away before its answer."""
        self.close_connection = True

    def send_json(self, status: int, value: object, number: int = 0, more: dict[str, str] | None = None) -> None:
        """A whole answer."""
        text = json.dumps(value).encode()
        self.send_head(status, "application/json", number, length=len(text), more=more)
        self.wfile.write(text)

    def begin_stream(self, number: int, more: dict[str, str]) -> None:
        """The head of a streamed answer; chunks follow."""
        self.send_head(200, "text/event-stream; charset=utf-8", number, more={**more, "transfer-encoding": "chunked"})

    def send_head(
        self, status: int, kind: str, number: int, *, length: int | None = None, more: dict[str, str] | None = None
    ) -> None:
        """Status and headers.

        Args:
            number: Of the request; 0 when it was none to the Messages API.
        """
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("request-id", request_id(number))
        for name, value in (more or {}).items():
            self.send_header(name, value)
        if length is not None:
            self.send_header("content-length", str(length))
        if self.close_connection:
            self.send_header("connection", "close")
        self.end_headers()

    def chunk(self, data: bytes) -> None:
        """One piece of a streamed answer; an empty one ends it."""
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def gone(self, wait_s: float | None) -> bool:
        """Wait, and say whether the client went away (or the server stops) meanwhile. None: wait for just that."""
        waited = 0.0
        while wait_s is None or waited < wait_s:
            if self.stopping.is_set():
                return True
            if _closed(self.connection):
                self.left()
                return True
            pause = POLL_S if wait_s is None else min(POLL_S, wait_s - waited)
            waited += pause
            self.stopping.wait(pause)
        return False


def _closed(connection: socket.socket) -> bool:
    look = select.poll()  # select() knows no more than 1,024 connections
    try:
        look.register(connection, select.POLLIN)
        return bool(look.poll(0)) and connection.recv(1, socket.MSG_PEEK) == b""
    except (OSError, ValueError):  # ValueError: closed on our side
        return True
