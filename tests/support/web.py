"""A web server on loopback that answers as a test says, and remembers what it was asked."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[[Asked], bytes]


def reply(body: bytes = b"", status: str = "200 OK", kind: str = "text/plain; charset=utf-8", **headers: str) -> bytes:
    """The bytes of a reply. Underscores in names of headers stand for hyphens."""
    lines = {"content-type": kind, "content-length": str(len(body)), "connection": "close", **headers}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items() if value)
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


def redirect(to: str, status: str = "302 Found") -> bytes:
    """A redirect."""
    return reply(status=status, location=to)


@dataclass(slots=True)
class Web:
    """The server. Paths that nobody gave an answer for answer 404."""

    port: int = 0
    pages: dict[str, Answer | bytes] = field(default_factory=dict[str, "Answer | bytes"])
    asked: list[Asked] = field(default_factory=list[Asked])
    connections: int = 0
    serving: set["asyncio.Task[None]"] = field(default_factory=set["asyncio.Task[None]"])

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        """An address of it."""
        return f"http://{host}:{self.port}{path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request."""
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self.serving.add(task)
        try:
            await self._answer(reader, writer)
        finally:
            self.serving.discard(task)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, path, _ = head[0].split(" ")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            asked = Asked(method, path, headers, body)
            self.asked.append(asked)
            answer = self.pages.get(path.split("?")[0], reply(b"nothing here", "404 Not Found"))
            writer.write(answer if isinstance(answer, bytes) else answer(asked))
            await writer.drain()


@asynccontextmanager
async def web() -> AsyncGenerator[Web]:
    """A server on a free port of 127.0.0.1."""
    made = Web()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = int(server.sockets[0].getsockname()[1])
    async with server:
        yield made
        for task in made.serving:
            task.cancel()
        await asyncio.gather(*made.serving, return_exceptions=True)
