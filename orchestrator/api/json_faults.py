"""What Python's reader of JSON takes, and no JSON has: nobody could store it, or send it back, as it was."""

import asyncio
import json
import math
import re
from typing import Final

DOUBTFUL: Final = re.compile(rb"\\u[dD][89a-fA-F]|NaN|Infinity|[eE]\+?[0-9]{3}|[0-9]{300}")
"""Halves of surrogate pairs, of which most are followed by their other half, and numbers that may be none."""
AT_ONCE_BYTES: Final = 32_000
"""Longer ones are read in a thread."""


class NotFinite(ValueError):
    """A number that is none."""


async def fault_of(body: bytes) -> str | None:
    """What is wrong; None too where it is no JSON at all: whoever parses it says so."""
    if not body.isascii():
        try:
            body.decode()
        except UnicodeDecodeError:
            return "the JSON is not written in UTF-8"
    if DOUBTFUL.search(body) is None:
        return None
    return _found(body) if len(body) <= AT_ONCE_BYTES else await asyncio.to_thread(_found, body)


def _found(body: bytes) -> str | None:
    try:
        json.dumps(json.loads(body, parse_constant=_finite, parse_float=_finite), ensure_ascii=False).encode()
    except NotFinite as error:
        return f"{error} is no number that JSON has, or one that is too large"
    except UnicodeEncodeError:
        return "half of a surrogate pair is no text"
    except ValueError:  # no JSON, or a longer number than Python reads
        return None
    return None


def _finite(text: str) -> float:
    if not math.isfinite(found := float(text)):
        raise NotFinite(text[:20])
    return found
