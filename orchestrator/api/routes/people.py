"""What steps ask people, and what people decide."""

from typing import Annotated

from fastapi import APIRouter, Body, Path, Query
from pydantic import Field, JsonValue

from orchestrator.api.bodies import Body as Said
from orchestrator.api.door import TheDoor
from orchestrator.api.owned import DecidedJob, seen_by
from orchestrator.api.problems import problems
from orchestrator.api.visitors import Approver, Reader, Visitor
from orchestrator.people import MAX_TEXT_CHARS, AsyncPeople
from tasks.results import Asked
from tasks.settings import read_settings
from tasks.signing import SigningSettings

router = APIRouter(tags=["people"])

StepText = Annotated[str, Path(alias="step", description="Id of a step.", max_length=48)]
AskedKey = Annotated[str | None, Field(default=None, min_length=1, max_length=200)]


class ApproveBody(Said):
    """A yes."""

    key: AskedKey = None
    """Which one is meant, where the step waits for several."""
    arguments: dict[str, JsonValue] | None = None
    """What the call is made with in place of its own; of a step its `description` or `input`, or both."""


class DenyBody(Said):
    """A no."""

    key: AskedKey = None
    reason: str = Field(default="", max_length=MAX_TEXT_CHARS)
    """What the agent is told."""


class AnswerBody(Said):
    """An answer to a question."""

    key: AskedKey = None
    text: str = Field(max_length=MAX_TEXT_CHARS)


@router.get("/asked", name="asked")
async def list_asked(door: TheDoor, visitor: Reader, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> list[Asked]:
    """What waits for people, the oldest first."""
    secret = read_settings(SigningSettings).read()
    return await AsyncPeople(door.store, secret, seen_by(door, visitor)).list(limit)


@router.post("/jobs/{job}/steps/{step}/approve", responses=problems(404, 409))
async def approve(
    door: TheDoor,
    visitor: Approver,
    job: DecidedJob,
    step: StepText,
    body: Annotated[ApproveBody | None, Body()] = None,
) -> Asked:
    """Let a tool call be made, or a step begin. What decides is the first word: a second one is refused."""
    said = body or ApproveBody()
    people = door.troupe.people
    return await people.approve(job.id, step, key=said.key, arguments=said.arguments, by=_who(visitor))


@router.post("/jobs/{job}/steps/{step}/deny", responses=problems(404, 409))
async def deny(
    door: TheDoor, visitor: Approver, job: DecidedJob, step: StepText, body: Annotated[DenyBody | None, Body()] = None
) -> Asked:
    """Let a tool call not be made: its agent goes on without. Or a step not begin: it fails."""
    said = body or DenyBody()
    return await door.troupe.people.deny(job.id, step, key=said.key, reason=said.reason, by=_who(visitor))


@router.post("/jobs/{job}/steps/{step}/answer", responses=problems(404, 409))
async def answer(door: TheDoor, visitor: Approver, job: DecidedJob, step: StepText, body: AnswerBody) -> Asked:
    """Answer a question of a step."""
    return await door.troupe.people.answer(job.id, step, body.text, key=body.key, by=_who(visitor))


def _who(visitor: Visitor) -> str:
    return visitor.name or visitor.key or ""
