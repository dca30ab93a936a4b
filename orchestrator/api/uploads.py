"""Files that requests bring: written to disk as they come, and gone when the request is done."""

import asyncio
import secrets
import shutil
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Any, Final

from fastapi import Request
from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from tasks.errors import ContractError, PayloadTooLarge, StoreUnavailable

FOLDER: Final = "incoming"
MOST_FILES: Final = 100
MOST_NAME_BYTES: Final = 1_000
"""Of a claimed name; what becomes of it is shorter."""
CHUNK: Final = 1 << 20
"""Bytes that are collected before they are written."""
LEFT_S: Final = 86_400.0
"""After so long what a killed process has left here is taken away."""
FORM: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {
                        "files": {
                            "type": "array",
                            "minItems": 1,
                            "maxItems": MOST_FILES,
                            "items": {"type": "string", "format": "binary"},
                        }
                    },
                }
            }
        },
    }
}
"""In the OpenAPI document."""

Sent = tuple[str, Path]
"""What a file is called by who sends it, and where it is."""


def size_of(files: Iterable[Sent]) -> int:
    """Bytes of all together."""
    return sum(path.stat().st_size for _, path in files)


@asynccontextmanager
async def sent_files(request: Request, home: Path) -> AsyncGenerator[list[Sent]]:
    """The files of a multipart request, in their order, until the block ends. Whoever sends is known by now.

    Raises:
        ContractError: it is no such request, or has none or too many.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data":
        raise HTTPException(415, "send files as multipart/form-data")
    async with _folder(home) as folder:
        form = _Form(folder)
        try:
            parser = MultipartParser(options.get(b"boundary", b""), form.callbacks())
            async for chunk in _chunks(request):
                await asyncio.to_thread(parser.write, chunk)
            parser.finalize()
        except (FormParserError, ValueError) as error:
            raise ContractError(f"the form cannot be read: {error}") from error
        finally:
            form.close()
        if form.open or not form.ended:
            raise ContractError("the form is cut: its last boundary is missing")
        if not form.files:
            raise ContractError("the form holds no file")
        yield form.files


@asynccontextmanager
async def sent_body(request: Request, home: Path) -> AsyncGenerator[Path]:
    """The whole body of a request, in a file, until the block ends."""
    async with _folder(home) as folder:
        path = folder / "body"
        with path.open("xb") as file:
            async for chunk in _chunks(request):
                await asyncio.to_thread(file.write, chunk)
        yield path


class _Form:
    """What a parser finds, part by part. Called in threads, one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: list[Sent] = []
        self.ended = False
        self.open: IO[bytes] | None = None
        self._field = b""
        self._value = b""
        self._disposition = b""

    def callbacks(self) -> Any:
        """For the parser."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._add_field,
            "on_header_value": self._add_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._start,
            "on_part_data": self._write,
            "on_part_end": self.close,
            "on_end": self._end,
        }

    def close(self) -> None:
        """The file of this part is whole, or nobody wants it."""
        if self.open is not None:
            self.open.close()
            self.open = None

    def _begin(self) -> None:
        self._disposition = b""

    def _add_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._field.lower() == b"content-disposition":
            self._disposition = self._value
        self._field = self._value = b""

    def _start(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"filename")
        if name is None:
            raise ContractError("the form may hold files only; one of its parts has no file name")
        if len(name) > MOST_NAME_BYTES:
            raise ContractError(f"a file's name has more than {MOST_NAME_BYTES} bytes")
        if len(self.files) == MOST_FILES:
            raise PayloadTooLarge(f"more than {MOST_FILES} files are not taken at once")
        path = self.folder / f"{len(self.files)}"  # its own name says nothing about where it stands
        self.open = path.open("xb")
        self.files.append((name.decode("utf-8", "replace"), path))

    def _write(self, data: bytes, start: int, end: int) -> None:
        if self.open is not None:
            self.open.write(memoryview(data)[start:end])

    def _end(self) -> None:
        self.ended = True


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    """The body in large pieces: each is handled in a thread."""
    held = bytearray()
    try:
        async for part in request.stream():
            held += part
            if len(held) >= CHUNK:
                yield bytes(held)
                held.clear()
    except ClientDisconnect as error:
        raise ContractError("the sender left before all was sent") from error
    if held:
        yield bytes(held)


@asynccontextmanager
async def _folder(home: Path) -> AsyncGenerator[Path]:
    folder = home / FOLDER / secrets.token_hex(16)
    try:
        await asyncio.to_thread(_make, folder)
    except OSError as error:
        raise StoreUnavailable(f"files cannot be taken now: {error.strerror}") from error
    try:
        yield folder
    except OSError as error:  # the disk is full, say
        raise StoreUnavailable(f"files cannot be taken now: {error.strerror}") from error
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _make(folder: Path) -> None:
    folder.mkdir(parents=True, mode=0o700)
    old = time.time() - LEFT_S
    for other in folder.parent.iterdir():
        if other != folder and other.stat(follow_symlinks=False).st_mtime < old:
            shutil.rmtree(other, ignore_errors=True)
