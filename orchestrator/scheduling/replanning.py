"""Planning again, when a plan has ended without all of its results."""

import json
from datetime import UTC, datetime

import structlog

from orchestrator.planning.replan import again, lacking
from orchestrator.settings import OrchestratorSettings
from tasks.ids import JobId
from tasks.models import AgentDefinition
from tasks.states import TaskStatus
from tasks.store import JobStore, Snapshots

log = structlog.get_logger("orchestrator")


async def plan_again(
    jobs: JobStore, snapshots: Snapshots, job: JobId, agents: list[AgentDefinition], limits: OrchestratorSettings
) -> None:
    """Put the step that plans again before the answer; nothing when the answer does not wait for it any more."""
    record = await snapshots.job(job)
    steps = again(record, agents, limits, datetime.now(UTC))
    if record.final or not steps:
        return
    step, short = steps[0].step.id, lacking(record)
    log.info("plan_extended", added=step, lacking=short)
    data = json.dumps({"step": step, "lacking": short}, ensure_ascii=False)
    event, status = "plan_extended", TaskStatus.IN_PROGRESS
    await jobs.extend(job, record.revision, steps, status=status, event=event, data=data)
