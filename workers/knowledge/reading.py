"""Documents to text. Formats that need a parser are read in a child process, whose time and memory are bounded."""

import json
import os
import selectors
import subprocess
import time
from pathlib import PurePath
from types import TracebackType
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from workers import confined
from workers.knowledge.readers import SUFFIXES, Block, Extract, Unusable, extract
from workers.knowledge.settings import KnowledgeSettings

APART: Final = frozenset({"pdf", "word", "html"})
"""Kinds whose content decides how much time and memory reading takes. The others are lines, as large as they are."""
START_S: Final = 10.0
"""How long a child may take to start, on a busy machine."""
MAX_REPLY_BYTES: Final = 64_000_000

_BlockRow = tuple[tuple[str, ...], tuple[int, ...] | None, tuple[str, ...], int, bool]


class _Reply(BaseModel):
    model_config = ConfigDict(extra="forbid")

    fault: str | None = None
    kind: str = ""
    title: str = ""
    paged: bool = False
    faults: tuple[str, ...] = ()
    blocks: Annotated[list[_BlockRow], Field(default_factory=list)]


class Reader:
    """Reads documents one after the other. Starts a child with the first that needs one; not for several threads."""

    def __init__(self, settings: KnowledgeSettings) -> None:
        self._settings = settings
        self._child: subprocess.Popen[bytes] | None = None

    def read(self, path: PurePath, data: bytes) -> Extract:
        """The text of one document.

        Raises:
            Unusable: it cannot be read, or not within the limits; the message says why.
        """
        if SUFFIXES.get(path.suffix.lower()) not in APART:
            return extract(path, data)
        try:
            if self._child is None or self._child.poll() is not None:
                self._start()
            assert self._child is not None  # noqa: S101 (for the type checker: just started)
            return self._ask(self._child, path, data)
        except Unusable:
            raise
        except BaseException:  # interrupted: what the child says to this one must not be taken for the next one's
            self.close()
            raise

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            confined.end(self._child)
        self._child = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> None:
        self.close()
        limits = {"memory_mb": self._settings.document_memory_mb}
        self._child = confined.start("workers.knowledge.reading_child", limits)
        self._line(self._child, START_S)

    def _ask(self, child: subprocess.Popen[bytes], path: PurePath, data: bytes) -> Extract:
        assert child.stdin is not None  # noqa: S101 (for the type checker: made with a pipe)
        try:
            child.stdin.write(json.dumps({"name": path.name, "bytes": len(data)}).encode() + b"\n" + data)
            child.stdin.flush()
            line = self._line(child, self._settings.document_read_s)
        except BrokenPipeError:
            line = b""
        if not line:
            self.close()
            raise Unusable("it needs too much memory to be read (TROUPE_DOCUMENT_MEMORY_MB)")
        try:
            reply = _Reply.model_validate_json(line)
        except ValidationError as exc:
            self.close()
            raise Unusable("what was read of it makes no sense") from exc
        if reply.fault is not None:
            raise Unusable(reply.fault)
        return Extract(reply.kind, reply.title, [Block(*row) for row in reply.blocks], reply.paged, (), reply.faults)

    def _line(self, child: subprocess.Popen[bytes], seconds: float) -> bytes:
        """The next line of the answer; empty when the child has ended."""
        assert child.stdout is not None  # noqa: S101 (for the type checker: made with a pipe)
        descriptor, parts, size = child.stdout.fileno(), list[bytes](), 0
        until = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while not (parts and parts[-1].endswith(b"\n")):
                if size > MAX_REPLY_BYTES:
                    self.close()
                    raise Unusable(f"it holds more than {MAX_REPLY_BYTES:,} bytes of text")
                if not selector.select(max(0.0, until - time.monotonic())):
                    self.close()
                    raise Unusable(f"reading it takes more than {seconds:g} s (TROUPE_DOCUMENT_READ_S)")
                part = os.read(descriptor, 1 << 16)
                if not part:
                    return b""
                parts.append(part)
                size += len(part)
        return b"".join(parts)
