"""The fleet: what it can do, who is alive in it, what waits, what it did."""

from datetime import timedelta
from typing import Annotated, Final, Literal, get_args

from fastapi import APIRouter, Query
from pydantic import Field

from orchestrator.api.bodies import LEAST_S
from orchestrator.api.bodies import Body as Said
from orchestrator.api.door import TheDoor
from orchestrator.api.owned import ForTenant
from orchestrator.api.visitors import Chief, Operator, Reader
from orchestrator.scaling import Scale, ScaleBounds
from orchestrator.statistics import DAY, tenant_statistics
from tasks.figures import QueueFigures
from tasks.models import AgentDefinition
from tasks.presence import MetricsPresence, OrchestratorPresence, WorkerPresence
from tasks.states import TaskStatus
from tasks.statistics import FleetStatistics, TenantStatistics
from tasks.store.figures import LONGEST, FigureStore
from tasks.tool_figures import ToolFigures, ToolReport
from tasks.wire import Wire

router = APIRouter(tags=["fleet"])

DAY_S: Final = DAY / timedelta(seconds=1)
LONGEST_S: Final = LONGEST / timedelta(seconds=1)
OLDEST_S: Final = 10.0**9
Since = Annotated[
    float, Query(ge=LEAST_S, le=LONGEST_S, allow_inf_nan=False, description="Seconds back from now, at most 7 days.")
]
Ended = Literal[TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED]
Count = Annotated[int, Query(ge=0, le=100_000)]


class PruneBody(Said):
    """Which jobs that have ended are forgotten."""

    older_than_s: Annotated[float, Field(ge=0, le=OLDEST_S, allow_inf_nan=False, strict=True)]
    """How long a job must have been over."""
    statuses: list[Ended] = Field(default_factory=lambda: list(get_args(Ended)), min_length=1, max_length=3)
    dry_run: bool = Field(default=False, strict=True)
    """Only count."""


class Forgotten(Wire):
    """How many jobs were forgotten, or would have been."""

    forgotten: int


@router.get("/agents")
async def agents(door: TheDoor, _: Reader) -> list[AgentDefinition]:
    """Agents of living workers."""
    return await door.troupe.agents()


@router.get("/tools")
async def tools(door: TheDoor, visitor: Reader, since: Since = DAY_S) -> list[ToolReport]:
    """Tools of living workers, with their limits; how their calls went since then is told to operators, the counts of
    others are 0."""
    found = await door.troupe.tools(since)
    return found if visitor.operator else [one.model_copy(update={"figures": ToolFigures()}) for one in found]


@router.get("/statistics")
async def statistics(
    door: TheDoor,
    visitor: Reader,
    since: Since = DAY_S,
    tenant: ForTenant = None,
) -> FleetStatistics | TenantStatistics:
    """What was done since then: for operators all of the fleet, for others what their tenant's jobs did."""
    wanted = tenant if visitor.operator else visitor.tenant
    if wanted is None:
        return await door.troupe.stats(since)
    return tenant_statistics(wanted, await FigureStore(door.store).window(timedelta(seconds=since)))


@router.get("/workers")
async def workers(door: TheDoor, _: Operator) -> list[WorkerPresence]:
    """Living workers."""
    return await door.troupe.workers()


@router.get("/orchestrators")
async def orchestrators(door: TheDoor, _: Operator) -> list[OrchestratorPresence]:
    """Living orchestrators."""
    return await door.troupe.orchestrators()


@router.get("/queues")
async def queues(door: TheDoor, _: Operator) -> list[QueueFigures]:
    """Queues that have steps or workers: what waits, what runs, and for how long."""
    return await FigureStore(door.store).queues()


@router.get("/scale")
async def scale(
    door: TheDoor,
    _: Operator,
    least: Count = 0,
    most: Annotated[int, Query(ge=1, le=100_000)] = 100,
    slots: Annotated[int | None, Query(ge=1, le=100_000, description="Of one worker.")] = None,
    within_s: Annotated[float, Query(ge=LEAST_S, le=86_400, allow_inf_nan=False)] = 10.0,
) -> list[Scale]:
    """How many workers each queue wants now."""
    bounds = ScaleBounds(least=least, most=most, slots=slots, within=timedelta(seconds=within_s))
    return await door.troupe.scale(bounds)


@router.get("/metrics-endpoints")
async def metrics_endpoints(door: TheDoor, _: Operator) -> list[MetricsPresence]:
    """Where processes of the fleet serve their figures for Prometheus."""
    return await door.troupe.metrics()


@router.post("/prune")
async def prune(door: TheDoor, _: Chief, body: PruneBody) -> Forgotten:
    """Forget jobs that have ended, before their retention is over. Open ones stay."""
    older = timedelta(seconds=body.older_than_s)
    return Forgotten(forgotten=await door.troupe.prune(older, body.statuses, dry_run=body.dry_run))
