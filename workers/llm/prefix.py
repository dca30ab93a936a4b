"""The beginnings of prompts that the provider's cache may hold for several calls, by digest."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from workers.llm.base import ModelRequest
from workers.llm.breakpoints import shared_text
from workers.llm.payload import payload
from workers.llm.tokens import estimate_tokens


@dataclass(frozen=True, slots=True)
class Prefix:
    """How a prompt begins."""

    keys: tuple[str, ...]
    """Digests of its kept beginnings, the shorter one first; none when all of it is too short to be kept."""
    parts: Mapping[str, str]
    """Digests of what all calls of an agent should have in common: `tools`, `system`, and `form` of the answer."""


def prefix_of(request: ModelRequest, *, minimum: int, whose: str = "") -> Prefix:
    """Find what the provider keeps of a prompt for other calls: tools and system, then what the openings share.

    Args:
        minimum: Tokens from which the model's prompts are kept. The sizes are estimated.
        whose: On whose behalf the call is made; nobody reads what is kept for another one.

    Raises:
        ContractError: no schema can be made of `request.output`.
    """
    # The form of an answer stands before the messages in what the model reads, so it is part of what must be the same.
    arguments = payload(request, model=request.model, max_output=1)
    config = arguments.get("output_config", {})
    parts = {"tools": arguments.get("tools", []), "system": request.system, "form": config.get("format")}
    digests = {name: _digest(part) for name, part in parts.items()}
    shared = shared_text(request.messages, request.shared_chars)
    first = _digest([whose, request.model, digests])
    # These change nothing before the messages, but all that comes with them.
    rest = [request.tool_choice, request.thinking, request.effort]
    size = estimate_tokens([parts["tools"], request.system])
    keys = [(size, first)]
    if shared:
        keys.append((size + estimate_tokens(shared), _digest([first, rest, shared])))
    return Prefix(tuple(key for tokens, key in keys if tokens >= minimum), digests)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:32]
