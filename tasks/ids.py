"""Identifiers: what they look like, how they are made, and how they travel in a Celery task id.

A job id carries its partition in the last character, so every process finds the job's Redis slot from the
id alone, whatever number of partitions it was configured with.
"""

import re
import secrets
import time
from typing import NamedTuple, NewType
from zlib import crc32

from tasks.errors import InvalidId

JobId = NewType("JobId", str)
StepId = NewType("StepId", str)
WorkerName = NewType("WorkerName", str)
SessionId = NewType("SessionId", str)

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32 in lower case: no i, l, o, u, so an id survives being read aloud."""

MAX_PARTITIONS = len(ALPHABET)
TIME_CHARS = 9  # 45 bits of milliseconds: enough until the year 3084, and ids sort by creation
RANDOM_CHARS = 9  # 45 random bits within one millisecond
JOB_ID = re.compile(rf"j[{ALPHABET}]{{{TIME_CHARS + RANDOM_CHARS + 1}}}")
STEP_ID = re.compile(r"[a-z][a-z0-9_-]{0,47}")
NAME = re.compile(r"[a-z][a-z0-9_-]{0,47}")
"""Names of agents, queues and capabilities: also Celery task and queue names, so no blanks and no colons."""

SESSION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
SESSION_ID = re.compile(rf"{SESSION_NAME.pattern}\.[{ALPHABET}]")
"""A name and, behind a dot, the partition: jobs of a session live in its slot."""

ATTEMPT = re.compile(r"[1-9][0-9]{0,8}")

PLAN_STEP = StepId("plan")
REPAIR_STEP = StepId("plan-repair")
SYNTHESIS_STEP = StepId("synthesis")
RESERVED_STEPS = frozenset({PLAN_STEP, REPAIR_STEP, SYNTHESIS_STEP})


class AttemptRef(NamedTuple):
    """One attempt at one step of one job; its text form is the Celery task id."""

    job: JobId
    step: StepId
    attempt: int

    @property
    def task_id(self) -> str:
        """`job:step:attempt`, the Celery task id."""
        return f"{self.job}:{self.step}:{self.attempt}"

    @classmethod
    def parse(cls, task_id: str) -> "AttemptRef":
        """Read a Celery task id of ours.

        Raises:
            InvalidId: it is not `job:step:attempt`.
        """
        job, _, rest = task_id.partition(":")
        step, _, attempt = rest.rpartition(":")
        if ATTEMPT.fullmatch(attempt) is None or STEP_ID.fullmatch(step) is None:
            raise InvalidId(f"{task_id!r} is not a task id of Troupe (job:step:attempt)")
        return cls(parse_job_id(job), StepId(step), int(attempt))


def new_job_id(partition: int) -> JobId:
    """A fresh id in the given partition, 0 to 31; ids of later milliseconds sort later."""
    stamp = _base32(time.time_ns() // 1_000_000, TIME_CHARS)
    noise = _base32(secrets.randbits(5 * RANDOM_CHARS), RANDOM_CHARS)
    return JobId(f"j{stamp}{noise}{ALPHABET[partition]}")


def parse_job_id(text: str) -> JobId:
    """Check the form of a job id that came from outside.

    Raises:
        InvalidId: it has not the form of a job id.
    """
    if JOB_ID.fullmatch(text) is None:
        raise InvalidId(f"{text!r} is not a job id; ids look like {'j' + '0' * (TIME_CHARS + RANDOM_CHARS + 1)!r}")
    return JobId(text)


def partition_of(job: JobId) -> int:
    """The partition that the id was made in."""
    return ALPHABET.index(job[-1])


def new_session_id(partition: int) -> SessionId:
    """A fresh session id in the given partition, 0 to 31."""
    stamp = _base32(time.time_ns() // 1_000_000, TIME_CHARS)
    return SessionId(f"s{stamp}{_base32(secrets.randbits(5 * RANDOM_CHARS), RANDOM_CHARS)}.{ALPHABET[partition]}")


def session_id(name: str, partitions: int) -> SessionId:
    """The id of a session that somebody names: `customer-17` is `customer-17.0` in a fleet of one partition.

    A whole id is taken as it is. Names find their session as long as the number of partitions stays; ids always.

    Raises:
        InvalidId: it has not the form of a name or of an id, or names a partition that this fleet does not have.
    """
    if SESSION_NAME.fullmatch(name) is not None:
        return SessionId(f"{name}.{ALPHABET[crc32(name.encode()) % partitions]}")
    found = parse_session_id(name)
    if session_partition(found) >= partitions:
        raise InvalidId(f"session {name!r} is of partition {session_partition(found)}; this fleet has {partitions}")
    return found


def parse_session_id(text: str) -> SessionId:
    """Check the form of a session id that came from outside.

    Raises:
        InvalidId: it has not the form of a session id.
    """
    if SESSION_ID.fullmatch(text) is None:
        raise InvalidId(
            f"{text!r} is no session: letters, digits, - and _, at most 64, then maybe a dot and a partition"
        )
    return SessionId(text)


def session_partition(session: SessionId) -> int:
    """The partition that the session is in."""
    return ALPHABET.index(session[-1])


def _base32(value: int, width: int) -> str:
    digits: list[str] = []
    for _ in range(width):
        value, digit = divmod(value, 32)
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))
