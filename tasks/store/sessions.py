"""Sessions: conversations that outlive their jobs. One round trip each; appends are O(1) and lose nothing."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from secrets import token_hex
from typing import Any, Final, cast

from pydantic import JsonValue

from tasks.errors import StateConflict, UnknownSession
from tasks.ids import JobId, SessionId, new_session_id, session_partition
from tasks.models import Failure
from tasks.sessions import AgentState, Block, Message, Policy, Role, SessionCall, SessionSummary, TaskState
from tasks.states import TaskStatus
from tasks.store.failures import translated
from tasks.store.payload import is_apart, pack, unpack
from tasks.store.reading import known, readable
from tasks.store.scripts import SESSION_DELETE, SESSION_READ, SESSION_WRITE
from tasks.store.store import Store

NEWEST: Final = 1_000
"""Messages, and tool calls, that a state is loaded with."""
PAGE: Final = 500
"""Messages read in one round trip."""
LOOKED_AT: Final = 20_000
"""Names of sessions that a list of some of them looks at in each partition."""
DELETED: Final = Failure(code="session_deleted", message="its session was deleted")
REPLACED: Final = Failure(code="interrupted", message="a later message of the session took its place")

Rows = list[tuple[str, list[str]]]


@dataclass(frozen=True, slots=True)
class Turn:
    """What a submitted job brings its session."""

    policy: Policy
    content: str
    """The user's message: content blocks, as stored."""
    metadata: str = "{}"

    @classmethod
    def of(cls, text: str, policy: Policy, metadata: Mapping[str, JsonValue] | None = None) -> "Turn":
        """The turn of a text.

        Raises:
            PayloadTooLarge: more than is stored of one message.
        """
        return cls(policy, stored_content([{"type": "text", "text": text}]), _json(dict(metadata or {})))


class SessionStore:
    """The sessions of a fleet."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.settings = store.settings

    def fresh_id(self) -> SessionId:
        """An id that nobody has; nothing is stored."""
        return new_session_id(int(token_hex(4), 16) % self.settings.partitions)

    async def create(self, session: SessionId | None = None, *, agent: str = "troupe") -> AgentState:
        """Begin a session.

        Raises:
            StateConflict: there is one of that id.
            StoreUnavailable: no answer in time.
        """
        session = session or self.fresh_id()
        if (await self._write(session, "new", agent=agent, token=token_hex(8)))[0] == "there":
            raise StateConflict(f"there is a session {session!r} already")
        return await self._loaded(session)

    async def get_or_create(self, session: SessionId | None = None, *, agent: str = "troupe") -> AgentState:
        """The session, begun if there is none."""
        session = session or self.fresh_id()
        await self._write(session, "any", agent=agent)
        return await self._loaded(session)

    async def load(self, session: SessionId, *, newest: int = NEWEST) -> AgentState | None:
        """A session with its newest messages and tool calls, consistent in itself; None when there is none.

        Raises:
            IncompatibleVersion: written by a release that this one cannot read.
            DamagedRecord: no release can read it.
            StoreUnavailable: no answer in time.
        """
        fields, messages, calls = await self._read(session, newest, newest)
        if not fields:
            return None
        with readable(f"session {session}"):
            return AgentState(
                session_id=session,
                agent_name=fields["agent"],
                messages=[read_message(*row) for row in messages],
                tool_calls=[_read_call(*row) for row in calls],
                task_state={name[2:]: json.loads(text) for name, text in fields.items() if name.startswith("t:")},
                metadata=json.loads(fields.get("metadata", "{}")),
                status=known(TaskStatus, fields["status"]),
                running=JobId(fields["running"]) if "running" in fields else None,
                waiting=tuple(map(JobId, fields.get("line", "").split())),
                version=int(fields["version"]),
                created_at=cast(Any, int(fields["created"])),
                updated_at=cast(Any, int(fields["updated"])),
            )

    async def save(self, state: AgentState) -> AgentState:
        """Store what was changed of a loaded state, and give it as it is now.

        Agent, metadata and task state are replaced; messages and tool calls that have no number yet are added, with the
        times that they bear. What stands in the line, and the status, is the jobs' matter and not saved.

        Raises:
            StateConflict: somebody has changed the session since it was loaded. Nothing was stored.
            UnknownSession: it was deleted, or is past its lifetime.
            PayloadTooLarge: a message or a value is larger than is stored.
        """
        before = await self.load(state.session_id, newest=0)
        gone = set(before.task_state) - set(state.task_state) if before else set[str]()
        fields = {"agent": state.agent_name, "metadata": _bounded("the metadata", state.metadata)}
        fields |= {f"t:{name}": "" for name in gone} | _task_fields(state.task_state)
        entries = [_message_entry(one) for one in state.messages if one.seq is None]
        entries += [_call_entry(one) for one in state.tool_calls if one.seq is None]
        token = token_hex(8)
        outcome, *_ = await self._write(
            state.session_id, "old", fields=fields, entries=entries, version=str(state.version), token=token
        )
        if outcome == "stale":
            raise StateConflict(f"session {state.session_id!r} was changed since version {state.version} was loaded")
        self._check(state.session_id, outcome)
        return await self._loaded(state.session_id)

    async def delete(self, session: SessionId) -> bool:
        """Forget a session; its open jobs are cancelled. False when there is none."""
        args = [session, DELETED.model_dump_json(exclude_defaults=True)]
        return await self.store.move(SESSION_DELETE, session_partition(session), args) == 1

    async def append_message(
        self,
        session: SessionId,
        role: Role,
        content: str | Sequence[Block],
        metadata: Mapping[str, JsonValue] | None = None,
        *,
        token: str | None = None,
    ) -> int:
        """Add a message at the end; the session is begun if there is none. O(1), atomic.

        Args:
            token: A second append with the same one within a minute adds nothing, and gets the number of the first.

        Returns:
            The message's number.

        Raises:
            PayloadTooLarge: more than is stored of one message.
        """
        message = Message.model_validate({"role": role, "content": content, "metadata": dict(metadata or {})})
        entry = [*_message_entry(message)[:-1], ""]
        return (await self._write(session, "any", entries=[entry], token=token or token_hex(8)))[2]

    async def append_tool_call(self, session: SessionId, call: SessionCall, *, token: str | None = None) -> int:
        """Add a tool call; as `append_message`. Returns its number."""
        return await self.append_tool_calls(session, [call], token=token)

    async def append_tool_calls(
        self, session: SessionId, calls: Sequence[SessionCall], *, token: str | None = None
    ) -> int:
        """Add tool calls in one move; the number of the last one."""
        entries = [_call_entry(call) for call in calls]
        return (await self._write(session, "any", entries=entries, token=token or token_hex(8)))[3]

    async def update_task_state(self, session: SessionId, changes: Mapping[str, JsonValue | TaskState]) -> None:
        """Set some names of the task state and leave the others; atomic. None takes a name away.

        Raises:
            UnknownSession: there is none.
            PayloadTooLarge: a value is larger than is stored.
        """
        outcome, *_ = await self._write(session, "old", fields=_task_fields(changes))
        self._check(session, outcome)

    async def messages(self, session: SessionId, after: int = 0, limit: int = PAGE) -> list[Message]:
        """Messages with a number above `after`, oldest first, at most `limit`."""
        key = f"{self.store.keys.session(session)}:messages"
        async with translated(self.settings):
            rows = await cast(Any, self.store.redis).xrange(key, min=f"({max(after, 0)}-0", count=limit)
        with readable(f"session {session}"):
            return [read_message(entry, _flat(fields)) for entry, fields in rows]

    async def newest(self, session: SessionId, count: int) -> list[Message]:
        """The newest messages, oldest first."""
        _, messages, _ = await self._read(session, count, 0)
        with readable(f"session {session}"):
            return [read_message(*row) for row in messages]

    async def list(self, limit: int = 20, keep: Callable[[str], bool] | None = None) -> list[SessionSummary]:
        """The sessions of all partitions that were used last, newest first.

        Args:
            keep: Only those with such an id, of the newest 20,000 of each partition.
        """
        found: list[tuple[float, str]] = []
        async with translated(self.settings):
            for partition in range(self.settings.partitions):
                found += await self._newest(self.store.keys.sessions(partition), limit, keep)
            names = [SessionId(name) for _, name in sorted(found, reverse=True)[:limit]]
            hashes = [await cast(Any, self.store.redis).hgetall(self.store.keys.session(name)) for name in names]
        summaries = [_summary(name, fields) for name, fields in zip(names, hashes, strict=True) if fields]
        return sorted(summaries, key=lambda one: (one.updated_at, one.session_id), reverse=True)

    async def _newest(self, index: str, limit: int, keep: Callable[[str], bool] | None) -> "list[tuple[float, str]]":
        found: list[tuple[float, str]] = []
        step, last = (limit, limit) if keep is None else (LOOKED_AT // 20, LOOKED_AT)
        for start in range(0, last, step):
            rows: Any = await cast(Any, self.store.redis).zrange(
                index, start, start + step - 1, desc=True, withscores=True
            )
            found += [(float(score), name) for name, score in rows if keep is None or keep(name)]
            if len(found) >= limit or len(rows) < step:
                break
        return found[:limit]

    async def _loaded(self, session: SessionId) -> AgentState:
        state = await self.load(session)
        if state is None:
            raise UnknownSession(f"session {session!r} was deleted")
        return state

    def _check(self, session: SessionId, outcome: str) -> None:
        if outcome == "gone":
            raise UnknownSession(f"there is no session {session!r}: never begun here, deleted, or long unused")

    async def _read(self, session: SessionId, messages: int, calls: int) -> tuple[dict[str, str], Rows, Rows]:
        key = self.store.keys.session(session)
        async with translated(self.settings):
            reply = await SESSION_READ.run(
                self.store.redis, [key, f"{key}:messages", f"{key}:calls"], [messages, calls]
            )
        flat, said, called = cast("tuple[list[str], Rows, Rows]", reply)
        return dict(zip(flat[::2], flat[1::2], strict=True)), said[::-1], called[::-1]

    async def _write(
        self,
        session: SessionId,
        mode: str,
        *,
        agent: str = "troupe",
        fields: Mapping[str, str] | None = None,
        entries: Sequence[Sequence[str]] = (),
        version: str = "",
        token: str = "",
    ) -> tuple[str, int, int, int]:
        settings, fields = self.settings, fields or {}
        args: list[str | int] = [session, int(settings.session_ttl_s * 1000)]
        args += [settings.session_messages_max, settings.session_calls_max, mode, version, token, agent, len(fields)]
        args += [one for pair in fields.items() for one in pair]
        args += [one for entry in entries for one in entry]
        reply = await self.store.move(SESSION_WRITE, session_partition(session), args)
        outcome, now_is, seq, calls = cast("list[str]", reply)
        return outcome, int(now_is), int(seq), int(calls)


def stored_content(content: Sequence[Block]) -> str:
    """Content blocks as they are stored: large ones compressed.

    Raises:
        PayloadTooLarge: more than is stored of one message.
    """
    return _packed("the message", _json(list(content)))


def read_message(entry: str, flat: Sequence[str]) -> Message:
    """A stored message."""
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    return Message.model_validate(
        {
            "role": fields["role"],
            "content": json.loads(_unpacked(fields["content"])),
            "timestamp": int(fields["at"]),
            "metadata": json.loads(fields["meta"]),
            "seq": int(entry.partition("-")[0]),
            "job": fields["job"] or None,
        }
    )


def _read_call(entry: str, flat: Sequence[str]) -> SessionCall:
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    call = SessionCall.model_validate_json(_unpacked(fields["call"]))
    return call.model_copy(update={"seq": int(entry.partition("-")[0])})


def _message_entry(message: Message) -> list[str]:
    content, metadata = stored_content(message.content), _bounded("the metadata", message.metadata)
    return ["message", message.role, content, metadata, str(int(message.timestamp.timestamp() * 1000))]


def _call_entry(call: SessionCall) -> list[str]:
    text = _packed("the tool call", call.model_dump_json(exclude={"seq"}))
    return ["call", call.tool_name, text, "", str(int(call.timestamp.timestamp() * 1000))]


def _task_fields(changes: Mapping[str, JsonValue | TaskState]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in changes.items():
        plain = value.model_dump(mode="json") if isinstance(value, TaskState) else value
        found[f"t:{name}"] = "" if plain is None else _bounded(f"task state {name!r}", plain)
    return found


def _bounded(what: str, value: JsonValue) -> str:
    text = _json(value)
    pack(what, text)
    return text


def _packed(what: str, text: str) -> str:
    held, apart = pack(what, text)
    return f"{held} {apart}" if apart else held


def _unpacked(held: str) -> str:
    mark, _, apart = held.partition(" ") if is_apart(held) else (held, "", "")
    return unpack(mark, apart)


def _json(value: JsonValue | Sequence[Block]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace").decode()


def _flat(fields: Mapping[str, str]) -> list[str]:
    return [one for pair in fields.items() for one in pair]


def _summary(name: SessionId, fields: Mapping[str, str]) -> SessionSummary:
    with readable(f"session {name}"):
        return SessionSummary(
            session_id=name,
            agent_name=fields["agent"],
            status=known(TaskStatus, fields["status"]),
            messages=int(fields["seq"]),
            running=JobId(fields["running"]) if "running" in fields else None,
            waiting=len(fields.get("line", "").split()),
            created_at=cast(Any, int(fields["created"])),
            updated_at=cast(Any, int(fields["updated"])),
        )
