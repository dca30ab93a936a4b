"""Jobs: submit, list, look at."""

import asyncio
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final, assert_never

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse
from pydantic import BeforeValidator

from orchestrator.api.accepting import accept
from orchestrator.api.bodies import SubmitBody
from orchestrator.api.door import TheDoor
from orchestrator.api.owned import ReadJob, owned_job, owned_session
from orchestrator.api.paging import Filter, page
from orchestrator.api.problems import problems
from orchestrator.api.replies import JobPage
from orchestrator.api.visitors import Reader, Submitter
from orchestrator.handle import AsyncJobHandle
from orchestrator.tracing.document import document
from orchestrator.tracing.dot import dot
from orchestrator.tracing.drawn import DrawnGraph
from orchestrator.tracing.mermaid import mermaid
from orchestrator.tracing.tree import Depth, notices, tree
from orchestrator.travel import JobDiff
from tasks.board import Board
from tasks.errors import ResultTimeout, UnknownJob
from tasks.results import JobResult, LedgerReport, Standing, StepReport
from tasks.states import FINAL_JOB, TaskStatus
from tasks.trace import Trace

router = APIRouter(prefix="/jobs", tags=["jobs"])


def _date(value: object) -> object:
    """Numbers are none: whether seconds or milliseconds are meant would be guessed."""
    if isinstance(value, str) and value[4:5] != "-":
        raise ValueError("not of the form 2025-01-31T12:00:00Z")
    return value


Moment = Annotated[datetime, BeforeValidator(_date)]
MAX_WAIT_S: Final = 60.0
TREE_WIDTH: Final = 160

Wait = Annotated[
    float, Query(ge=0, le=MAX_WAIT_S, allow_inf_nan=False, description="Seconds to wait for the job's end, at most 60.")
]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key", min_length=1, max_length=200,
        description="A second request with the same key returns the first job.",
    ),
]  # fmt: skip
ACCEPTED: Final[dict[int | str, dict[str, Any]]] = {
    202: {"model": JobResult, "description": "The job, which goes on"},
    200: {"model": JobResult, "description": "The job, which has ended"},
}


async def reached(job: AsyncJobHandle, wait: float) -> JobResult:
    """The job when it has ended, or as it is after so many seconds."""
    if wait > 0:
        try:
            return await job.wait(wait)
        except ResultTimeout:
            pass
    return await job.snapshot()


def accepted(request: Request, response: Response, outcome: JobResult) -> JobResult:
    """Say where a job is, and whether it has ended."""
    request.state.made = outcome.job_id
    response.headers["Location"] = f"/v1/jobs/{outcome.job_id}"
    response.status_code = 200 if outcome.status in FINAL_JOB else 202
    return outcome


@router.post("", status_code=202, response_model=JobResult, responses={**ACCEPTED, **problems(404, 409)})
async def submit(
    request: Request, response: Response, door: TheDoor, visitor: Submitter, body: SubmitBody, key: Key = None,
    wait: Wait = 0,
) -> JobResult:  # fmt: skip
    """Submit a job. It is accepted when this answers, and reaches a final status whatever happens."""
    job = await accept(door, visitor, body.task, body, key)
    return accepted(request, response, await reached(job, wait))


@router.get("", responses=problems(404))
async def list_jobs(
    door: TheDoor,
    visitor: Reader,
    status: Annotated[list[TaskStatus] | None, Query(max_length=5, description="Only these.")] = None,
    q: Annotated[str | None, Query(max_length=200, description="Words of the task, or an id.")] = None,
    since: Annotated[Moment | None, Query(description="Submitted then or later; with its zone.")] = None,
    until: Annotated[Moment | None, Query(description="Submitted before.")] = None,
    tenant: Annotated[str | None, Query(max_length=48, description="For operators: of this tenant only.")] = None,
    session: Annotated[str | None, Query(max_length=100, description="Of this session only.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    cursor: Annotated[str | None, Query(max_length=100, description="`next` of the part before.")] = None,
) -> JobPage:
    """The newest jobs, newest first, a part at a time."""
    asked = Filter(
        tenant=(tenant if visitor.operator else visitor.tenant),
        statuses=frozenset(status or ()),
        text=q,
        session=None if session is None else owned_session(visitor, session, door.troupe.settings.partitions),
        since=aware(since),
        until=aware(until),
    )
    return await page(door.snapshots, asked, limit, cursor)


@router.get("/{job}", responses=problems(404))
async def get(job: ReadJob) -> JobResult:
    """All that is known of a job now, final or not."""
    return await job.snapshot()


@router.get("/{job}/status", responses=problems(404))
async def status(job: ReadJob) -> Standing:
    """Where a job stands, at the least cost."""
    return await job.standing()


@router.get("/{job}/result", responses={202: ACCEPTED[202], **problems(404)})
async def result(response: Response, job: ReadJob, wait: Wait = 0) -> JobResult:
    """A job's outcome, whatever it is. 202: it has not ended."""
    outcome = await reached(job, wait)
    response.status_code = 200 if outcome.status in FINAL_JOB else 202
    return outcome


@router.get("/{job}/steps", responses=problems(404))
async def steps(job: ReadJob) -> list[StepReport]:
    """The steps of a job, in the order of its plan."""
    return list((await job.snapshot()).steps)


@router.get("/{job}/steps/{step}", responses=problems(404))
async def step(job: ReadJob, step: Annotated[str, Path(max_length=48)]) -> StepReport:
    """One step of a job."""
    found = [one for one in (await job.snapshot()).steps if one.id == step]
    if not found:
        raise UnknownJob(f"job {job.id} has no step {step!r}")
    return found[0]


class TraceForm(StrEnum):
    """How a trace is told."""

    JSON = "json"
    TREE = "tree"
    MERMAID = "mermaid"
    DOT = "dot"
    HTML = "html"


class GraphForm(StrEnum):
    """How a graph is told."""

    JSON = "json"
    MERMAID = "mermaid"
    DOT = "dot"


TEXTS: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"text/plain": {"schema": {"type": "string"}}, "text/html": {"schema": {"type": "string"}}}}
}
TEXT: Final[dict[int | str, dict[str, Any]]] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
PAGE_HEADERS: Final = {
    "Content-Disposition": 'inline; filename="trace.html"',
    "Content-Security-Policy": "sandbox allow-scripts",
}
"""What a job says runs nothing here; were it to, it would be in an origin of its own."""


@router.get("/{job}/trace", response_model=Trace, responses={**TEXTS, **problems(404)})
async def trace(job: ReadJob, format: TraceForm = TraceForm.JSON) -> Trace | Response:  # noqa: A002
    """What a job did: steps, attempts, model and tool calls, with times and costs. Also while it runs."""
    found = await job.trace()
    match format:
        case TraceForm.JSON:
            return found
        case TraceForm.TREE:
            lines = await asyncio.to_thread(tree, found, TREE_WIDTH, Depth.CALLS)
            return PlainTextResponse("\n".join([lines.plain, *notices(found), ""]))
        case TraceForm.MERMAID:
            return PlainTextResponse(mermaid(found))
        case TraceForm.DOT:
            return PlainTextResponse(dot(found))
        case TraceForm.HTML:
            return HTMLResponse(await asyncio.to_thread(document, found), headers=PAGE_HEADERS)
        case _:
            assert_never(format)


@router.get("/{job}/graph", response_model=DrawnGraph, responses={**TEXT, **problems(404)})
async def graph(job: ReadJob, format: GraphForm = GraphForm.JSON) -> DrawnGraph | Response:  # noqa: A002
    """The steps of a job, what each waits for, and where to draw them."""
    found = await job.trace()
    match format:
        case GraphForm.JSON:
            return await asyncio.to_thread(DrawnGraph.of, found)
        case GraphForm.MERMAID:
            return PlainTextResponse(mermaid(found))
        case GraphForm.DOT:
            return PlainTextResponse(dot(found))
        case _:
            assert_never(format)


@router.get("/{job}/ledger", responses=problems(404))
async def ledger(job: ReadJob) -> LedgerReport:
    """What a job has consumed, by step, agent and model."""
    return await job.ledger()


@router.get("/{job}/board", responses=problems(404))
async def board(job: ReadJob, since: Annotated[int, Query(ge=0, le=2**53)] = 0) -> Board:
    """What a job's steps have said to each other."""
    return await job.board(since)


class JsonLines(PlainTextResponse):
    """A JSON object in each line."""

    media_type = "application/jsonl"


@router.get("/{job}/recording", response_class=JsonLines, responses=problems(404, 409))
async def recording(job: ReadJob) -> JsonLines:
    """All that models and tools said in a job that has ended, as JSON lines, to be replayed."""
    found = await job.record()
    text = await asyncio.to_thread(lambda: "".join(f"{line.model_dump_json()}\n" for line in found.lines))
    return JsonLines(text)


@router.get("/{job}/diff", responses=problems(404))
async def diff(
    door: TheDoor, visitor: Reader, job: ReadJob, other: Annotated[str, Query(alias="with", max_length=100)]
) -> JobDiff:
    """What differs between a job and another one, such as its fork."""
    second = await owned_job(door, visitor, other)
    return await door.troupe.diff(job.id, second.id)


def aware(at: datetime | None) -> datetime | None:
    """A time with its zone: UTC where none was said."""
    return at if at is None or at.tzinfo is not None else at.replace(tzinfo=UTC)
