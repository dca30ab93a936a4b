"""Large payloads: compressed, and kept apart from what every look at a job reads.

In the hash stands only a mark with the size; the content is in the job's hash `:big`, under the same field, and is read
by who needs it. Small ones stay where they are and cost nothing more.
"""

import base64
import zlib
from collections.abc import Mapping
from typing import Final

from tasks.errors import IncompatibleVersion, PayloadTooLarge

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
        IncompatibleVersion: it is missing, damaged, or not of the size that it should be.
    """
    if not is_apart(held):
        return held
    try:
        size = int(held.removeprefix(MARK))
        if apart is None or size > MAX_BYTES:
            raise ValueError("missing, or too large")
        taking = zlib.decompressobj()
        data = taking.decompress(base64.b64decode(apart, validate=True), size + 1)
        if len(data) != size or not taking.eof:
            raise ValueError("not of the size that it should be")
        return data.decode()
    except (ValueError, zlib.error) as error:
        raise IncompatibleVersion(f"a payload that is kept apart ({held[:20]}) cannot be read: {error}") from error


def whole(fields: Mapping[str, str], apart: Mapping[str, str]) -> dict[str, str]:
    """A hash with all that is kept apart put back."""
    return {name: unpack(held, apart.get(name)) if is_apart(held) else held for name, held in fields.items()}
