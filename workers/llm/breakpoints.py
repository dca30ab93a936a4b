"""Where a prompt is kept in the provider's cache: the breakpoints of a request.

A prefix (tools, then system, then messages) is kept up to each block with `cache_control`; at most four blocks may have
one. From each of them the provider looks back over twenty blocks for something that is kept already
(https://platform.claude.com/docs/en/build-with-claude/prompt-caching). The four are:

1. the end of tools and system, which all conversations of an agent begin with;
2. the end of what steps of one job share of the opening;
3. the end of the user's message before the last one, where the request before this one ended: a turn may have more than
   twenty blocks, and then nothing would be found from
4. the end of the user's last message, which moves with the conversation.
"""

from collections.abc import Sequence
from typing import Any, Final, Literal

from workers.llm.base import Block, ChatMessage
from workers.llm.tokens import CHARS_PER_TOKEN, estimate_tokens

Ttl = Literal["5m", "1h"]

TINY: Final = 128
"""Tokens, as estimated, below which tools and system are left as they are: no model keeps so little. Far below the
provider's least, for the estimate is far off in some scripts."""
WORTH: Final = 512
"""Tokens of an opening from which it is kept: to write costs a quarter of the price more, and many a step ends with its
first answer."""


def mark(arguments: dict[str, Any], ttl: Ttl, *, shared_chars: int = 0) -> None:
    """Set the breakpoints of a request. Only system, tools and user messages get any, and only copies are changed.

    Args:
        arguments: Of the SDK's `messages.create`; its lists are replaced where something is marked.
        ttl: For what conversations share; what only one needs is kept for five minutes.
        shared_chars: Length of the beginning of the first message that other conversations have too. There the message
            is split, in every request of the conversation alike.
    """
    control: Block = {"type": "ephemeral"} if ttl == "5m" else {"type": "ephemeral", "ttl": ttl}
    tools, system = arguments.get("tools", []), arguments.get("system", "")
    if estimate_tokens([tools, system]) >= TINY:
        if system:
            arguments["system"] = [{"type": "text", "text": system, "cache_control": control}]
        else:
            arguments["tools"] = [*tools[:-1], {**tools[-1], "cache_control": control}]
    given: list[Any] = arguments["messages"]
    if not given or not all(isinstance(one, dict) for one in given):
        return  # what is no message goes out as it is: the provider's words for it are the better ones
    messages: list[ChatMessage] = list(given)
    if any("cache_control" in block for one in messages for block in _blocks(one)):
        return  # the caller has set its own: with ours there might be more than four
    messages[0] = _split(messages[0], shared_chars, control)
    for at in _moving(messages, goes_on=bool(tools)):
        messages[at] = _marked(messages[at])
    arguments["messages"] = messages


def shared_text(messages: Sequence[ChatMessage], shared_chars: int) -> str:
    """The part of the first message that `mark` marks for others; empty when it marks none."""
    if shared_chars < WORTH * CHARS_PER_TOKEN:
        return ""
    content = messages[0]["content"]
    text = content if isinstance(content, str) else str(content[0].get("text", "")) if content else ""
    return text[:shared_chars] if text[shared_chars:].strip() else ""


def _split(message: ChatMessage, shared_chars: int, control: Block) -> ChatMessage:
    shared = shared_text([message], shared_chars)
    if not shared:
        return message
    first, *rest = _blocks(message)
    own = {**first, "text": str(first["text"])[len(shared) :]}
    return {"role": message["role"], "content": [{**first, "text": shared, "cache_control": dict(control)}, own, *rest]}


def _moving(messages: Sequence[ChatMessage], *, goes_on: bool) -> list[int]:
    """The user's last two messages; of a conversation that only begins, its opening if it is long and may go on."""
    ours = [at for at, one in enumerate(messages) if one["role"] == "user"]
    if len(messages) == 1 and not (goes_on and estimate_tokens(list(messages)) >= WORTH):
        return []
    return ours[-2:]


def _marked(message: ChatMessage) -> ChatMessage:
    blocks = _blocks(message)
    if not blocks:
        return message
    return {"role": message["role"], "content": [*blocks[:-1], {**blocks[-1], "cache_control": {"type": "ephemeral"}}]}


def _blocks(message: ChatMessage) -> list[Block]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content
