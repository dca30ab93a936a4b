"""How coordinating code has parts done and decisions made. It runs again from its beginning whenever something has
come, so all that it does is the same each time."""

from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

from pydantic import BaseModel, JsonValue, ValidationError

from tasks.errors import StepFailed
from tasks.models import StepInput
from tasks.patterns.compile import steps_of
from tasks.patterns.forms import Pattern, Work
from tasks.states import FINAL_STEP, StepStatus
from workers.agents.base import AgentReply
from workers.context import StepContext

F = TypeVar("F", bound=BaseModel)

MAX_FEEDBACK_CHARS: Final = 2_000
"""Of what one agent says of another's work, as far as it becomes part of a task."""


class PatternFailed(StepFailed):
    """A pattern came to no result: its parts failed, or a decision could not be used."""

    code = "pattern_failed"


class Crew:
    """The agents that one coordinating step has do something."""

    def __init__(self, context: StepContext) -> None:
        self.context = context
        given = {item.step: item for item in context.claim.inputs}
        self.before = [given[one] for one in context.claim.step.depends_on if one in given]
        """What the step itself depends on: the parts that it has done may see it too."""

    async def run(self, part: Pattern, after: Sequence[StepInput] = ()) -> StepInput:
        """Have a part done, and get its last step.

        Args:
            after: What it can see, beside what the coordinating step depends on.
        """
        steps, _ = steps_of(part, self._ids(after))
        return (await self.context.delegate_all(steps))[-1]  # the only one that nothing depends on comes last

    async def decide(
        self,
        agent: str,
        task: str,
        form: type[F],
        *,
        after: Sequence[StepInput] = (),
        told: Mapping[str, JsonValue] | None = None,
    ) -> tuple[F, StepInput]:
        """Have a model decide something.

        Raises:
            PatternFailed: it did not.
        """
        item = await self.run(Work(task=task, agent=agent, input=dict(told or {})), after)
        if item.status is not StepStatus.SUCCEEDED or item.result is None:
            raise PatternFailed(f"{agent}: {why(item)}")
        try:
            return form.model_validate(item.result.data), item
        except ValidationError as error:
            raise PatternFailed(f"{agent}: its decision has not the form {form.__name__}") from error

    def say(self, message: str) -> None:
        """Show people one line, once: not again when the code runs again."""
        if self.context.asked >= len(self.context.waits):
            self.context.progress(message)

    def reply(self, item: StepInput, **facts: JsonValue) -> AgentReply:
        """The result of a part as that of the pattern.

        Raises:
            PatternFailed: it has none.
        """
        if item.result is None or item.status is not StepStatus.SUCCEEDED:
            if item.result is not None:
                self.context.said.append(item.result.text)
            raise PatternFailed(f"{item.description[:200]}: {why(item)}")
        return AgentReply(item.result.text, {**facts, "step": item.step}, item.result.model)

    def _ids(self, after: Sequence[StepInput]) -> list[str]:
        ended = [one for one in [*self.before, *after] if one.status in FINAL_STEP]
        return list(dict.fromkeys(one.step for one in ended))


def good(items: Sequence[StepInput]) -> list[StepInput]:
    """Those that succeeded, in their order."""
    return [one for one in items if one.status is StepStatus.SUCCEEDED and one.result is not None]


def why(item: StepInput) -> str:
    """Why there is no result."""
    return item.failure.message if item.failure else f"it was {item.status.value}"


def gathered(items: Sequence[StepInput]) -> str:
    """Results as one text, each under what it was for; alone it stands as it is. What is missing is said."""
    found = good(items)
    missing = [f"- Missing: {one.description}: {why(one)}" for one in items if one not in found]
    texts = [one.result.text for one in found if one.result]
    if len(texts) > 1:
        texts = [f"**{one.description}**\n\n{text}" for one, text in zip(found, texts, strict=True)]
    return "\n\n".join([*texts, *(["\n".join(missing)] if missing else [])])
