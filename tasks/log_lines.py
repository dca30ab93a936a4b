"""What is done with each log line before it is written: whose it is, in one order, without secrets."""

import logging
import re
from collections.abc import Mapping, MutableMapping
from functools import lru_cache
from typing import Any, Final, cast

from tasks.ids import ATTEMPT, JOB_ID, NAME, STEP_ID, AttemptRef, JobId
from tasks.library_log import EVENT, FIELDS
from tasks.trace_ids import trace_id_of

Line = MutableMapping[str, Any]

TASK: Final = re.compile(
    rf"(?<![\w:-])(?:(?P<agent>{NAME.pattern})\[)?(?P<id>{JOB_ID.pattern}:{STEP_ID.pattern}:{ATTEMPT.pattern})(?![\w:-])"
)
"""A Celery task id of ours, and the task's name where it stands before it: `search[j…:find:1]`."""
FIRST: Final = ("timestamp", "level", "logger", "event", "job", "step", "attempt", "agent", "trace_id")
"""Order of the fields that all lines share; the others follow as they were given."""
REMEMBERED: Final = 10_000
"""Jobs whose traces are known to be another's."""

_known: dict[str, str] = {}


def unpack(_logger: Any, _method: str, line: Line) -> Line:
    """Take a library's line of ours apart again: see `LibraryLog`."""
    record = line.get("_record")
    fields: object = getattr(record, FIELDS, None)
    if isinstance(record, logging.LogRecord) and isinstance(fields, Mapping):
        line["event"] = getattr(record, EVENT)
        line.update(cast("Mapping[str, Any]", fields))
    return line


def bind_task(_logger: Any, _method: str, line: Line) -> Line:
    """Say of a library's line, as of Celery's, which attempt it is about: the task id stands in its text."""
    found = TASK.search(str(line["event"])) if "job" not in line else None
    if found is not None:
        line.update(AttemptRef.parse(found["id"])._asdict())
        if found["agent"] is not None:
            line["agent"] = found["agent"]
    return line


def bind_trace(_logger: Any, _method: str, line: Line) -> Line:
    """Say of which trace a job's line is, unless that was said."""
    job = line.get("job")
    if isinstance(job, str) and "trace_id" not in line:
        line["trace_id"] = _known.get(job) or _trace_id(job)
    return line


def remember_trace(job: JobId, traceparent: str | None) -> None:
    """Know that a job is part of its producer's trace: further lines about it in this process say that one."""
    if traceparent is not None:
        _known[job] = trace_id_of(job, traceparent)
        while len(_known) > REMEMBERED:
            del _known[next(iter(_known))]


def in_order(_logger: Any, _method: str, line: Line) -> Line:
    """What all lines share first: bound fields come in no order."""
    return {**{name: line[name] for name in FIRST if name in line}, **line}


@lru_cache(maxsize=1024)
def _trace_id(job: str) -> str:
    return trace_id_of(JobId(job))
