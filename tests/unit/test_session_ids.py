"""Ids of sessions, and the states that are worked on."""

from typing import Any

import pytest
from pydantic import ValidationError

from tasks.errors import InvalidId
from tasks.ids import SessionId, new_session_id, parse_session_id, session_id, session_partition
from tasks.models import JobSpec
from tasks.sessions import AgentState, Message, SessionCall
from tests.unit.records import JOB


def test_a_name_is_always_in_the_same_partition_of_those_there_are() -> None:
    for partitions in (1, 4, 32):
        found = session_id("customer-17", partitions)
        assert found == session_id("customer-17", partitions) == session_id(found, partitions)
        assert session_partition(found) < partitions
    assert len({session_partition(session_id(f"customer-{at}", 8)) for at in range(100)}) == 8


@pytest.mark.parametrize("name", ["", " ", "a b", "-a", "ä", "a" * 65, "a.", "a.u", "a.b.c", "a:b", "a\n", "a.1\n"])
def test_what_is_neither_name_nor_id_is_refused(name: str) -> None:
    with pytest.raises(InvalidId):
        session_id(name, 4)
    with pytest.raises(InvalidId):
        parse_session_id(name)
    with pytest.raises(ValidationError):
        AgentState(session_id=SessionId(name))


def test_an_id_of_a_partition_that_is_not_there_is_refused() -> None:
    with pytest.raises(InvalidId, match="partition 3; this fleet has 2"):
        session_id("talk.3", 2)


def test_fresh_ids_are_told_apart_and_know_their_partition() -> None:
    made = {new_session_id(5) for _ in range(100)}
    assert len(made) == 100
    assert {session_partition(parse_session_id(one)) for one in made} == {5}
    JobSpec(id=JOB, task="Why?", session=made.pop())


def test_a_text_is_one_text_block_and_blocks_stay_as_they_are() -> None:
    assert Message.model_validate({"role": "user", "content": "Why?"}).content == ({"type": "text", "text": "Why?"},)
    blocks: Any = [{"type": "text", "text": "a"}, {"type": "image", "source": {}}, {"type": "text", "text": "b"}]
    message = Message.model_validate({"role": "user", "content": blocks})
    assert (list(message.content), message.text) == (blocks, "a\n\nb")


@pytest.mark.parametrize("role", ["tool", "", "User"])
def test_a_strange_role_is_refused(role: str) -> None:
    with pytest.raises(ValidationError):
        Message.model_validate({"role": role, "content": "Why?"})


def test_the_history_for_a_model_is_without_what_the_system_said() -> None:
    state = AgentState(session_id=SessionId("talk.0"))
    state.add_message("system", "Be brief.")
    state.add_message("user", "Why?", source="web")
    state.add_message("assistant", [{"type": "text", "text": "So."}])
    state.add_tool_call(SessionCall(tool_name="add"))
    assert state.get_conversation_history() == [
        {"role": "user", "content": [{"type": "text", "text": "Why?"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "So."}]},
    ]
    assert state.conversation_history == state.get_conversation_history()
    assert state.messages[1].metadata == {"source": "web"}
    assert [one.seq for one in state.messages] == [None] * 3
    assert state.created_at.tzinfo is not None
