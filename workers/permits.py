"""Steps that a person must let begin: they wait before anything of them is done."""

from typing import Final

from pydantic import JsonValue, ValidationError

from tasks.decisions import ApprovalDenied, ApprovalExpired, StepEdit
from tasks.redaction import redact, redact_text
from tasks.store.waits import WaitKind
from workers.context import StepContext
from workers.people import EXPIRED, FORGED

KEY: Final = "begin"


def await_permit(context: StepContext) -> None:
    """Let the step begin, changed where the person has changed it.

    Raises:
        Parked: nobody has decided yet.
        ApprovalDenied: it may not begin, or nobody can be asked here.
        ApprovalExpired: nobody decided in time.
    """
    step, people = context.claim.step, context.people
    if people is None or not context.parks:
        raise ApprovalDenied(f"step {step.id!r} needs a person's approval, and nobody is asked here")
    work: dict[str, JsonValue] = {"description": step.description, "input": step.input}
    shown = {"description": redact_text(step.description), "input": redact(step.input)}
    asked: dict[str, JsonValue] = {"work": shown, "arguments": people.fingerprint(work)}
    # Not the same key for all: an agent that takes the step over asks for itself.
    decision = context.consult(f"{KEY}-{step.agent}", WaitKind.APPROVAL, asked, same=("agent", "arguments"))
    kind = decision.get("kind")
    if kind == EXPIRED:
        raise ApprovalExpired(f"nobody let step {step.id!r} begin in time")
    if kind == FORGED:
        raise ApprovalDenied(f"the approval of step {step.id!r} is not genuine: it is not signed by this fleet")
    if kind != "approved":
        reason = str(decision.get("reason") or "").strip()
        raise ApprovalDenied(f"a person did not let step {step.id!r} begin" + (f": {reason}" if reason else ""))
    if decision.get("input") is not None:
        _edit(context, decision["input"])


def _edit(context: StepContext, edit: JsonValue) -> None:
    try:
        changes = StepEdit.model_validate(edit).changes()
    except ValidationError as error:
        fault = error.errors()[0]["msg"]
        said = f"what was approved in place of step {context.claim.step.id!r} is none: {fault}"
        raise ApprovalDenied(said) from error
    step = context.claim.step.model_copy(update=changes)
    context.claim = context.claim.model_copy(update={"step": step})
