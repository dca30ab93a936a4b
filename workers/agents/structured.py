"""Answers that must have a form: read, checked by Pydantic, and the faults put into words for a repair turn."""

import re
from typing import Final

from pydantic import BaseModel, JsonValue, ValidationError

from tasks.models import Plan
from workers.llm.base import ModelReply

MAX_FAULTS: Final = 10
MAX_FAULTS_CHARS: Final = 1000
MAX_RAW_CHARS: Final = 500
"""How much of an answer that does not fit a failure's message keeps."""
_FENCED: Final = re.compile(r"```(?:json)?[ \t]*\n(.*?)\n[ \t]*```", re.DOTALL)


def read_output(output: type[BaseModel], reply: ModelReply) -> tuple[BaseModel, str]:
    """The answer in its form, and its JSON text.

    Models put words or a fence around it where the provider does not hold them to the form; that costs no repair turn.

    Raises:
        ValidationError: it does not fit, however it is taken.
    """
    texts = _candidates(reply)
    for text in texts[:-1]:
        try:
            return output.model_validate_json(text), text
        except ValidationError:
            continue
    return output.model_validate_json(texts[-1]), texts[-1]


def describe(error: ValidationError) -> str:
    """Pydantic's faults in words a model can act on, bounded."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    said = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'text'}: {one['msg']}" for one in faults[:MAX_FAULTS])
    return said if len(said) <= MAX_FAULTS_CHARS else f"{said[:MAX_FAULTS_CHARS]}…"


def data_of(value: BaseModel) -> JsonValue:
    """The answer as it is stored."""
    # A plan goes to the orchestrator, perhaps of an older release: it cannot read fields that came later.
    return value.model_dump(mode="json", exclude_defaults=isinstance(value, Plan))


def begins(raw: str) -> str:
    """The beginning of an answer, for a message."""
    return raw if len(raw) <= MAX_RAW_CHARS else f"{raw[:MAX_RAW_CHARS]}…"


def _candidates(reply: ModelReply) -> list[str]:
    """Texts that may be the answer, best first: all text; that after the last tool; what stands in a single fence."""
    last: list[str] = []
    for block in reply.content:
        last = [*last, str(block.get("text", ""))] if block.get("type") == "text" else []
    whole = reply.text.strip()
    fenced = _FENCED.findall(whole)
    found = [whole, "".join(last).strip(), *(fenced if len(fenced) == 1 else [])]
    return [text for at, text in enumerate(found) if text and text not in found[:at]]
