"""The Celery message of one attempt: small, readable in Flower, and only a hint. The store is the truth.

Task name = agent, queue = the agent's queue, task id = `job:step:attempt`, root id = the job's first planning task.
"""

from typing import Final

from pydantic import Field

from tasks.ids import AttemptRef, JobId
from tasks.models import Name, Step, StepName, Wire

MESSAGE_VERSION: Final = 1
MAX_GOAL_CHARS: Final = 120
"""Flower shows arguments in one table cell."""


class StepMessage(Wire):
    """Keyword arguments of the Celery task."""

    v: int = MESSAGE_VERSION
    job: JobId
    step: StepName
    attempt: int = Field(ge=1)
    goal: str
    """Beginning of the step's description, for people."""

    @property
    def ref(self) -> AttemptRef:
        """The attempt that the message is about."""
        return AttemptRef(self.job, self.step, self.attempt)


class Dispatch(Wire):
    """One message to publish, with where to."""

    agent: Name
    queue: Name
    message: StepMessage

    @classmethod
    def of(cls, job: JobId, step: Step, attempt: int) -> "Dispatch":
        """The dispatch of one attempt at a step."""
        goal = " ".join(step.description.split())
        if len(goal) > MAX_GOAL_CHARS:
            goal = goal[: MAX_GOAL_CHARS - 1] + "…"
        return cls(
            agent=step.agent,
            queue=step.queue,
            message=StepMessage(job=job, step=step.id, attempt=attempt, goal=goal),
        )
