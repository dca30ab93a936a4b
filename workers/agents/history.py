"""History: what a model and we have said to each other, as a value that the API always takes.

The rules (https://platform.claude.com/docs/en/agents-and-tools/tool-use/handle-tool-calls): roles alternate and begin
with the user's task; every `tool_use` has its one `tool_result` in the very next message, results before text; what the
assistant said goes back block by block as it came. Messages are only ever added at the end, for on newer models a
thinking block is bound to all that stands before it; `trim`, the exception, takes bound thinking away with it.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from workers.agents.blocks import (
    NOT_RUN,
    THINKING,
    as_blocks,
    calls_in,
    failed_result,
    is_paused,
    is_result,
    kept_of_reply,
    merged,
    text_block,
    without_blanks,
)
from workers.llm.base import Block, ChatMessage

Count = Callable[[Sequence[ChatMessage]], int]
"""Tokens of messages, estimated."""

SHORT_CHARS: Final = 200
"""Results up to this length are not worth emptying."""
EMPTIED: Final = "(This result was left out to make room. Call the tool again if you need it.)"
LEFT_OUT: Final = "(Earlier turns of this conversation were left out here to make room.)"


@dataclass(frozen=True, slots=True)
class History:
    """An immutable conversation; every method gives a new one. Its messages must not be changed by anybody."""

    messages: tuple[ChatMessage, ...] = ()

    @classmethod
    def opening(cls, text: str) -> "History":
        """One that begins with the task."""
        return cls(({"role": "user", "content": text},))

    @property
    def open_calls(self) -> list[Block]:
        """Calls of the last turn without a result yet: they are run, or answered otherwise, before a model is asked."""
        calls, given = _last_turn(self.messages)
        answered = {str(block.get("tool_use_id")) for block in given}
        return [call for call in calls if str(call.get("id")) not in answered]

    def takes(self, calls: Sequence[Block]) -> bool:
        """Whether each of these new calls has an id of its own."""
        made = [str(call.get("id")) for one in self.messages for call in calls_in(as_blocks(one["content"]))]
        new = [str(call.get("id")) for call in calls]
        return len(set(new)) == len(new) and not set(new) & set(made)

    def say(self, text: str) -> "History":
        """Add what we say, beside the results where the user's turn has begun. Calls left open count as not run."""
        return self.close()._add("user", [text_block(text)])

    def reply(self, content: Sequence[Block]) -> "History":
        """Add what the assistant said, verbatim.

        A turn that says nothing (no content, blank text, thinking alone) is left out: the API refuses it as a message.
        """
        kept = kept_of_reply(content)
        return self.close()._add("assistant", kept) if kept else self

    def results(self, blocks: Sequence[Block]) -> "History":
        """Add results of open calls, all or some of them; they come to stand in the order of the calls.

        Raises:
            ValueError: one answers no open call.
        """
        calls, given = _last_turn(self.messages)
        waiting = [str(call.get("id")) for call in self.open_calls]
        strange = [block for block in blocks if str(block.get("tool_use_id")) not in waiting]
        if strange or len({str(block.get("tool_use_id")) for block in blocks}) < len(blocks):
            raise ValueError(f"a result that answers no open call, or a second one: {strange or list(blocks)!r}")
        if not blocks:
            return self
        found = {str(block.get("tool_use_id")): block for block in [*given, *blocks]}
        ordered = [found[key] for call in calls if (key := str(call.get("id"))) in found]
        before = self.messages[:-1] if given else self.messages
        return History((*before, {"role": "user", "content": ordered}))

    def close(self, said: str = NOT_RUN) -> "History":
        """Answer all open calls with an error; the history itself when there are none."""
        waiting = self.open_calls
        return self.results([failed_result(call, said) for call in waiting]) if waiting else self

    def trim(self, bound: int, count: Count, *, bound_thinking: bool = False) -> "History":
        """A shorter history, of at most `bound` tokens where that can be had.

        Long results of earlier turns are emptied, oldest first; then whole turns are left out, oldest first. The
        opening, the last turn with its results, and every pair of call and result stay.

        Args:
            bound_thinking: The model checks that nothing before a thinking block has changed: take those away, whole,
                that come after the first change.
        """
        if count(self.messages) <= bound:
            return self
        # Each message is counted by itself, once: a long history as a whole for every try would take seconds.
        messages, sizes = list(self.messages), [count([one]) for one in self.messages]
        changed = False
        for at in _emptiable(messages):
            if sum(sizes) <= bound:
                break
            if bound_thinking and not changed:
                messages[at + 1 :] = _unbound(messages[at + 1 :])
                sizes[at + 1 :] = [count([one]) for one in messages[at + 1 :]]
            messages[at], changed = _emptied(messages[at]), True
            sizes[at] = count([messages[at]])
        cuts = _cuts(messages) if sum(sizes) > bound else []
        if not cuts:
            return History(tuple(messages))
        opening = _noted(messages[0])
        if bound_thinking:
            messages = _unbound(messages)
            sizes = [count([one]) for one in messages]
        room = bound - count([opening])
        cut = next((at for at in cuts if sum(sizes[at:]) <= room), cuts[-1])
        return History((opening, *messages[cut:]))

    @classmethod
    def repair(cls, messages: Sequence[ChatMessage], opening: str) -> "History":
        """A valid history of whatever was kept of one: cut anywhere, written twice, or out of order.

        Missing results become errors, also those of the last turn; orphan and second results are dropped.

        Args:
            opening: The task, put in front where the messages do not begin with it.
        """
        history = cls.opening(opening)
        seen: set[str] = set()
        for at, message in enumerate(messages):
            blocks = without_blanks(as_blocks(message["content"]))
            if at == 0 and message["role"] == "user" and blocks and blocks[0].get("text") == opening:
                blocks = blocks[1:]
            history = history._mended(message["role"], blocks, seen)
        return history.close()

    def ready(self, said: str) -> "History":
        """One that a model can be asked to go on with: it ends with our words, or in a turn that the model paused."""
        history = self.close()
        ours = not history.messages or history.messages[-1]["role"] == "user"
        return history if ours or is_paused(history.messages[-1]) else history.say(said)

    def _mended(self, role: str, blocks: list[Block], seen: set[str]) -> "History":
        """With one more turn of a broken history."""
        if role == "assistant":
            if self.messages[-1] == {"role": "assistant", "content": kept_of_reply(blocks)}:
                return self  # written twice
            fresh = [block for block in blocks if _is_usable(block, seen)]
            seen.update(str(call.get("id")) for call in calls_in(fresh))
            return self.reply(fresh)
        waiting = {str(call.get("id")) for call in self.open_calls}
        fitting = {str(one.get("tool_use_id")): one for one in reversed(blocks) if is_result(one)}
        history = self.results([one for key, one in fitting.items() if key in waiting])
        said = [block for block in blocks if block.get("type") not in ("tool_result", "tool_use")]
        return history.close()._add("user", said) if said else history

    def _add(self, role: str, blocks: list[Block]) -> "History":
        speaker = "user" if role == "user" else "assistant"
        if self.messages and self.messages[-1]["role"] == speaker:
            return History((*self.messages[:-1], merged(self.messages[-1], blocks)))
        return History((*self.messages, {"role": speaker, "content": blocks}))


def faults_in(messages: Sequence[ChatMessage]) -> list[str]:
    """Which rules a history breaks; none when the API would take it, or would after the open calls' results."""
    faults: list[str] = []
    waiting: list[str] = []
    seen: set[str] = set()
    for at, message in enumerate(messages):
        if message["role"] != ("user", "assistant")[at % 2]:
            faults.append(f"{at}: roles do not alternate, beginning with the user")
        blocks = as_blocks(message["content"])
        results = [str(block.get("tool_use_id")) for block in blocks if is_result(block)]
        if not blocks or (message["role"] == "assistant" and kept_of_reply(blocks) != blocks):
            faults.append(f"{at}: empty, blank text, or thinking alone")
        if not all(map(is_result, blocks[: len(results)])):
            faults.append(f"{at}: results do not come first")
        unanswered = set(waiting) - set(results)
        if len(set(results)) < len(results) or set(results) - set(waiting) or (unanswered and at < len(messages) - 1):
            faults.append(f"{at}: results {results} of the calls {waiting}")
        waiting = [str(call.get("id")) for call in calls_in(blocks)]
        if len(set(waiting)) < len(waiting) or seen & set(waiting):
            faults.append(f"{at}: calls of one id: {waiting}")
        seen |= set(waiting)
    return faults


def _last_turn(messages: Sequence[ChatMessage]) -> tuple[list[Block], list[Block]]:
    """Calls of the last assistant message, and the results that follow it; none once we have said something."""
    if not messages:
        return [], []
    last = as_blocks(messages[-1]["content"])
    if messages[-1]["role"] == "assistant":
        return calls_in(last), []
    if len(messages) < 2 or not all(map(is_result, last)):
        return [], []
    return calls_in(as_blocks(messages[-2]["content"])), last


def _is_usable(block: Block, seen: Collection[str]) -> bool:
    if block.get("type") != "tool_use":
        return not is_result(block)
    name, call = block.get("name"), block.get("id")
    return isinstance(name, str) and isinstance(call, str) and call not in seen and isinstance(block.get("input"), dict)


def _emptiable(messages: Sequence[ChatMessage]) -> list[int]:
    """Messages before the last one that have a long result."""
    return [at for at, one in enumerate(messages[:-1]) if any(map(_is_long, as_blocks(one["content"])))]


def _is_long(block: Block) -> bool:
    return is_result(block) and len(str(block.get("content"))) > SHORT_CHARS


def _emptied(message: ChatMessage) -> ChatMessage:
    content = [{**one, "content": EMPTIED} if _is_long(one) else one for one in as_blocks(message["content"])]
    return {"role": message["role"], "content": content}


def _noted(opening: ChatMessage) -> ChatMessage:
    """The opening with a note that turns after it are missing."""
    told = as_blocks(opening["content"])
    return {"role": "user", "content": told if told[-1].get("text") == LEFT_OUT else [*told, text_block(LEFT_OUT)]}


def _cuts(messages: Sequence[ChatMessage]) -> list[int]:
    """Where what follows may be joined to the opening: assistant messages after which nothing refers to before them."""
    found: list[int] = []
    needed: set[str] = set()
    made: set[str] = set()
    for at in range(len(messages) - 1, 0, -1):
        blocks = as_blocks(messages[at]["content"])
        needed |= {str(block["tool_use_id"]) for block in blocks if "tool_use_id" in block}
        made |= {str(block["id"]) for block in blocks if "id" in block}
        if messages[at]["role"] == "assistant" and at > 1 and needed <= made:
            found.append(at)
    return found[::-1]


def _unbound(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    return [_without_thinking(one) for one in messages]


def _without_thinking(message: ChatMessage) -> ChatMessage:
    blocks = as_blocks(message["content"])
    kept = [block for block in blocks if block.get("type") not in THINKING]
    return message if len(kept) == len(blocks) else {"role": message["role"], "content": kept}
