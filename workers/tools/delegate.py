"""The tool by which a model has other agents do something. The step waits without holding a worker."""

from collections.abc import Sequence
from typing import Final

from pydantic import JsonValue

from tasks.models import PlannedStep
from workers.context import current_step
from workers.delegation import as_text, refusal, results, wanted
from workers.tools.base import Tool, ToolError
from workers.tools.current import current_call

NAME: Final = "delegate"
DESCRIPTION: Final = (
    "Have another agent do a part of the work, and get its result. Say all that it needs to know: it sees the job's "
    "task, but not this conversation. Several calls in one turn are done at the same time."
)


def delegate_tool(agents: Sequence[str]) -> Tool:
    """The tool for an agent that may delegate to these."""
    names = sorted(agents)
    return Tool(
        name=NAME,
        description=DESCRIPTION,
        function=_delegate,
        in_envelopes=True,
        given_schema={
            "type": "object",
            "properties": {
                "agent": {"type": "string", "enum": [*names], "description": "Who does it."},
                "task": {"type": "string", "description": "What to do, complete in itself."},
            },
            "required": ["agent", "task"],
            "additionalProperties": False,
        },
    )


async def _delegate(arguments: dict[str, JsonValue]) -> str:
    agent, task = arguments.get("agent"), arguments.get("task")
    if not isinstance(agent, str) or not isinstance(task, str) or not task.strip():
        raise ToolError("invalid_input", "give the name of an agent and a task for it, both as text")
    context = current_step()
    step = PlannedStep(id="child", description=task, agent=agent)
    (wait,) = context.outcome([wanted(current_call().key, [step])])
    refused = refusal(wait)
    if refused is not None:
        raise ToolError("not_delegated", f"it was not done: {refused}")
    return as_text(context, results(context, wait))
