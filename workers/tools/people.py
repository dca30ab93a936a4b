"""Asking people: questions of a model, and their yes to what a tool would do."""

from collections.abc import Mapping
from typing import Final

from pydantic import JsonValue

from tasks.redaction import redact, redact_text
from tasks.store.waits import WaitKind
from workers.context import running_step
from workers.people import EXPIRED, FORGED
from workers.tools.base import ToolError, tool
from workers.tools.controls import Approval, Verdict
from workers.tools.current import current_call

ASK: Final = "ask_user"


@tool
async def ask_user(question_text: str, options: list[str] | None = None) -> str:
    """Ask the person whose task this is, when something decisive is missing that you cannot find out.

    The answer can take hours.

    Args:
        question_text: One question, complete in itself.
        options: Answers to choose from, if there are only these.
    """
    context = running_step()
    if context is None or context.people is None:
        raise ToolError("nobody_there", "nobody can be asked here")
    shown: JsonValue = [redact_text(option) for option in options or []]
    asked: dict[str, JsonValue] = {"question": redact_text(question_text), "options": shown}
    outcome = context.consult(current_call().key, WaitKind.QUESTION, asked)
    if outcome.get("kind") == FORGED:
        raise ToolError("no_answer", "what came back is no genuine answer: go on with what you have, and say so")
    if outcome.get("kind") != "answer":
        raise ToolError("no_answer", "nobody answered in time: go on with what you have, and say what you assumed")
    return str(outcome.get("text"))


class StoreDesk:
    """Asks people for their yes: the step is parked until they have decided."""

    async def decide(self, request: Approval) -> Verdict:
        """See `ApprovalDesk.decide`.

        Raises:
            Parked: nobody has decided yet.
        """
        context, tool = running_step(), request.tool
        if context is None or context.people is None or not context.parks:
            return Verdict(approved=False, reason=f"{tool.name} needs a person's approval, and nobody is asked here")
        shown = redact(request.input, tool.redact, context.secrets.texts)
        arguments = context.people.fingerprint(request.digest)
        asked: dict[str, JsonValue] = {"tool": tool.name, "input": shown, "arguments": arguments}
        outcome = context.consult(
            f"a-{request.key}",
            WaitKind.APPROVAL,
            asked,
            same=("tool", "arguments", "agent"),
            expires=tool.approval_expires,
        )
        return _verdict(tool.name, outcome)


def _verdict(name: str, outcome: Mapping[str, JsonValue]) -> Verdict:
    match outcome.get("kind"):
        case "approved":
            return Verdict(approved=True, input=outcome.get("input"))
        case kind if kind == EXPIRED:
            return Verdict(approved=False, reason=f"nobody approved this call of {name} in time")
        case kind if kind == FORGED:
            return Verdict(approved=False, reason=f"the approval of this call of {name} is not signed by this fleet")
        case _:
            said = str(outcome.get("reason") or "").strip()
            return Verdict(
                approved=False, reason=f"a person refused this call of {name}" + (f": {said}" if said else "")
            )
