"""The agent loop: ask the model, run the tools it calls, until it has answered. One state machine over stop reasons.

What each stop reason means: https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons. The loop takes
no clock and no chance: the same replies and results lead to the same requests, so a journal can stand between it and
its model and executor, and play an interrupted conversation back.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from pydantic import JsonValue, ValidationError

from tasks.errors import (
    InvalidOutput,
    LoopStalled,
    ModelNonsense,
    ModelRefused,
    ModelTruncated,
    StepFailed,
    TooManyTurns,
)
from tasks.usage import Usage
from workers.agents.base import Agent, AgentReply
from workers.agents.blocks import server_calls, short_name
from workers.agents.history import History
from workers.agents.live import LiveText
from workers.agents.stalls import Stalls
from workers.agents.structured import begins, data_of, describe, read_output
from workers.context import StepContext
from workers.llm.base import Block, ChatMessage, Model, ModelReply, ModelRequest
from workers.llm.tokens import estimate_tokens
from workers.tools.base import ToolCall
from workers.tools.executor import result_block

MAX_REPAIRS: Final = 2
"""Turns in which a model may mend an answer that has not the asked-for form."""
MAX_PAUSES: Final = 5
"""Times that a paused turn is continued."""
MAX_TOKENS: Final = 8192
ROOM: Final = 4
"""Factor by which the output limit grows, once, when an answer was cut."""
NOT_YET: Final = "You have not answered yet. Write your answer now."
GO_ON: Final = "You were interrupted. Go on where you were, or write your answer."


class Executor(Protocol):
    """Runs the tool calls of one turn."""

    async def execute_all(self, blocks: Sequence[Block], attempt: int = 1) -> list[ToolCall]:
        """Run tool_use blocks; one record for each, in order. Never raises for what a tool does."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """What the loop must know of its model."""

    max_output: int = 128_000
    """Most tokens of one answer."""
    bound_thinking: bool = False
    """Its thinking counts only after exactly what was sent before it."""


@dataclass(slots=True)
class Conversation:
    """One conversation of one attempt: `run` it, or `resume` one, once."""

    agent: Agent
    context: StepContext
    model: Model
    executor: Executor
    system: str
    max_tokens: int = MAX_TOKENS
    limits: Limits = field(default_factory=Limits)
    shared_chars: int = 0
    """How much of the opening other conversations of the agent begin with too."""
    history: History = field(default_factory=History)
    turns: int = 0
    """Model calls so far."""
    container: str | None = None
    called: bool = False
    grown: bool = False
    trimmed: bool = False
    repairs: int = 0
    pauses: int = 0
    empties: int = 0
    stalls: Stalls = field(default_factory=Stalls)
    live: LiveText = field(init=False)

    def __post_init__(self) -> None:
        self.live = LiveText(self.context.emit)

    async def run(self, opening: str) -> AgentReply:
        """Converse until there is an answer.

        Raises:
            ModelRefused, ModelNonsense, ModelTruncated, TooManyTurns, LoopStalled: no answer is to be had.
            TroupeError: what the model's adapter raises.
        """
        return await self._converse(History.opening(opening))

    async def resume(self, history: History) -> AgentReply:
        """Go on where an earlier attempt ended: calls without a result are run first, then the model is asked.

        Raises:
            TroupeError: as `run` does.
        """
        return await self._converse(history)

    async def _converse(self, history: History) -> AgentReply:
        self.history = history
        try:
            if history.open_calls:
                await self._run_calls()
            self.history = self.history.ready(GO_ON)
            while self.turns < self.agent.max_turns:
                answer = await self._take(await self._ask())
                if answer is not None:
                    return answer
            raise TooManyTurns(f"agent {self.agent.name!r} gave no answer in {self.agent.max_turns} turns")
        finally:
            self.live.close()

    async def _ask(self) -> ModelReply:
        self.turns += 1
        self.live.begin(self.turns)
        while True:
            try:
                with self.context.waiting():
                    reply = await self.model.reply(self._request())
                break
            except ModelTruncated:  # the provider refused the prompt as too long
                if not self._make_room():
                    raise
        self.context.spend(reply.usage)
        self.container = reply.container or self.container
        if reply.text.strip():
            self.context.said.append(reply.text.strip())
        for event in server_calls(reply.content) if reply.usage.requests else ():  # not those of an earlier attempt
            self.context.emit("tool_called", event)
        return reply

    def _request(self) -> ModelRequest:
        agent = self.agent
        return ModelRequest(
            model=self.model.name,
            agent=agent.name,
            system=self.system,
            messages=self.history.messages,
            tools=agent.toolbox,
            max_tokens=self.max_tokens,
            output=agent.output,
            server_tools=agent.server_toolbox,
            tool_choice=None if self.called else agent.tool_choice,
            thinking=agent.thinking,
            effort=agent.effort,
            container=self.container,
            cache=agent.prompt_cache,
            shared_chars=self.shared_chars,
            on_text=self.live.add if agent.stream else None,
        )

    async def _take(self, reply: ModelReply) -> AgentReply | None:
        """Act on a reply: the answer, or None when the conversation goes on."""
        if reply.stop_reason != "model_context_window_exceeded":
            self.trimmed = False
        match reply.stop_reason:
            case "tool_use":
                await self._run_tools(reply)
                return None
            case "end_turn" | "stop_sequence":
                return self._answer(reply)
            case "pause_turn" | "compaction":
                self._continue(reply)
                return None
            case "max_tokens":
                self._grow(reply)
                return None
            case "refusal":
                raise ModelRefused(f"{reply.model} declined this step ({reply.refusal or 'no category given'})")
            case "model_context_window_exceeded":
                if not self._make_room():
                    raise ModelTruncated(f"the conversation no longer fits into the context of {reply.model}")
                return None
            case unknown:
                raise ModelNonsense(f"{reply.model} stopped for a reason that this release does not know: {unknown!r}")

    async def _run_tools(self, reply: ModelReply) -> None:
        if not reply.tool_uses:
            raise ModelNonsense(f"{reply.model} stopped for a tool call and made none")
        # Before one runs: the provider would refuse the turn with its results.
        if not self.history.takes(reply.tool_uses):
            raise ModelNonsense(f"{reply.model} gave one id to two tool calls")
        self.history = self.history.reply(reply.content)
        await self._run_calls()

    async def _run_calls(self) -> None:
        blocks = self.history.open_calls
        calls = await self.executor.execute_all(blocks, self.context.claim.attempt)
        self.called = True
        made = [call for call in calls if call.attempt == self.context.claim.attempt]
        self.context.spend(Usage(tool_calls=len(made)))
        for call in made:
            self.context.emit("tool_called", _event(call))
        self.history = self.history.results([result_block(call) for call in calls])
        circle = self.stalls.add(blocks, calls)
        if circle is not None and circle.hopeless:
            tools = ", ".join(sorted({call.tool for call in calls}))
            raise LoopStalled(f"agent {self.agent.name!r} made the same calls {circle.rounds} times over (now {tools})")
        if circle is not None:
            self.history = self.history.say(circle.warning)

    def _answer(self, reply: ModelReply) -> AgentReply | None:
        text = reply.text.strip()
        if not text:
            wrong = f"{reply.model} gave no usable answer in {MAX_REPAIRS + 1} tries; the last was empty"
            self.empties = self._say(reply, NOT_YET, self.empties, ModelNonsense(wrong))
            return None
        if self.agent.output is None:
            return AgentReply(text=text, model=reply.model)
        try:
            value, text = read_output(self.agent.output, reply)
        except ValidationError as error:
            said = f"This does not parse: {describe(error)}. Answer again with JSON only."
            wrong = f"{reply.model} gave no usable answer in {MAX_REPAIRS + 1} tries; the last: {said}"
            failure = InvalidOutput(f"{wrong} It was: {begins(text)}", raw=text)
            self.repairs = self._say(reply, said, self.repairs, failure)
            return None
        return AgentReply(text=text, data=data_of(value), model=reply.model)

    def _continue(self, reply: ModelReply) -> None:
        self.pauses += 1
        if self.pauses > MAX_PAUSES:
            raise TooManyTurns(f"{reply.model} paused its turn {self.pauses} times")
        self.history = self.history.reply(reply.content)

    def _grow(self, reply: ModelReply) -> None:
        """Ask again with more room; what was cut is not kept, and a cut tool call is never run."""
        if self.grown or self.max_tokens >= self.limits.max_output:
            raise ModelTruncated(f"the answer of {reply.model} is longer than {self.max_tokens} tokens")
        self.max_tokens, self.grown = min(self.max_tokens * ROOM, self.limits.max_output), True

    def _make_room(self) -> bool:
        """Shorten the conversation to half; False when that was just done, or there is nothing to leave out."""
        size = _tokens(self.history.messages)
        shorter = self.history.trim(size // 2, _tokens, bound_thinking=self.limits.bound_thinking)
        if self.trimmed or _tokens(shorter.messages) >= size:
            return False
        self.history, self.trimmed = shorter, True
        self.context.progress("the conversation had become too long: earlier turns were left out")
        return True

    def _say(self, reply: ModelReply, text: str, times: int, failure: StepFailed) -> int:
        """Ask for something better, or raise once that was done often enough; how often it now was."""
        if times >= MAX_REPAIRS:
            raise failure
        self.history = self.history.reply(reply.content).say(text)
        return times + 1


def _tokens(messages: Sequence[ChatMessage]) -> int:
    return estimate_tokens(list(messages))


def _event(call: ToolCall) -> dict[str, JsonValue]:
    event: dict[str, JsonValue] = {
        "tool": short_name(call.tool),
        "success": call.success,
        "duration_ms": round(call.duration_ms),
    }
    return event if call.code is None else {**event, "code": short_name(call.code)}
