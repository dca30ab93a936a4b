"""Asking people: questions of a model, and their yes to what a tool would do."""

import json
from datetime import timedelta
from typing import Any, Final

from pydantic import JsonValue, SecretStr

from tasks.signing import approval_parts, digest, is_signed
from tasks.store.waits import WaitKind, Wanted
from workers.context import StepContext, running_step
from workers.tools.base import ToolError, tool
from workers.tools.controls import Approval, Verdict
from workers.tools.current import current_call

ASK: Final = "ask_user"


def question(key: str, text: str, options: list[str] | None = None, expires: timedelta | None = None) -> Wanted:
    """The wait for an answer."""
    data: dict[str, JsonValue] = {"question": text}
    if options:
        data["options"] = [*options]
    return Wanted(key, WaitKind.QUESTION, json.dumps(data, ensure_ascii=False), expires)


@tool
async def ask_user(question_text: str, options: list[str] | None = None) -> str:
    """Ask the person whose task this is, when something decisive is missing that you cannot find out.

    The answer can take hours.

    Args:
        question_text: One question, complete in itself.
        options: Answers to choose from, if there are only these.
    """
    context = running_step()
    if context is None:
        raise ToolError("nobody_there", "nobody can be asked here")
    (wait,) = context.outcome([question(current_call().key, question_text, options)])
    outcome = wait.outcome or {}
    if outcome.get("kind") != "answer":
        raise ToolError("no_answer", "nobody answered in time: go on with what you have, and say what you assumed")
    return str(outcome.get("text"))


class StoreDesk:
    """Asks people for their yes: the step is parked until they have decided."""

    def __init__(self, secret: SecretStr, expires: timedelta | None = None) -> None:
        """Take what approvals are signed with, and how long they are waited for."""
        self._secret = secret
        self._expires = expires

    async def decide(self, request: Approval) -> Verdict:
        """See `ApprovalDesk.decide`.

        Raises:
            Parked: nobody has decided yet.
        """
        context, name = running_step(), request.tool.name
        if context is None or not context.parks:
            return Verdict(approved=False, reason=f"{name} needs a person's approval, and nobody is asked here")
        data = {"tool": name, "input": request.input, "digest": request.digest, "agent": context.claim.step.agent}
        wish = Wanted(f"a-{request.key}", WaitKind.APPROVAL, json.dumps(data, ensure_ascii=False), self._expires)
        (wait,) = context.outcome([wish])
        return self._verdict(context, request, wish.key, wait.outcome or {})

    def _verdict(self, context: StepContext, request: Approval, key: str, outcome: dict[str, Any]) -> Verdict:
        name = request.tool.name
        if outcome.get("kind") == "expired":
            return Verdict(approved=False, reason=f"nobody approved this call of {name} in time")
        if outcome.get("kind") != "approved":
            said = str(outcome.get("reason") or "").strip()
            return Verdict(
                approved=False, reason=f"a person refused this call of {name}" + (f": {said}" if said else "")
            )
        edited: JsonValue = outcome.get("input")
        what = request.digest if edited is None else digest(edited)
        claim = context.claim
        parts = approval_parts(claim.job.id, claim.step.id, key, name, what)
        if not is_signed(self._secret, outcome.get("signature"), *parts):
            return Verdict(approved=False, reason=f"the approval of this call of {name} is not signed by this fleet")
        return Verdict(approved=True, input=edited)
