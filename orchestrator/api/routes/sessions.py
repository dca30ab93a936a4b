"""Sessions: conversations that outlive their jobs."""

from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Final

from fastapi import APIRouter, Header, Path, Query, Request, Response
from pydantic import Field, JsonValue

from orchestrator.api.accepting import accept
from orchestrator.api.bodies import Body as Said
from orchestrator.api.bodies import Options, Task
from orchestrator.api.door import Door, TheDoor
from orchestrator.api.owned import MAX_SESSION_CHARS, new_session, owned_session
from orchestrator.api.problems import problems
from orchestrator.api.routes.jobs import ACCEPTED, Key, Wait, accepted, reached
from orchestrator.api.streams import STREAM, TheReader, streamed
from orchestrator.api.visitors import Reader, Submitter, Visitor
from tasks.access import OPERATOR
from tasks.errors import ContractError, UnknownSession
from tasks.ids import SessionId
from tasks.results import JobResult
from tasks.sessions import AgentState, Block, Message, Policy, Role, SessionSummary
from tasks.store.sessions import PAGE
from tasks.tenancy import DEFAULT_TENANT, SESSION_PREFIX, is_session_of, session_prefix
from tasks.wire import Wire

router = APIRouter(prefix="/sessions", tags=["sessions"])

MAX_SEQ: Final = 2**53
EARLIEST: Final = datetime(1971, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2999, 1, 1, tzinfo=UTC)
"""Times outside cannot be told from others once they are stored."""
SessionText = Annotated[
    str, Path(alias="session", description="Name of your own, or id of a session.", max_length=MAX_SESSION_CHARS)
]
Newest = Annotated[int, Query(ge=0, le=1000, description="Messages, and tool calls, of the newest.")]


class SendBody(Options):
    """Something that is said in a session, and answered by a job."""

    text: Task
    policy: Policy = Policy.QUEUE
    """What becomes of it while an earlier message is being answered."""


class AppendBody(Said):
    """A message that no job is to answer."""

    role: Role
    content: str | list[Block]
    """A text, or content blocks as the Messages API has them."""
    metadata: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])


class Appended(Wire):
    """Where a message stands."""

    seq: int


class TaskStateBody(Said):
    """Names of the task state to be set; null takes one away."""

    changes: dict[str, JsonValue] = Field(max_length=1000)


class TaskStateReply(Wire):
    """The task state as it is now."""

    task_state: dict[str, JsonValue]


@router.get("", name="list")
async def list_sessions(
    door: TheDoor, visitor: Reader, limit: Annotated[int, Query(ge=1, le=1000)] = 20
) -> list[SessionSummary]:
    """The sessions that were used last, newest first."""
    own = None if visitor.operator else partial(is_session_of, tenant=visitor.own)
    return await door.troupe.states.list(limit, own)


@router.get("/{session}", responses=problems(404, 409))
async def get(door: TheDoor, visitor: Reader, session: SessionText, newest: Newest = 100) -> AgentState:
    """All that is known of a session, with its newest messages."""
    return await _loaded(door, _owned(door, visitor, session), newest)


@router.put("/{session}", responses=problems(404, 409))
async def save(door: TheDoor, visitor: Submitter, session: SessionText, body: AgentState) -> AgentState:
    """Store a session that was loaded and changed: agent, metadata and task state are replaced, messages and tool calls
    without a number are added. 409: somebody has changed it since."""
    name = _owned(door, visitor, session)
    if body.session_id != name:
        raise ContractError(f"session_id: {body.session_id!r} is not the session of the path, {name!r}")
    for one in (*body.messages, *body.tool_calls):
        if not EARLIEST <= one.timestamp <= LATEST:
            raise ContractError(f"timestamp: {one.timestamp} is outside {EARLIEST:%Y} to {LATEST:%Y}")
    return await door.troupe.states.save(body)


@router.delete("/{session}", status_code=204, responses=problems(404))
async def delete(door: TheDoor, visitor: Submitter, session: SessionText) -> None:
    """Forget a session. Its open jobs are cancelled."""
    name = _owned(door, visitor, session)
    if not await door.troupe.states.delete(name):
        raise _unknown(session)


@router.get("/{session}/messages", responses=problems(404, 409))
async def messages(
    door: TheDoor,
    visitor: Reader,
    session: SessionText,
    after: Annotated[int, Query(ge=0, le=MAX_SEQ, description="Number of the last one seen.")] = 0,
    limit: Annotated[int, Query(ge=1, le=PAGE)] = PAGE,
) -> list[Message]:
    """Messages with a number above `after`, oldest first."""
    name = _owned(door, visitor, session)
    found = await door.troupe.states.messages(name, after, limit)
    if not found:
        await _loaded(door, name, 0)
    return found


@router.post(
    "/{session}/messages",
    status_code=202,
    response_model=JobResult,
    responses={**ACCEPTED, 202: {**ACCEPTED[202], "content": STREAM}, **problems(404, 409)},
)
async def send(
    request: Request,
    response: Response,
    door: TheDoor,
    visitor: Submitter,
    reader: TheReader,
    session: SessionText,
    body: SendBody,
    key: Key = None,
    wait: Wait = 0,
    accept_: Annotated[
        str, Header(alias="Accept", description="`text/event-stream`: the job's events.", include_in_schema=False)
    ] = "",
) -> JobResult | Response:
    """Say something. The job that answers it knows the conversation; with `Accept: text/event-stream` its events are
    sent as they happen, after an event `job` that names it."""
    name, tenant = await _whose(door, visitor, session, body.tenant)
    body = body.model_copy(update={"tenant": tenant})
    stream = "text/event-stream" in accept_.lower()
    if stream:
        reader.check_room()
    job = await accept(door, visitor, body.text, body, key, session=name, policy=body.policy)
    if not stream:
        return accepted(request, response, await reached(job, wait))
    request.state.made = job.id
    return streamed(job, reader)


@router.post("/{session}/append", responses=problems(404))
async def append(door: TheDoor, visitor: Submitter, session: SessionText, body: AppendBody) -> Appended:
    """Add a message that no job is to answer. The session is begun if there is none."""
    name = new_session(visitor, session, door.troupe.settings.partitions)
    return Appended(seq=await door.troupe.states.append_message(name, body.role, body.content, body.metadata))


@router.patch("/{session}/task-state", responses=problems(404, 409))
async def update_task_state(
    door: TheDoor, visitor: Submitter, session: SessionText, body: TaskStateBody
) -> TaskStateReply:
    """Set some names of the task state, and leave the others."""
    name = _owned(door, visitor, session)
    await door.troupe.states.update_task_state(name, body.changes)
    return TaskStateReply(task_state=(await _loaded(door, name, 0)).task_state)


async def _loaded(door: Door, session: SessionId, newest: int) -> AgentState:
    state = await door.troupe.states.load(session, newest=newest)
    if state is None:
        raise _unknown(session)
    return state


def _owned(door: Door, visitor: Visitor, text: str) -> SessionId:
    return owned_session(visitor, text, door.troupe.settings.partitions)


def _unknown(session: str) -> UnknownSession:
    return UnknownSession(f"there is no session {session!r}: never begun here, deleted, or long unused")


async def _whose(door: Door, visitor: Visitor, text: str, tenant: str | None) -> tuple[SessionId, str | None]:
    """The session that is meant, and the tenant whose job answers in it: a session and its jobs are of one tenant.

    Raises:
        ContractError: it is neither a name nor an id; or an operator names a session of another tenant than it says.
        UnknownSession: it is an id of another tenant's.
    """
    partitions = door.troupe.settings.partitions
    if not visitor.operator:
        return new_session(visitor, text, partitions), tenant
    if tenant is not None and "." not in text and SESSION_PREFIX.match(text) is None:
        text = session_prefix(tenant) + text
    found = new_session(visitor, text, partitions)
    if tenant is None and SESSION_PREFIX.match(found):
        known = [one for one in await door.access.tenants() if one not in {OPERATOR, DEFAULT_TENANT}]
        tenant = next((one for one in known if is_session_of(found, one)), None)
        if tenant is None:
            raise ContractError(f"tenant: say whose session {found!r} is")
    if not is_session_of(found, tenant or visitor.own):
        raise ContractError(f"tenant: session {found!r} is none of tenant {tenant or visitor.own!r}")
    return found, tenant
