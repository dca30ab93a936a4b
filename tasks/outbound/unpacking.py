"""Bodies of replies, unpacked as they come and never beyond their limit: a small gzip can hold a very large text."""

import zlib
from collections.abc import AsyncIterable
from typing import Final, Protocol

from tasks.refusals import ReplyRefused

_GZIP: Final = frozenset({"gzip", "x-gzip", "deflate"})
_ANY_HEADER: Final = 32 + zlib.MAX_WBITS
"""Has zlib find out whether the data is gzip or zlib."""


async def read_bounded(stream: AsyncIterable[bytes], encoding: str, most: int) -> bytes:
    """The body of a reply, unpacked.

    Args:
        encoding: Its Content-Encoding.
        most: Bytes that it may have, packed and unpacked.

    Raises:
        ReplyRefused: more, packed in another way, or damaged.
    """
    named = encoding.strip().lower()
    if named not in _GZIP | {"", "identity"}:
        raise ReplyRefused("bad_reply", f"its content encoding {named[:40]!r} was not asked for")
    unpack = zlib.decompressobj(_ANY_HEADER) if named in _GZIP else None
    parts: list[bytes] = []
    packed, size = 0, 0
    async for chunk in stream:
        packed += len(chunk)
        part = chunk if unpack is None else _unpacked(unpack, chunk, most - size + 1)
        size += len(part)
        if max(packed, size) > most:
            raise ReplyRefused("too_large", f"the reply has more than {most:,} bytes (TROUPE_OUTBOUND_MAX_BYTES)")
        parts.append(part)
    if unpack is not None and packed and not unpack.eof:
        raise ReplyRefused("bad_reply", "the packed reply is cut")
    return b"".join(parts)


class _Unpacking(Protocol):
    @property
    def eof(self) -> bool: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def _unpacked(unpack: _Unpacking, chunk: bytes, room: int) -> bytes:
    if unpack.eof:  # what follows the packed data is no part of it
        return b""
    try:
        return unpack.decompress(chunk, room)
    except zlib.error as exc:
        raise ReplyRefused("bad_reply", "the packed reply is damaged") from exc
