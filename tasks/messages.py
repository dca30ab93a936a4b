"""The Celery message of one attempt: small, readable in Flower, and only a hint. The store is the truth.

Task name = agent, queue = the agent's queue, task id = `job:step:attempt`, root id = the job's first planning task.
"""

import json
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from tasks.ids import JOB_ID, AttemptRef, JobId
from tasks.models import Name, Step, StepName
from tasks.redaction import excerpt
from tasks.wire import Wire

MESSAGE_VERSION: Final = 1
MAX_GOAL_CHARS: Final = 120
"""Flower shows arguments in one table cell."""


MAX_SHOWN_CHARS: Final = 1000
"""What is looked at of a description; several times what is shown, since masks and blanks make it shorter."""
MAX_GOAL_BYTES: Final = 600
"""The same as JSON, where an emoji takes twelve: the whole message is to stay below 4 KiB."""


def _shortened(goal: str) -> str:
    kept = goal[:MAX_GOAL_CHARS]
    while len(json.dumps(kept)) > MAX_GOAL_BYTES:
        kept = kept[:-8]
    return goal if kept == goal else kept[: MAX_GOAL_CHARS - 1] + "…"


def _check_job_id(text: str) -> str:
    if JOB_ID.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not a job id")
    return text


class StepMessage(Wire):
    """Keyword arguments of the Celery task."""

    v: Literal[1] = MESSAGE_VERSION
    job: Annotated[JobId, AfterValidator(_check_job_id)]
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
    queue: str
    """A queue's name, or that of one of its versions: `tasks.queues.of_version`."""
    message: StepMessage

    @classmethod
    def of(cls, job: JobId, step: Step, attempt: int, queue: str | None = None) -> "Dispatch":
        """The dispatch of one attempt at a step, to its queue unless another one is given."""
        goal = _shortened(" ".join(excerpt(step.description, MAX_SHOWN_CHARS).split()))
        return cls(
            agent=step.agent,
            queue=queue or step.queue,
            message=StepMessage(job=job, step=step.id, attempt=attempt, goal=goal),
        )
