"""The board of a job: what its steps say to each other. Every post and read carries the attempt's number and a key, so
that doing it twice does it once."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, cast

from pydantic import JsonValue

from tasks.board import (
    EXCERPT_CHARS,
    MAX_CALLS,
    MAX_KEPT,
    MAX_KEPT_BYTES,
    MAX_MESSAGE_BYTES,
    AgentMessage,
    Board,
    Mail,
    text_of,
)
from tasks.errors import ContractError, PayloadTooLarge
from tasks.ids import NAME, AttemptRef, JobId, partition_of
from tasks.redaction import excerpt
from tasks.states import Move, sources
from tasks.store.attempts import Refusal, refusal
from tasks.store.failures import translated
from tasks.store.reading import readable
from tasks.store.scripts import POST, READ_BOARD
from tasks.store.store import Store

TOO_MANY: Final = "too_many"
MAX_MAIL: Final = 100
"""Messages of one read."""
MAX_MAIL_BYTES: Final = 256 * 1024

Rows = list[tuple[str, dict[str, str]]]


class BoardStore:
    """What is said among the steps of jobs."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def post(
        self, ref: AttemptRef, key: str, content: JsonValue, *, agent: str, to: str | None = None
    ) -> int | Refusal:
        """Say something to another agent or step of the job, or to all; parked ones that wait for it go on.

        Args:
            key: Without blanks; what its step has posted under the same one is not posted again.
            agent: Who says it.

        Returns:
            Its number, also when it was posted before; the refusal when the attempt is over.

        Raises:
            PayloadTooLarge: more than MAX_MESSAGE_BYTES.
            ContractError: `to` is no name, or the step has said and read too much.
            StoreUnavailable: no answer in time; post it again under its key.
        """
        if to is not None and NAME.fullmatch(to) is None:
            raise ContractError(f"{to!r} names neither an agent nor a step")
        text = _stored(content)
        shown = {"text": excerpt(text_of(content), EXCERPT_CHARS)}
        event = _sendable({**shown, "to": to} if to else shown).decode()
        args = [sources(Move.FALTER), ref.job, ref.step, ref.attempt, key, agent, to or "", text, event[1:]]
        args += [MAX_KEPT, MAX_KEPT_BYTES, MAX_CALLS]
        reply = cast("list[str]", await self.store.move(POST, partition_of(ref.job), args))
        return _refused(ref, reply[0]) or int(reply[1])

    async def read(
        self,
        ref: AttemptRef,
        key: str,
        since: int,
        *,
        agent: str,
        noted: bool = True,
        most: int = MAX_MAIL,
        most_bytes: int = MAX_MAIL_BYTES,
    ) -> Mail | Refusal:
        """What others have said to a step since a number: what is for all, for its agent, and for itself.

        Under one key it reads as far as the first time, whatever has been said since.

        Args:
            noted: Whether that holds also when nothing was there.
            most_bytes: Of them together; one message is always given.

        Returns:
            The messages, oldest first; the refusal when the attempt is over.

        Raises:
            ContractError: the step has said and read too much.
            DamagedRecord: a message cannot be read.
            StoreUnavailable: no answer in time.
        """
        args = [sources(Move.FALTER), ref.job, ref.step, ref.attempt, key, agent, max(since, 0), "1" if noted else ""]
        args += [most, most_bytes, MAX_CALLS]
        reply = cast("list[str]", await self.store.move(READ_BOARD, partition_of(ref.job), args))
        refused = _refused(ref, reply[0])
        if refused is not None:
            return refused
        with readable(f"a message of job {ref.job}"):
            found = tuple(_message(reply[at : at + 7]) for at in range(3, len(reply), 7))
            return Mail(messages=found, cursor=int(reply[1]), missed=int(reply[2]))

    async def board(self, job: JobId, since: int = 0) -> Board:
        """All messages of a job after a number that are kept. Empty for a job that is not there.

        Raises:
            DamagedRecord: one cannot be read.
            StoreUnavailable: no answer in time.
        """
        key = self.store.keys.board(job)
        async with translated(self.store.settings):
            pipeline = cast(Any, self.store.redis.pipeline())
            pipeline.xrange(key, min=f"{max(since, 0) + 1}-0")
            pipeline.xrange(key, count=1)
            pipeline.hget(f"{self.store.keys.job(job)}:posts", "#")
            rows, first, newest = cast("tuple[Rows, Rows, str | None]", await pipeline.execute())
        with readable(f"a message of job {job}"):
            return Board(
                job_id=job,
                messages=tuple(_entry(*row) for row in rows),
                newest=int(newest or 0),
                dropped=_number(first[0][0]) - 1 if first else 0,
            )


def _stored(content: JsonValue) -> str:
    text = _sendable(content)
    if len(text) > MAX_MESSAGE_BYTES:
        raise PayloadTooLarge(f"the message has {len(text):,} bytes as JSON; at most {MAX_MESSAGE_BYTES:,} are allowed")
    return text.decode()


def _sendable(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")  # no lone surrogates


def _refused(ref: AttemptRef, status: str) -> Refusal | None:
    if status == TOO_MANY:
        raise ContractError(f"step {ref.step!r} has posted and read {MAX_CALLS:,} times; it may no more")
    return refusal(status) if status else None


def _entry(entry: str, fields: dict[str, str]) -> AgentMessage:
    names = ("at", "step", "agent", "attempt", "to", "content")
    return _message([str(_number(entry)), *(fields[name] for name in names)])


def _number(entry: str) -> int:
    return int(entry.partition("-")[0])


def _message(row: Sequence[str]) -> AgentMessage:
    number, at, step, agent, attempt, to, content = row
    return AgentMessage(
        number=int(number),
        at=datetime.fromtimestamp(int(at) / 1000, UTC),
        step=step,
        agent=agent,
        attempt=int(attempt),
        to=to or None,
        content=json.loads(content),
    )
