"""The answer when nothing is left to pay a model for writing it: what the steps found, as it stands."""

from tasks.models import Claim, StepInput


def gathered(claim: Claim, reason: str) -> str:
    """The findings under the descriptions of their steps, and what is missing. Cites as the findings do.

    Args:
        reason: Why no model wrote the answer.
    """
    found = [item for item in claim.inputs if item.result is not None and item.result.text.strip()]
    parts = [f"*This answer was put together without a model: {reason}.*"]
    parts += [_section(item) for item in found]
    missing = [_missing(item) for item in claim.inputs if item.failure is not None or item.result is None]
    if missing:
        parts.append("**Missing:**\n" + "\n".join(missing))
    if not found:
        parts.append("No step found anything.")
    return "\n\n".join(parts)


def _section(item: StepInput) -> str:
    text = item.result.text.strip() if item.result else ""
    part = " (incomplete)" if item.failure is not None else ""
    return f"**{item.description}**{part}\n\n{text}"


def _missing(item: StepInput) -> str:
    why = item.failure.message if item.failure else "no result"
    return f"- {item.description}: {why}"
