"""Large payloads: compressed, and kept apart from what every look at a job reads.

In the hash stands only a mark with the size; the content is in the job's hash `:big`, under the same field, and is read
by who needs it. Small ones stay where they are and cost nothing more.
"""

import base64
import zlib
from collections.abc import Mapping
from typing import Final

from tasks.errors import DamagedRecord, IncompatibleVersion, PayloadTooLarge

PACK_ABOVE: Final = 64 * 1024
"""Bytes of JSON that stay in the hash."""
MAX_BYTES: Final = 4 * 1024 * 1024
"""Bytes of JSON that are accepted at all."""
MARK: Final = "@"
"""No JSON object begins like this."""


def pack(name: str, text: str) -> tuple[str, str]:
    """What goes into the hash, and what is kept apart; the second is empty for small payloads.

    Raises:
        PayloadTooLarge: more than MAX_BYTES.
    """
    if len(text) * 4 <= PACK_ABOVE:
        return text, ""
    data = text.encode()
    if len(data) > MAX_BYTES:
        raise PayloadTooLarge(f"{name} has {len(data):,} bytes as JSON; at most {MAX_BYTES:,} are allowed")
    if len(data) <= PACK_ABOVE:
        return text, ""
    return f"{MARK}{len(data)}", base64.b64encode(zlib.compress(data)).decode()


def is_apart(held: str) -> bool:
    """Whether the content of this field is kept apart."""
    return held.startswith(MARK)


def unpack(held: str, apart: str | None) -> str:
    """The payload, from what stands in the hash and what is kept apart.

    Raises:
        DamagedRecord: it is missing, damaged, or not of the size that it should be.
        IncompatibleVersion: it is larger than this release accepts, or packed in another way.
    """
    if not is_apart(held):
        return held
    told = held.removeprefix(MARK)
    if not (told.isascii() and told.isdecimal() and len(told) < 12 and int(told) <= MAX_BYTES):
        raise IncompatibleVersion(
            f"a payload that is kept apart ({held[:20]}) is of a form that this release cannot read"
        )
    size = int(told)
    try:
        if apart is None:
            raise ValueError("it is missing")
        taking = zlib.decompressobj()
        data = taking.decompress(base64.b64decode(apart, validate=True), size + 1)
        if len(data) != size or not taking.eof:
            raise ValueError("not of the size that it should be")
        return data.decode()
    except (ValueError, zlib.error) as error:
        raise DamagedRecord(f"a payload that is kept apart ({held[:20]}) cannot be read: {error}") from error


def whole(fields: Mapping[str, str], apart: Mapping[str, str]) -> dict[str, str]:
    """A hash with all that is kept apart put back."""
    return {name: unpack(held, apart.get(name)) if is_apart(held) else held for name, held in fields.items()}
