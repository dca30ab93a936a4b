"""Planning again, when a plan has ended without all of its results."""

import json
from datetime import UTC, datetime

import structlog

from orchestrator.planning.replan import again, lacking
from orchestrator.settings import OrchestratorSettings
from tasks.models import AgentDefinition
from tasks.states import TaskStatus
from tasks.store import JobRecord, JobStore

log = structlog.get_logger("orchestrator")


async def plan_again(
    jobs: JobStore, record: JobRecord, agents: list[AgentDefinition], limits: OrchestratorSettings
) -> None:
    """Put the step that plans again before the answer; nothing when the answer does not wait for it any more."""
    steps = again(record, agents, limits, datetime.now(UTC))
    if record.final or not steps:
        return
    job, step, short = record.spec.id, steps[0].step.id, lacking(record)
    log.info("plan_extended", job=job, step=step, lacking=short)
    data = json.dumps({"step": step, "lacking": short}, ensure_ascii=False)
    event, status = "plan_extended", TaskStatus.IN_PROGRESS
    await jobs.extend(job, record.revision, steps, status=status, event=event, data=data)
