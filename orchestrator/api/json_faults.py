"""What is wrong with JSON that Python's reader takes: it is nested too deep, or nobody could store it, or send it back,
as it was."""

import asyncio
import json
import math
import re
from typing import Final

DOUBTFUL: Final = re.compile(rb"\\u[dD][89a-fA-F]|NaN|Infinity|[eE]\+?[0-9]{2}|(?<![0-9])[0-9]{300}")
"""Halves of surrogate pairs, of which most are followed by their other half, and numbers that may be too large: fewer
digits with a shorter exponent are not. Each run of digits is looked at once."""
ESCAPED: Final = re.compile(rb"\\.", re.DOTALL)
STRING: Final = re.compile(rb'"[^"]*"?')
LEFT_OUT: Final = bytes(set(range(256)) - set(b'"[]{}'))
STEPS: Final = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
AT_ONCE_BYTES: Final = 32_000
"""Longer ones are looked at in a thread: what parses them lets others have their turn."""


class NotFinite(ValueError):
    """A number that is none."""


async def fault_of(body: bytes, max_depth: int) -> str | None:
    """What is wrong; None too where it is no JSON at all: whoever parses it says so."""
    return _fault(body, max_depth) if len(body) <= AT_ONCE_BYTES else await asyncio.to_thread(_fault, body, max_depth)


def depth(body: bytes, most: int) -> int:
    """How deep a JSON text is nested, brackets in strings not counted; past `most` it is not looked at further."""
    brackets = STRING.sub(b"", ESCAPED.sub(b"", body).translate(None, LEFT_OUT))
    found = now = 0
    for one in brackets:
        now += STEPS[one]
        if now > found:
            found = now
            if found > most:
                break
    return found


def _fault(body: bytes, max_depth: int) -> str | None:
    if body.count(b"[") + body.count(b"{") > max_depth and depth(body, max_depth) > max_depth:
        return f"the JSON is nested deeper than {max_depth} levels"
    if not body.isascii():
        try:
            body.decode()
        except UnicodeDecodeError:
            return "the JSON is not written in UTF-8"
    return None if DOUBTFUL.search(body) is None else _strictly(body)


def _strictly(body: bytes) -> str | None:
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
