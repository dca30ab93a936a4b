"""Steps that a running step has others do: asked for, waited for without holding a worker, and their results."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from pydantic import JsonValue

from tasks.models import PlannedStep, StepInput
from tasks.states import StepStatus
from tasks.store.waits import Wait, WaitKind, Wanted
from workers.agents.envelope import cut, wrap

if TYPE_CHECKING:
    from workers.context import StepContext

MAX_CHARS: Final = 16_000
"""Longest text that comes back from one delegation to a model."""


def wanted(key: str, steps: Sequence[PlannedStep], tools: Sequence[str] | None = None) -> Wanted:
    """The wait for some steps.

    Args:
        tools: The only tools that their agents may use; they never get more than the asking step has.
    """
    data: dict[str, JsonValue] = {"steps": [step.model_dump(mode="json", exclude_defaults=True) for step in steps]}
    if tools is not None:
        data["tools"] = list(tools)
    return Wanted(key, WaitKind.CHILDREN, json.dumps(data, ensure_ascii=False))


def results(context: "StepContext", wait: Wait) -> list[StepInput]:
    """What the steps of a wait came to, in their order."""
    found = {item.step: item for item in context.claim.inputs}
    return [found[child] for child in wait.children if child in found]


def refusal(wait: Wait) -> str | None:
    """Why the steps may not be done; None: they were."""
    outcome = wait.outcome or {}
    if outcome.get("kind") == "refused":
        faults = outcome.get("faults")
        return "; ".join(str(fault) for fault in faults) if isinstance(faults, list) else "they may not be done"
    return None


def as_text(context: "StepContext", items: Sequence[StepInput]) -> str:
    """Results for a model: other agents' words, in envelopes; their sources may be cited."""
    return "\n\n".join(_one(context, item) for item in items)


def _one(context: "StepContext", item: StepInput) -> str:
    attributes = {"step": item.step, "agent": item.agent, "status": item.status, "about": item.description[:200]}
    if item.result is not None:
        for source in item.result.sources:
            context.cite(source)
    text = item.result.text if item.result else ""
    if item.status is not StepStatus.SUCCEEDED:
        why = item.failure.message if item.failure else "no result"
        text = f"(incomplete: {why})\n\n{text}" if text else f"(nothing: {why})"
    return wrap("input", cut(text, MAX_CHARS), attributes)
