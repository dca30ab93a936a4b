"""The identifiers of traces and spans: computed from what they are about, so that every process says the same one.

Nothing has to travel for that: whoever knows a job's id knows its trace. They are hex digits, as OpenTelemetry's.
"""

import re
from hashlib import sha256
from typing import Final

from tasks.ids import JobId

TRACE_CHARS: Final = 32
SPAN_CHARS: Final = 16
TRACEPARENT: Final = re.compile(
    r"(?!ff|00.{54})[0-9a-f]{2}-(?P<trace>(?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?"
)
"""W3C Trace Context, section 3.2: version, trace id, parent id, flags. Version ff and ids of zeros are not valid.

Later versions may add parts behind these; version 00 has 55 characters and no more.
"""


def trace_id_of(job: JobId, traceparent: str | None = None) -> str:
    """The trace of a job, 32 hex digits, never all zeros.

    Args:
        traceparent: W3C header of whoever submitted the job: the job is then part of that trace. One that is not
            valid counts as none, as the standard asks.
    """
    given = TRACEPARENT.fullmatch(traceparent.strip()) if traceparent else None
    if given is not None:
        return given["trace"]
    return _digest(f"troupe-trace:{job}", TRACE_CHARS)


def span_id_of(*parts: str) -> str:
    """The span of what these parts name together, 16 hex digits, never all zeros. Their order counts.

    The parts may hold anything but the character U+001F, which stands between them.
    """
    return _digest("troupe-span:" + "\x1f".join(parts), SPAN_CHARS)


def _digest(text: str, chars: int) -> str:
    """The beginning of the text's SHA-256. Zeros alone mean "no id" in OpenTelemetry; the last digit becomes 1."""
    digest = sha256(text.encode()).hexdigest()[:chars]
    return digest if digest.strip("0") else "1".zfill(chars)
