"""What models are told of messages, and what they may not do with them."""

from datetime import UTC, datetime

import pytest
from pydantic import JsonValue

from tasks.board import AgentMessage, Mail
from tasks.errors import ContractError
from tasks.ids import AttemptRef
from tasks.store import BoardStore, Refusal
from tests.unit.attempts import make_context
from workers.agents.base import Agent
from workers.agents.envelope import unwrap
from workers.answering import allowed
from workers.context import StepContext, enter_step
from workers.llm.base import Block
from workers.mailbox import Mailbox
from workers.tools.base import ToolCall
from workers.tools.executor import ToolExecutor
from workers.tools.messages import MAX_CHARS, as_text, post_message, read_messages

TALKER = Agent(name="talker", description="Talks.", messages=True)


def message(number: int = 1, content: JsonValue = "Four.", to: str | None = None) -> AgentMessage:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    return AgentMessage(number=number, at=at, step="find", agent="search", attempt=1, to=to, content=content)


class Refusing(BoardStore):
    """The board of a step that has said too much."""

    def __init__(self) -> None: ...

    async def post(
        self, ref: AttemptRef, key: str, content: JsonValue, *, agent: str, to: str | None = None
    ) -> int | Refusal:
        raise ContractError("it may no more")

    async def read(
        self,
        ref: AttemptRef,
        key: str,
        since: int,
        *,
        agent: str,
        noted: bool = True,
        most: int = 1,
        most_bytes: int = 1,
    ) -> Mail | Refusal:
        raise ContractError("it may no more")


async def made(name: str, given: JsonValue, context: StepContext | None = None) -> ToolCall:
    enter_step(context or make_context())
    block: Block = {"type": "tool_use", "id": "t1", "name": name, "input": given}
    (call,) = await ToolExecutor([post_message, read_messages]).execute_all([block])
    return call


def test_mail_is_shown_in_envelopes_with_the_way_on() -> None:
    text = as_text(Mail(messages=(message(4), message(6, {"sum": 4}, "talker")), cursor=7, missed=3))
    pieces = unwrap(text, "message")
    assert [(one["number"], one["to"], inside) for one, inside in pieces] == [
        ("4", "all", "Four."),
        ("6", "talker", '{"sum": 4}'),
    ]
    assert text.endswith("3 older messages are kept no more.\n\nRead up to 7.")


def test_a_long_message_is_cut() -> None:
    ((_, inside),) = unwrap(as_text(Mail(messages=(message(content="x" * 9_000),), cursor=1)), "message")
    assert inside == "x" * MAX_CHARS + "…"


def test_no_mail_is_said_to_be_none() -> None:
    assert as_text(Mail(cursor=2)) == "No new messages.\n\nRead up to 2."


@pytest.mark.parametrize(("name", "given"), [("post_message", {"text": "a"}), ("read_messages", {})])
async def test_where_there_is_nobody_a_model_is_told_so(name: str, given: JsonValue) -> None:
    assert (await made(name, given)).code == "nobody_there"


@pytest.mark.parametrize(
    ("name", "given", "code"),
    [
        ("post_message", {"text": "a"}, "not_posted"),
        ("read_messages", {"since": 3}, "not_read"),
        ("post_message", {"text": " "}, "invalid_input"),
    ],
)
async def test_a_refusal_is_told_to_the_model(name: str, given: JsonValue, code: str) -> None:
    context = make_context()
    context.mailbox = Mailbox(Refusing(), context.claim)
    call = await made(name, given, context)
    assert (call.success, call.code) == (False, code)


def test_an_agent_has_both_tools_or_none() -> None:
    assert [one.name for one in TALKER.toolbox] == ["post_message", "read_messages"]
    assert allowed(TALKER, ("post_message", "read_messages")).messages
    assert allowed(TALKER, ("post_message",)).toolbox == ()
    assert allowed(TALKER, None) is TALKER
    assert Agent(name="quiet", description="Does not.").toolbox == ()
