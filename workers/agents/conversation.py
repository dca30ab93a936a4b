"""The agent loop: ask the model, run the tools it calls, until it has answered.

The assistant's messages go back verbatim, block by block. All results of a turn stand in one user message, results
first (https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/implement-tool-use).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from pydantic import BaseModel, JsonValue, ValidationError

from tasks.errors import ModelNonsense, ModelRefused, ModelTruncated, TooManyTurns
from tasks.models import Plan, Usage
from workers.agents.base import Agent, AgentReply
from workers.context import StepContext
from workers.llm.base import Block, ChatMessage, Model, ModelReply, ModelRequest
from workers.tools.base import ToolCall
from workers.tools.executor import result_block

MAX_REPAIRS: Final = 2
"""Turns in which a model may mend an answer that has not the asked-for form."""
MAX_PAUSES: Final = 5
"""Times that a paused turn is continued."""
MAX_TOKENS: Final = 8192
ROOM: Final = 4
"""Factor by which the output limit grows, once, when an answer was cut."""


class Executor(Protocol):
    """Runs the tool calls of one turn."""

    async def execute_all(self, blocks: Sequence[Block], attempt: int = 1) -> list[ToolCall]:
        """Run tool_use blocks; one record for each, in order. Never raises for what a tool does."""
        ...


@dataclass(slots=True)
class Conversation:
    """One conversation of one attempt."""

    agent: Agent
    context: StepContext
    model: Model
    executor: Executor
    system: str
    messages: list[ChatMessage] = field(default_factory=list[ChatMessage])
    max_tokens: int = MAX_TOKENS
    grown: bool = False
    repairs: int = 0
    pauses: int = 0
    empties: int = 0

    async def run(self, opening: str) -> AgentReply:
        """Converse until there is an answer.

        Raises:
            ModelRefused, ModelNonsense, ModelTruncated, TooManyTurns: no answer is to be had.
            TroupeError: what the model's adapter raises.
        """
        self.messages.append({"role": "user", "content": opening})
        for _ in range(self.agent.max_turns):
            reply = await self._ask()
            answer = await self._take(reply)
            if answer is not None:
                return answer
        raise TooManyTurns(f"agent {self.agent.name!r} gave no answer in {self.agent.max_turns} turns")

    async def _ask(self) -> ModelReply:
        request = ModelRequest(
            model=self.model.name,
            agent=self.agent.name,
            system=self.system,
            messages=tuple(self.messages),
            tools=self.agent.toolbox,
            max_tokens=self.max_tokens,
            output=self.agent.output,
        )
        with self.context.waiting():
            reply = await self.model.reply(request)
        self.context.spend(reply.usage)
        return reply

    async def _take(self, reply: ModelReply) -> AgentReply | None:
        """Act on a reply: the answer, or None when the conversation goes on."""
        match reply.stop_reason:
            case "tool_use":
                await self._run_tools(reply)
                return None
            case "end_turn" | "stop_sequence":
                return self._answer(reply)
            case "pause_turn":
                self._continue(reply)
                return None
            case "max_tokens":
                self._grow(reply)
                return None
            case "refusal":
                raise ModelRefused(f"{reply.model} declined this step ({reply.refusal or 'no category given'})")
            case "model_context_window_exceeded":
                raise ModelTruncated(f"the conversation no longer fits into the context of {reply.model}")
            case unknown:
                raise ModelNonsense(f"{reply.model} stopped for a reason that this release does not know: {unknown!r}")

    async def _run_tools(self, reply: ModelReply) -> None:
        if not reply.tool_uses:
            raise ModelNonsense(f"{reply.model} stopped for a tool call and made none")
        self._echo(reply)
        calls = await self.executor.execute_all(reply.tool_uses, self.context.claim.attempt)
        self.context.spend(Usage(tool_calls=len(calls)))
        for call in calls:
            self.context.emit("tool_called", _event(call))
        self.messages.append({"role": "user", "content": [result_block(call) for call in calls]})

    def _answer(self, reply: ModelReply) -> AgentReply | None:
        text = reply.text.strip()
        if not text:
            self._say(reply, "You have not answered yet. Write your answer now.", limit=self.empties)
            self.empties += 1
            return None
        if self.agent.output is None:
            return AgentReply(text=text, model=reply.model)
        try:
            value = self.agent.output.model_validate_json(text)
        except ValidationError as error:
            faults = describe(error)
            self._say(reply, f"This does not parse: {faults}. Answer again with JSON only.", limit=self.repairs)
            self.repairs += 1
            return None
        return AgentReply(text=text, data=_data(value), model=reply.model)

    def _continue(self, reply: ModelReply) -> None:
        self.pauses += 1
        if self.pauses > MAX_PAUSES:
            raise TooManyTurns(f"{reply.model} paused its turn {self.pauses} times")
        self._echo(reply)

    def _grow(self, reply: ModelReply) -> None:
        """Ask again with more room; what was cut is not kept, and a cut tool call is never run."""
        if self.grown:
            raise ModelTruncated(f"the answer of {reply.model} is longer than {self.max_tokens} tokens")
        self.max_tokens, self.grown = self.max_tokens * ROOM, True

    def _say(self, reply: ModelReply, text: str, *, limit: int) -> None:
        if limit >= MAX_REPAIRS:
            raise ModelNonsense(f"{reply.model} gave no usable answer in {MAX_REPAIRS + 1} tries; the last: {text}")
        block: Block = {"type": "text", "text": text}
        if self._echo(reply) or self.messages[-1]["role"] == "assistant":
            self.messages.append({"role": "user", "content": [block]})
        else:  # nothing to send back: speak in the last user message, after its results
            content = self.messages.pop()["content"]
            before: list[Block] = [{"type": "text", "text": content}] if isinstance(content, str) else list(content)
            self.messages.append({"role": "user", "content": [*before, block]})

    def _echo(self, reply: ModelReply) -> bool:
        """Send the reply back, unless the API refuses it as a message: no content, blank text, thinking alone."""
        if all(_says_nothing(block) for block in reply.content):
            return False
        self.messages.append({"role": "assistant", "content": reply.content})
        return True


def describe(error: ValidationError) -> str:
    """Pydantic's faults in words a model can act on, at most ten."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(str(part) for part in one['loc']) or 'text'}: {one['msg']}" for one in faults[:10])


def _says_nothing(block: Block) -> bool:
    kind = block.get("type")
    return kind in {"thinking", "redacted_thinking"} or (kind == "text" and not str(block.get("text", "")).strip())


def _data(value: BaseModel) -> JsonValue:
    # A plan goes to the orchestrator, perhaps of an older release: it cannot read fields that came later.
    return value.model_dump(mode="json", exclude_defaults=isinstance(value, Plan))


def _event(call: ToolCall) -> dict[str, JsonValue]:
    event: dict[str, JsonValue] = {
        "tool": call.tool,
        "success": call.success,
        "duration_ms": round(call.duration_ms),
    }
    return event if call.code is None else {**event, "code": call.code}
