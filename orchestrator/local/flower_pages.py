"""Those of Flower's requests that are answered by us, and how tasks are shown on its pages."""

from collections.abc import Callable
from typing import Any, Final, cast

from celery import states
from flower.api import BaseApiHandler
from tornado.routing import PathMatches, Rule
from tornado.web import HTTPError, RequestHandler, authenticated

REPLY_WITHIN_S: Final = 5.0
"""How long a worker may take to answer: it asks the store."""

NO_PUBLISHING: Final = "Flower cannot give Troupe's agents work: submit jobs with `troupe submit`, or from Python"
NO_RATE_LIMIT: Final = "Troupe holds back calls, not messages: TROUPE_RATE_LIMITS for models, rate limits of tools"
NO_TIME_LIMIT: Final = "Steps have times of their own: timeout_ms and total_ms of a step, or of its agent"
NO_RESULTS: Final = "Troupe keeps results in its store, not with Celery: `troupe result JOB`"

REFUSED: Final = (
    ("apply|async-apply|send-task", NO_PUBLISHING),
    ("rate-limit", NO_RATE_LIMIT),
    ("timeout", NO_TIME_LIMIT),
    ("result|abort", NO_RESULTS),
)


def pages(prefix: str) -> list[Rule]:
    """Rules of Tornado that take the requests that are ours.

    Args:
        prefix: What all of Flower's addresses begin with.
    """
    base = f"/{prefix.strip('/')}/api/task" if prefix.strip("/") else "/api/task"
    made = [Rule(PathMatches(rf"{base}/revoke/(.+)"), Revoke)]
    for names, reason in REFUSED:
        made.append(Rule(PathMatches(rf"{base}/(?:{names})/.+"), Refused, {"reason": reason}))
    return made


def as_shown(known: Callable[[str], bool]) -> Callable[[Any], Any]:
    """How a task stands on the pages: what it ended with is in the column of results, also when it was no success; a
    task that Flower has never seen, as the planner's of a job that brought its plan, is not pointed at.

    Args:
        known: Whether Flower has seen a task.
    """

    def shown(task: Any) -> Any:
        if task.state in {states.FAILURE, states.RETRY, states.REVOKED} and task.exception:
            task.result = task.exception
        for name in ("root_id", "parent_id"):
            if getattr(task, name) is not None and not known(getattr(task, name)):
                setattr(task, name, None)
        return task  # Flower gives away a copy

    return shown


class Revoke(cast(Any, BaseApiHandler)):
    """Asks the workers to cancel a task's job, and says what came of it. Flower's says `Revoked` before any has."""

    @authenticated
    async def post(self, task_id: str) -> None:
        """Revoke or terminate: the same here."""
        handler = cast(Any, self)
        if handler.application.options.read_only:
            raise HTTPError(403, "Read only mode is enabled")
        replies: list[dict[str, dict[str, str]]] = await handler.run_blocking(
            "task.revoke",
            task_id,
            handler.capp.control.broadcast,
            "revoke",
            arguments={"task_id": task_id},
            reply=True,
            limit=1,
            timeout=REPLY_WITHIN_S,
        )
        answer = next((said for reply in replies or [] for said in reply.values()), None)
        if answer is None:
            raise HTTPError(503, "no worker answered: use `troupe cancel JOB`")
        if "ok" not in answer:
            raise HTTPError(409, "%s", answer.get("error", "refused"))
        handler.write({"message": answer["ok"]})


class Refused(cast(Any, BaseApiHandler)):
    """Answers that this is not done here, and how it is."""

    def initialize(self, reason: str) -> None:
        """What to say."""
        self.reason = reason

    @authenticated
    def post(self) -> None:
        """Refuse."""
        handler = cast(RequestHandler, self)
        handler.set_status(403)
        handler.set_header("Content-Type", "text/html; charset=UTF-8")
        cast(Any, handler).finish(f"<p>{self.reason}</p>")

    get = post
