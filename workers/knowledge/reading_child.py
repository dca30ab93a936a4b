"""The child process that documents of foreign formats are parsed in: one request after the other, as JSON and bytes."""

import json
import os
import sys
from pathlib import PurePath
from typing import BinaryIO, Final, cast

from workers.confined import confine
from workers.knowledge.readers import Extract, Unusable, extract

HEADROOM_MB: Final = 384
"""Address space beyond what documents may take: the interpreter and its libraries."""


def main() -> None:
    """Serve requests from stdin until it closes."""
    settings = cast("dict[str, int]", json.loads(sys.argv[-1]))
    confine(settings["memory_mb"] + HEADROOM_MB)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # Whatever a library prints must not stand among the answers.
    serve(sys.stdin.buffer, answers)


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """A request is a line of JSON, `name` and `bytes`, and then so many bytes; an answer is a line of JSON.

    The first line says that it has started: from then on time counts.
    """
    answers.write(b"{}\n")
    answers.flush()
    while line := requests.readline():
        asked = json.loads(line)
        reply = _read(str(asked["name"]), requests.read(int(asked["bytes"])))
        answers.write(json.dumps(reply).encode() + b"\n")
        answers.flush()


def _read(name: str, data: bytes) -> dict[str, object]:
    try:
        return as_json(extract(PurePath(name), data))
    except Unusable as fault:
        return {"fault": str(fault)}


def as_json(found: Extract) -> dict[str, object]:
    """What was read, as it goes over a pipe."""
    blocks = [(one.lines, one.numbers, one.headings, one.section, one.code) for one in found.blocks]
    return {
        "kind": found.kind,
        "title": found.title,
        "paged": found.paged,
        "faults": list(found.faults),
        "blocks": blocks,
    }
