"""The functions that Celery calls: one for each agent, under the agent's name."""

from collections.abc import Callable
from typing import Any, Final, cast

import structlog
from celery import Celery
from pydantic import ValidationError

from tasks.errors import StepFailed
from tasks.messages import StepMessage
from workers.agents.registry import AgentRegistry
from workers.process import WorkerProcess

log = structlog.get_logger("worker")

FAILED: Final = "failed: "
MAX_FIELDS: Final = 20
MAX_REASON_CHARS: Final = 500


def register(app: Celery, agents: AgentRegistry, process: WorkerProcess) -> None:
    """Give the app a handler for every agent. Which ones are called is a matter of the queues."""
    for agent in agents:
        options: dict[str, Any] = {"name": agent.name, "shared": False, "throws": (StepFailed,), "acks_late": False}
        options["send_events"] = False  # `workers.shown` sends them, of attempts that are really made
        cast(Any, app).task(**options)(_handler(process))


def _handler(process: WorkerProcess) -> Callable[..., str]:
    def handle(**message: Any) -> str:
        """Run the attempt that the message is about.

        Returns:
            What became of it, for Celery's log and signals: succeeded, dropped, stopped or refused, with the reason.

        Raises:
            StepFailed: the attempt was settled as failed. Nothing else follows from it: what happens next is the
                orchestrator's decision.
        """
        try:
            ref = StepMessage.model_validate(message).ref
        except ValidationError as error:
            # Dropping loses nothing: the step's timer brings it back, to a worker of a newer release perhaps.
            log.error("message_unreadable", fields=sorted(map(str, message))[:MAX_FIELDS], reason=_faults(error))
            return "dropped: this release cannot read the message"
        outcome = process.run(ref)
        if outcome.startswith(FAILED):
            raise StepFailed(outcome.removeprefix(FAILED))
        return outcome

    return handle


def _faults(error: ValidationError) -> str:
    """What is wrong with a message, without what it said: whoever may write to the broker must not fill the log."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(str(part) for part in one['loc'])[:40]}: {one['msg']}" for one in faults)[
        :MAX_REASON_CHARS
    ]
