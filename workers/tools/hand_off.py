"""The tool by which a model hands its conversation over to another agent, which goes on in its place."""

import json
import re
from collections.abc import Sequence
from typing import Final

from pydantic import JsonValue

from tasks.store.waits import Wait, WaitKind, Wanted
from workers.context import current_step
from workers.delegation import refusal
from workers.tools.base import Tool, ToolError
from workers.tools.current import current_call

NAME: Final = "hand_off"
DESCRIPTION: Final = (
    "Hand this conversation over to another agent, which goes on in your place and sees all of it. You are done then: "
    "say nothing more. For a part of the work whose result you need yourself, do not use this."
)
MAX_REASON_CHARS: Final = 2_000


def hand_off_tool(agents: Sequence[str]) -> Tool:
    """The tool for an agent that may hand over to these."""
    return Tool(
        name=NAME,
        description=DESCRIPTION,
        function=_hand_off,
        given_schema={
            "type": "object",
            "properties": {
                "agent": {"type": "string", "enum": [*sorted(agents)], "description": "Who goes on."},
                "reason": {"type": "string", "description": "Why, and what is left to do."},
            },
            "required": ["agent", "reason"],
            "additionalProperties": False,
        },
    )


def key_of(call_id: str) -> str:
    """The key of the wait of one call."""
    return f"h-{re.sub(r'[^A-Za-z0-9_-]', '_', call_id)}"


def handed_over(wait: Wait | None) -> str | None:
    """What the agent that goes on reads as the call's result; None: it was not handed over."""
    outcome = (wait.outcome or {}) if wait is not None else {}
    if outcome.get("kind") != "handed_over":
        return None
    return f"{outcome.get('agent')} has handed this conversation over to you, {outcome.get('to')}. Go on from here."


async def _hand_off(arguments: dict[str, JsonValue]) -> str:
    agent, reason = arguments.get("agent"), arguments.get("reason")
    if not isinstance(agent, str) or not isinstance(reason, str):
        raise ToolError("invalid_input", "give the name of an agent and a reason, both as text")
    wish = json.dumps({"agent": agent, "reason": reason[:MAX_REASON_CHARS]}, ensure_ascii=False)
    (wait,) = current_step().outcome([Wanted(key_of(current_call().call_id), WaitKind.HAND_OFF, wish)])
    raise ToolError("not_handed_off", f"you still have it: {refusal(wait) or 'nobody took it'}")
