"""The first message of every agent's conversation: the step and all it rests on, piece by piece in envelopes.

Order, from stable to particular: knowledge, tables, agents, conversation, task, inputs, faults, step. `unwrap` reads
it back, which is how the offline model understands what it is asked. What comes before the step is the same for steps
of a plan that rest on the same inputs, so the provider's cache can keep it for all of them.
"""

import json
from collections.abc import Sequence
from typing import Final

from tasks.models import AgentDefinition, Claim, Step, StepInput, StepKind, TableRef
from tasks.patterns.compile import COORDINATOR
from workers.agents.envelope import cut, wrap

MAX_INPUT_CHARS: Final = 60_000
"""Longest text of one input that a model is shown."""
MAX_INPUTS_CHARS: Final = 400_000
"""The same of all inputs together, to equal parts."""


def opening(
    claim: Claim, agents: Sequence[AgentDefinition] = (), knowledge: Sequence[str] = (), conversation: str = ""
) -> str:
    """The user message that opens the conversation about one attempt.

    Args:
        agents: Living agents that a plan may use; given to the planner only.
        knowledge: Knowledge bases that the job searches.
        conversation: What was said before in the job's session; nothing where it is the first message, or has none.
    """
    job, step = claim.job, claim.step
    pieces = [
        wrap("knowledge", json.dumps(list(knowledge or job.knowledge))),
        wrap("tables", json.dumps([_columns_of(table) for table in job.data], ensure_ascii=False)),
    ]
    if shows_agents(step):
        pieces.append(wrap("agents", json.dumps([_about(agent) for agent in agents], ensure_ascii=False)))
    if conversation:
        pieces.append(wrap("conversation", conversation))
    pieces.append(wrap("task", job.task))
    inputs = [item for item in claim.inputs if not _adds_nothing(item)]
    most = min(MAX_INPUT_CHARS, MAX_INPUTS_CHARS // max(len(inputs), 1))
    pieces.extend(_input(item, most) for item in inputs)
    if isinstance(step.input, dict) and "faults" in step.input:
        pieces.append(wrap("faults", json.dumps(step.input["faults"], ensure_ascii=False)))
    if isinstance(step.input, dict) and "options" in step.input:
        pieces.append(wrap("options", json.dumps(step.input["options"], ensure_ascii=False)))
    pieces.append(wrap("step", step.description, {"id": step.id, "agent": step.agent, "kind": step.kind}))
    return "\n\n".join(pieces)


def shows_agents(step: Step) -> bool:
    """Whether a step is told who there is: planning, also where a pattern asks for a plan."""
    return step.kind is StepKind.PLAN or (isinstance(step.input, dict) and step.input.get("agents") is True)


def shared_chars(opened: str, kind: StepKind) -> int:
    """How much of the beginning of an opening may be that of other steps too; 0 for planning and the final answer, of
    which a job has one each."""
    return max(0, opened.rfind("\n\n<step ")) if kind is StepKind.WORK else 0


def _columns_of(table: TableRef) -> dict[str, object]:
    return {"name": table.name, "columns": list(table.columns)}


def _about(agent: AgentDefinition) -> dict[str, object]:
    return {"name": agent.name, "description": agent.description, "capabilities": list(agent.capabilities)}


def _adds_nothing(item: StepInput) -> bool:
    """Whether a coordinating step found that nothing was missing: no finding, and no gap either."""
    return item.agent == COORDINATOR and item.result is not None and not item.result.text


def _input(item: StepInput, most: int) -> str:
    attributes = {"step": item.step, "agent": item.agent, "status": item.status, "about": item.description[:200]}
    reason = item.failure.message if item.failure else "no result"
    text = cut(item.result.text, most) if item.result is not None else ""
    if item.result is not None and item.failure is not None:
        return wrap("input", f"(incomplete: {reason})\n\n{text}", attributes)
    if item.result is not None:
        return wrap("input", text, attributes)
    return wrap("input", f"(nothing: {reason})", attributes)
