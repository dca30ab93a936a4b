"""Why a tool call gave no result, or not all of it. A tool may add codes of its own by raising `ToolError`."""

from enum import StrEnum


class Code(StrEnum):
    """Stable names; `ToolCall.code`, events and statistics carry them."""

    UNKNOWN_TOOL = "unknown_tool"
    """There is no tool of that name; the model is told which there are."""
    INVALID_INPUT = "invalid_input"
    """The arguments do not fit; the tool was not run."""
    TIMEOUT = "timeout"
    """It did not end in time."""
    RATE_LIMITED = "rate_limited"
    """Its rate limit leaves no room soon enough, or could not be asked."""
    DENIED = "denied"
    """It needs approval and has none."""
    CANCELLED = "cancelled"
    """It was stopped from outside, or cancelled itself."""
    RAISED = "raised"
    """It raised, or returned what is no text, model or JSON."""
    OUTPUT_TOO_LARGE = "output_too_large"
    """The output was cut; the call succeeded all the same."""
    REPEATED_CALL = "repeated_call"
    """The same call had the same outcome several times; it was not made once more."""
    MAX_USES = "max_uses"
    """The step has used the tool as often as it may."""
