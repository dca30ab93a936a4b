"""Sessions on a real store: what is written at once, what is refused, what is kept for how long."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tasks.errors import PayloadTooLarge, StateConflict, UnknownSession
from tasks.ids import SessionId, session_id
from tasks.sessions import AgentState, Message, SessionCall, TaskState
from tasks.states import TaskStatus
from tasks.store import SessionStore, Store
from tasks.store.payload import MAX_BYTES
from tests.support.moves import Moves

TALK = session_id("talk", 1)
WRITERS, EACH = 200, 50


@pytest.fixture
def sessions(store: Store) -> SessionStore:
    return SessionStore(store)


async def texts(sessions: SessionStore, session: SessionId = TALK) -> list[str]:
    state = await sessions.load(session)
    assert state is not None
    return [one.text for one in state.messages]


async def test_a_session_is_begun_once(sessions: SessionStore) -> None:
    state = await sessions.create(TALK, agent="tutor")
    assert (state.session_id, state.agent_name, state.status) == (TALK, "tutor", TaskStatus.PENDING)
    assert state.created_at.tzinfo is not None
    with pytest.raises(StateConflict, match="already"):
        await sessions.create(TALK)
    assert (await sessions.get_or_create(TALK, agent="other")).agent_name == "tutor"
    assert (await sessions.get_or_create()).session_id != TALK


async def test_one_that_was_never_begun_is_none(sessions: SessionStore) -> None:
    assert await sessions.load(TALK) is None
    assert await sessions.delete(TALK) is False
    with pytest.raises(UnknownSession):
        await sessions.update_task_state(TALK, {"a": 1})
    with pytest.raises(UnknownSession):
        await sessions.save(AgentState(session_id=TALK))


async def test_content_blocks_are_kept_whole(sessions: SessionStore) -> None:
    blocks: Any = [{"type": "text", "text": "Look:"}, {"type": "image", "source": {"data": "…", "n": [1, 2.5, None]}}]
    assert await sessions.append_message(TALK, "user", blocks, {"from": "web"}) == 1
    state = await sessions.load(TALK)
    assert state is not None
    (message,) = state.messages
    assert (list(message.content), message.metadata, message.seq, message.role) == (blocks, {"from": "web"}, 1, "user")
    assert state.get_conversation_history() == [{"role": "user", "content": blocks}]


async def test_a_large_message_comes_back_and_one_too_large_is_refused(sessions: SessionStore) -> None:
    large = "Much. " * 40_000
    await sessions.append_message(TALK, "user", large)
    assert await texts(sessions) == [large]
    with pytest.raises(PayloadTooLarge):
        await sessions.append_message(TALK, "user", "x" * (MAX_BYTES + 1))
    assert await texts(sessions) == [large]


async def test_a_write_that_is_repeated_with_its_token_is_made_once(sessions: SessionStore) -> None:
    first = await sessions.append_message(TALK, "user", "Once.", token="t1")
    assert await sessions.append_message(TALK, "user", "Once.", token="t1") == first
    assert await sessions.append_message(TALK, "user", "Once.", token="t2") == first + 1
    assert await texts(sessions) == ["Once.", "Once."]


async def test_many_writers_lose_nothing(moves_with: Callable[..., Moves]) -> None:
    """200 writers × 50 messages: all there, those of each writer in its order, and every reader sees one order."""
    doors = [SessionStore(moves_with().store) for _ in range(4)]

    async def write(writer: int) -> None:
        for number in range(EACH):
            await doors[writer % len(doors)].append_message(TALK, "user", f"{writer} {number}")

    await asyncio.gather(*map(write, range(WRITERS)))
    state = await doors[0].load(TALK, newest=2 * WRITERS * EACH)
    assert state is not None
    assert [one.seq for one in state.messages] == list(range(1, WRITERS * EACH + 1))
    said = [tuple(map(int, one.text.split())) for one in state.messages]
    for writer in range(WRITERS):
        assert [number for who, number in said if who == writer] == list(range(EACH))
    paged: list[Message] = []
    while page := await doors[1].messages(TALK, len(paged)):
        paged += page
    assert paged == state.messages
    assert [one.timestamp for one in paged] == sorted(one.timestamp for one in paged)


async def test_a_save_adds_what_is_new_and_replaces_the_rest(sessions: SessionStore) -> None:
    await sessions.append_message(TALK, "user", "First.")
    await sessions.update_task_state(TALK, {"a": 1, "b": 2})
    state = await sessions.load(TALK)
    assert state is not None
    state.add_message("assistant", "Second.", model="mine")
    state.add_tool_call(SessionCall(tool_name="add", input={"a": 1}, output=2))
    state.metadata["customer"] = 17
    state.agent_name = "tutor"
    state.task_state = {"a": 3}
    saved = await sessions.save(state)
    assert saved.version == state.version + 1
    assert [(one.seq, one.role, one.text) for one in saved.messages] == [
        (1, "user", "First."),
        (2, "assistant", "Second."),
    ]
    assert saved.messages[1].metadata == {"model": "mine"}
    assert [(one.tool_name, one.output, one.seq) for one in saved.tool_calls] == [("add", 2, 1)]
    assert (saved.metadata, saved.task_state, saved.agent_name) == ({"customer": 17}, {"a": 3}, "tutor")
    assert await sessions.load(TALK) == saved


@pytest.mark.parametrize("change", ["message", "call", "task", "save"])
async def test_a_save_of_what_was_changed_meanwhile_is_refused_whole(sessions: SessionStore, change: str) -> None:
    mine = await sessions.get_or_create(TALK)
    if change == "message":
        await sessions.append_message(TALK, "user", "Theirs.")
    elif change == "call":
        await sessions.append_tool_call(TALK, SessionCall(tool_name="add"))
    elif change == "task":
        await sessions.update_task_state(TALK, {"a": 1})
    else:
        await sessions.save(await sessions.get_or_create(TALK))
    before = await sessions.load(TALK)
    mine.add_message("user", "Mine.")
    with pytest.raises(StateConflict, match="version"):
        await sessions.save(mine)
    assert await sessions.load(TALK) == before


async def test_of_two_saves_at_once_one_wins(sessions: SessionStore) -> None:
    await sessions.create(TALK)
    states = [await sessions.get_or_create(TALK) for _ in range(8)]
    for number, state in enumerate(states):
        state.metadata["who"] = number
    done = await asyncio.gather(*map(sessions.save, states), return_exceptions=True)
    winners = [one.metadata["who"] for one in done if isinstance(one, AgentState)]
    assert [type(one) for one in done].count(StateConflict) == 7
    assert winners == [(await sessions.get_or_create(TALK)).metadata["who"]]


async def test_names_of_the_task_state_are_set_one_by_one(sessions: SessionStore) -> None:
    await sessions.create(TALK)
    await asyncio.gather(*(sessions.update_task_state(TALK, {f"n{at}": at}) for at in range(20)))
    await sessions.update_task_state(TALK, {"n0": None, "n1": [1]})
    state = await sessions.load(TALK)
    assert state is not None
    assert state.task_state == {"n1": [1], **{f"n{at}": at for at in range(2, 20)}}


async def test_a_task_can_be_kept_in_the_task_state(sessions: SessionStore) -> None:
    task = TaskState(
        task_id="t", description="Do.", steps=("a", "b"), completed_steps=(0,), current_step=1, results={0: "A."},
        status=TaskStatus.IN_PROGRESS, paused=True,
    )  # fmt: skip
    await sessions.create(TALK)
    await sessions.update_task_state(TALK, {"task": task})
    state = await sessions.load(TALK)
    assert state is not None
    assert TaskState.model_validate(state.task_state["task"]) == task


async def test_the_oldest_messages_and_calls_make_room(moves_with: Callable[..., Moves]) -> None:
    sessions = SessionStore(moves_with(session_messages_max=100, session_calls_max=100).store)
    for number in range(400):
        await sessions.append_message(TALK, "user", str(number))
        await sessions.append_tool_call(TALK, SessionCall(tool_name=str(number)))
    state = await sessions.load(TALK)
    assert state is not None
    assert 100 <= len(state.messages) < 350
    assert 100 <= len(state.tool_calls) < 350
    assert [one.text for one in state.messages][-2:] == ["398", "399"]
    assert state.messages[-1].seq == 400


async def test_lists_have_those_used_last_first(sessions: SessionStore, store: Store) -> None:
    partitions = store.settings.partitions
    names = [session_id(f"talk-{at}", partitions) for at in range(6)]
    for name in [*names, names[0]]:
        await sessions.append_message(name, "user", "Hello.")
        await asyncio.sleep(0.002)  # the order is that of Redis' clock, in ms
    found = await sessions.list(4)
    assert [one.session_id for one in found] == [names[0], *names[:2:-1]][:4]
    assert [(one.messages, one.running, one.waiting) for one in found[:2]] == [(2, None, 0), (1, None, 0)]


async def test_a_session_is_forgotten_when_it_was_long_unused(moves_with: Callable[..., Moves]) -> None:
    moves = moves_with(session_ttl_s=3600)
    sessions = SessionStore(moves.store)
    await sessions.append_message(TALK, "user", "Hello.")
    await sessions.append_tool_call(TALK, SessionCall(tool_name="add"))
    key = moves.store.keys.session(TALK)
    for part in ("", ":messages", ":calls"):
        await moves.redis.pexpire(key + part, 1000)
    await sessions.append_message(TALK, "user", "Still there?")
    for part in ("", ":messages", ":calls"):
        assert 3_500_000 < await moves.redis.pttl(key + part) <= 3_600_000


async def test_a_deleted_session_is_gone_from_everywhere(sessions: SessionStore, moves: Moves) -> None:
    await sessions.append_message(TALK, "user", "Hello.", token="t")
    assert await sessions.delete(TALK) is True
    assert await sessions.load(TALK) is None
    assert await sessions.list() == []
    assert [key async for key in moves.redis.scan_iter(match="*talk*") if ":once:" not in key] == []
