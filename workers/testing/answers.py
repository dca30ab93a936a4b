"""Messages that the fake API answers with."""

from typing import Any

from workers.llm.tokens import estimate_tokens
from workers.testing.behaviours import Say
from workers.testing.cache import CacheUse

Json = dict[str, Any]


def message(say: Say, number: int, body: Json, prompt: CacheUse) -> Json:
    """The whole answer; its usage is estimated, what the behaviour says goes over it."""
    content: list[Any] = [{"type": "text", "text": say.content}] if isinstance(say.content, str) else say.content
    calls = any(block.get("type") == "tool_use" for block in content)
    usage: Json = {**prompt.usage(), "output_tokens": estimate_tokens(content), "service_tier": "standard"}
    return {
        "id": f"msg_fake_{number:06d}",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": content,
        "stop_reason": say.stop_reason or ("tool_use" if calls else "end_turn"),
        "stop_sequence": None,
        "stop_details": say.stop_details,
        "usage": {**usage, **(say.usage or {})},
    }


def request_id(number: int) -> str:
    """The id of a request, as its answer carries it."""
    return f"req_fake_{number:06d}"
