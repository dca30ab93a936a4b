"""Runs tool calls. Whatever a tool or a model does, the outcome is a `ToolCall`: an agent loop never falls over one.

A call is taken (known tool, fitting input, counted), admitted (uses, repetition, approval, a free lane, the rate limit)
and run, once or, where the tool says so, more often.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

import structlog
from pydantic import JsonValue, ValidationError

from tasks.errors import TransientError, UnknownTool, message_of
from tasks.redaction import redact, secrets_in
from tasks.signing import digest
from workers.agents.envelope import enclose
from workers.agents.markers import defuse
from workers.llm.base import Block
from workers.parking import Parked
from workers.tools.base import Tool, ToolCall, ToolError
from workers.tools.codes import Code
from workers.tools.controls import Approval, Controls, Verdict, nobody_listens
from workers.tools.current import CurrentCall, call_key, canonical, enter_call
from workers.tools.registry import ToolRegistry
from workers.tools.running import EscapedError, Runner, SelfCancelledError, TimedOutError
from workers.tools.tally import MAX_IDENTICAL, Tally
from workers.tools.watching import learn, learn_of, sign, waiting, watched
from workers.tools.wording import arguments, as_text, faults, named, plain, sendable, shorten

DEFAULT_CAP: Final = 8
"""Calls of one turn that run at once."""
NOTHING_KNOWN: Final[Mapping[str, ToolCall]] = MappingProxyType({})
Keep = Callable[[ToolCall], Awaitable[None]]
"""Takes a call that has ended."""

STOPPED_WITHIN_S: Final = 15.0
"""How long a turn that is given up waits for its calls to end; one that will not is left to itself."""

log: structlog.stdlib.BoundLogger = structlog.get_logger("worker")


@dataclass(frozen=True, slots=True)
class _Taken:
    """A call that may be made, as far as its form goes."""

    tool: Tool
    run: Callable[[], Any]
    text: str
    """Canonical input."""
    key: str


@dataclass(frozen=True, slots=True)
class _Outcome:
    output: str | None = None
    code: str | None = None
    error: str | None = None
    tries: int = 0
    again: bool = False
    """Another try might do better."""


class ToolExecutor:
    """Executes the calls of one step."""

    def __init__(
        self,
        tools: ToolRegistry | Iterable[Tool],
        controls: Controls | None = None,
        *,
        within: timedelta | None = None,
    ) -> None:
        """Take the tools; run nothing.

        Args:
            controls: What the process shares; a set of its own unless given.
            within: Time that the step has from now on: no try and no wait begins that could not end in it.
        """
        self.registry = tools if isinstance(tools, ToolRegistry) else ToolRegistry(tools)
        self.controls = controls or Controls()
        self._ends = None if within is None else time.monotonic() + within.total_seconds()
        self._tally = Tally()
        self._runner = Runner()

    async def execute(self, call_id: str, name: str, raw_input: JsonValue, attempt: int = 1) -> ToolCall:
        """Run one call: validate the input, run the tool within its time, put the output into text.

        Never raises, but for the caller's own cancellation, of which `Controls.on_call` gets a record all the same.
        """
        name, raw_input = sendable(name), plain(raw_input)
        return await self._execute(sendable(call_id), name, raw_input, self._take(name, raw_input), attempt)

    async def execute_all(
        self,
        blocks: Sequence[Block],
        attempt: int = 1,
        cap: int = DEFAULT_CAP,
        *,
        known: Mapping[str, ToolCall] = NOTHING_KNOWN,
        keep: "Keep | None" = None,
    ) -> list[ToolCall]:
        """Run the `tool_use` blocks of one turn in parallel, at most `cap` at once; results in the blocks' order.

        Args:
            known: Calls that an earlier attempt made, by their ids: they count, and are not made again.
            keep: Takes each call that was made, as soon as it has ended and before its result is used.

        Raises:
            TroupeError: what `keep` raises; the other calls of the turn are stopped then.
        """
        room = asyncio.Semaphore(cap)

        async def one(block: Block, taken: "_Taken | _Outcome") -> ToolCall:
            before = known.get(str(block.get("id")))
            if before is not None:
                return before
            async with room:
                name, raw_input = sendable(str(block.get("name"))), plain(block.get("input"))
                call = await self._execute(sendable(str(block.get("id"))), name, raw_input, taken, attempt)
            if keep is not None:
                await keep(call)
            return call

        # Taken in order before any runs: keys and counts must not depend on which call is faster.
        taken = [self._take(sendable(str(block.get("name"))), plain(block.get("input"))) for block in blocks]
        for block, form in zip(blocks, taken, strict=True):
            before = known.get(str(block.get("id")))
            if before is None:
                continue
            # This process has not seen that call: what was secret in it would be shown wherever it comes up again.
            hidden = form.tool.redact if isinstance(form, _Taken) else self._hidden(before.tool)
            learn(plain(block.get("input")), hidden)
            learn_of(before.output or "", hidden)
            if isinstance(form, _Taken):
                self._count(form, before)
        running = [asyncio.create_task(one(*pair)) for pair in zip(blocks, taken, strict=True)]
        try:
            parked = await _parked(running)
            calls = [task.result() for task in running if task not in parked]
        finally:
            for task in running:
                task.cancel()
            # Whoever goes on before they have ended would not know of a call that ends just now.
            if running:
                await asyncio.wait(running, timeout=STOPPED_WITHIN_S)
        if parked:
            raise Parked([wait for task in running if task in parked for wait in parked[task].waits])
        return calls

    def _count(self, taken: _Taken, before: ToolCall) -> None:
        """Count a call that an earlier attempt made as if it had been made now."""
        if before.code != Code.MAX_USES:
            self._tally.repeats(taken.tool.name, taken.text)
        if before.code == Code.REPEATED_CALL:
            return
        if before.code not in (Code.MAX_USES, Code.DENIED):
            self._tally.uses[taken.tool.name] += 1
        self._tally.ended(taken.tool.name, taken.text, before.output or before.error or "")

    async def _execute(
        self, call_id: str, name: str, raw_input: JsonValue, taken: "_Taken | _Outcome", attempt: int
    ) -> ToolCall:
        begun, clock = datetime.now(UTC), time.perf_counter()
        sign()
        learn(raw_input, taken.tool.redact if isinstance(taken, _Taken) else self._hidden(name))

        def record(outcome: _Outcome) -> ToolCall:
            sign()
            hidden = taken.tool.redact if isinstance(taken, _Taken) else self._hidden(name)
            call = ToolCall(
                id=call_id,
                tool=name,
                input=raw_input,
                output=_harmless(outcome.output, taken),
                duration_ms=round((time.perf_counter() - clock) * 1000, 3),
                success=outcome.error is None,
                code=outcome.code,
                error=_harmless(outcome.error, None),
                timestamp=begun,
                attempt=attempt,
                tries=outcome.tries,
            ).hide(hidden, secrets_in(raw_input, hidden))
            self._tell(call)
            return call

        with watched(call_id, name) as done:
            if isinstance(taken, _Outcome):
                return done(record(taken))
            try:
                outcome = await self._admit_and_run(taken, call_id, raw_input, attempt)
            except asyncio.CancelledError:
                done(record(_Outcome(code=Code.CANCELLED, error="the step was stopped while it ran")))
                raise
            if outcome.code != Code.REPEATED_CALL:
                self._tally.ended(taken.tool.name, taken.text, outcome.output or outcome.error or "")
            return done(record(outcome))

    def _take(self, name: str, raw_input: JsonValue) -> "_Taken | _Outcome":
        try:
            tool = self.registry.get(name)
        except UnknownTool as exc:
            return _Outcome(code=exc.code, error=str(exc))
        run = self._bound(tool, raw_input)
        if isinstance(run, _Outcome):
            return run
        text = canonical(raw_input)
        return _Taken(tool, run, text, call_key(tool.name, text, self._tally.occurrence(tool.name, text)))

    def _bound(self, tool: Tool, raw_input: JsonValue) -> "Callable[[], Any] | _Outcome":
        try:
            return tool.bind(arguments(raw_input))
        except ValidationError as exc:
            return _Outcome(code=Code.INVALID_INPUT, error=faults(exc, tool.redact))
        except ToolError as exc:
            return _Outcome(code=exc.code, error=message_of(exc))
        except Exception as exc:  # noqa: BLE001 (validators are the tool author's code: they may raise anything)
            return _Outcome(code=Code.INVALID_INPUT, error=named(exc))

    async def _admit_and_run(self, taken: _Taken, call_id: str, raw_input: JsonValue, attempt: int) -> _Outcome:
        tool = taken.tool
        if tool.max_uses is not None and self._tally.uses[tool.name] >= tool.max_uses:
            said = f"{tool.name} may be used {tool.max_uses} times in one step, and was; go on with what you have"
            return _Outcome(code=Code.MAX_USES, error=said)
        if self._tally.repeats(tool.name, taken.text):
            said = f"this call gave the same {MAX_IDENTICAL} times; it was not made again: change it, or go on"
            return _Outcome(code=Code.REPEATED_CALL, error=said)
        if tool.needs_approval(arguments(raw_input)):
            approval = Approval(call_id, tool, redact(raw_input, tool.redact), digest(raw_input), taken.key)
            with waiting():  # people are slow, and not idle
                verdict = await self._ask(approval)
            if not verdict.approved:
                said = verdict.reason or f"a person did not approve this call of {tool.name}"
                return _Outcome(code=Code.DENIED, error=said)
            if verdict.input is not None:
                edited = self._bound(tool, verdict.input)
                if isinstance(edited, _Outcome):
                    return edited
                taken = replace(taken, run=edited)
        # Counted last, and checked again: while one call waited for a yes, others of the turn may have run.
        if tool.max_uses is not None and self._tally.uses[tool.name] >= tool.max_uses:
            return _Outcome(code=Code.MAX_USES, error=f"{tool.name} may be used {tool.max_uses} times in one step")
        self._tally.uses[tool.name] += 1
        with waiting():  # neither is a tool that runs, or waits for its turn: its own limits end it
            async with self.controls.lanes.enter(tool):
                return await self._run(taken, call_id, attempt)

    async def _ask(self, approval: Approval) -> Verdict:
        try:
            return await self.controls.desk.decide(approval)
        except TransientError as exc:
            said = f"{approval.tool.name} needs a person's approval, and nobody can be asked now: {exc}"
            return Verdict(approved=False, reason=said)

    async def _run(self, taken: _Taken, call_id: str, attempt: int) -> _Outcome:
        tool, number = taken.tool, 0
        while True:
            refusal = await self._admitted(tool)
            if refusal is not None:
                return _Outcome(code=Code.RATE_LIMITED, error=refusal, tries=number)
            number += 1
            sign()
            current = CurrentCall(tool.name, call_id, taken.key, attempt, number)
            outcome = await self._try(tool, taken.run, current)
            pause = self.controls.first_pause.total_seconds() * 2 ** (number - 1) * random.uniform(0.5, 1)
            if not outcome.again or number > tool.retries or not self._fits(pause):
                return outcome
            log.info("tool_retried", tool=tool.name, code=outcome.code, reason=outcome.error, tries=number)
            await asyncio.sleep(pause)

    async def _admitted(self, tool: Tool) -> str | None:
        """Wait for the tool's rate limit; why it may not run, or None."""
        patience = self.controls.longest_wait.total_seconds()
        while True:
            try:
                wait = await self.controls.gate.admit(tool)
            except TransientError as exc:
                return f"the rate limit of {tool.name} cannot be asked now: {exc}; try again later, or go on without it"
            if wait is None:
                return None
            seconds = wait.total_seconds()
            patience -= seconds
            if patience < 0 or not self._fits(seconds):
                said = f"{tool.name} may be called {tool.rate_limit} times a minute"
                return f"{said}; there is room in {seconds:.0f} s: try again later, or go on without it"
            await asyncio.sleep(seconds)

    def _fits(self, seconds: float) -> bool:
        return self._ends is None or time.monotonic() + seconds < self._ends

    async def _try(self, tool: Tool, run: Callable[[], Any], current: CurrentCall) -> _Outcome:
        def entered() -> Any:
            enter_call(current)
            return run()

        tries, seconds = current.number, tool.timeout.total_seconds()
        try:
            value = await self._runner.run(tool.name, entered, is_async=tool.is_async, seconds=seconds)
            text = as_text(value)
            learn_of(text, tool.redact)
            output, was_cut = shorten(text, tool.max_output_chars)
            return _Outcome(output, Code.OUTPUT_TOO_LARGE if was_cut else None, None, tries)
        except (asyncio.CancelledError, Parked):
            raise
        except ToolError as exc:
            return _Outcome(None, exc.code, shorten(sendable(message_of(exc)), tool.max_output_chars)[0], tries)
        except TimedOutError:
            said = f"{tool.name} did not end within {seconds:g} s; ask it for less"
            return _Outcome(None, Code.TIMEOUT, said, tries, again=True)
        except SelfCancelledError:
            return _Outcome(None, Code.CANCELLED, f"{tool.name} cancelled itself", tries, again=True)
        except BaseException as exc:  # noqa: BLE001 (a tool is foreign code; also its SystemExit must not end the worker)
            said = sendable(str(exc)) if isinstance(exc, EscapedError) else named(exc)
            return _Outcome(None, Code.RAISED, shorten(said, tool.max_output_chars)[0], tries, again=True)

    def _hidden(self, name: str) -> frozenset[str]:
        return self.registry.get(name).redact if name in self.registry else frozenset()

    def _tell(self, call: ToolCall) -> None:
        try:
            self.controls.count(call)
            if self.controls.on_call is not nobody_listens:  # masking a long output takes some milliseconds
                self.controls.on_call(call.shown())
        except Exception:  # an observer is foreign code: statistics must not cost a step
            log.exception("tool_observer_raised", tool=call.tool)


async def _parked(running: Sequence[asyncio.Task[ToolCall]]) -> dict[asyncio.Task[ToolCall], Parked]:
    """Calls that wait for something; the others of the turn end first, so that they need not be made again."""
    waiting = set(running)
    parked: dict[asyncio.Task[ToolCall], Parked] = {}
    while waiting:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            error = None if task.cancelled() else task.exception()
            if isinstance(error, Parked):
                parked[task] = error
            elif error is not None or task.cancelled():
                return parked  # `result` raises it
    return parked


def _harmless(said: str | None, taken: "_Taken | _Outcome | None") -> str | None:
    """What a tool said, without anything that a model could take for a part of its prompt."""
    in_envelopes = isinstance(taken, _Taken) and taken.tool.in_envelopes
    return said if said is None or in_envelopes else defuse(said)


def result_block(call: ToolCall) -> Block:
    """The `tool_result` block that answers the call: what the tool said, in an envelope that says which tool it was."""
    text = call.output if call.success else call.error
    said = enclose("result", text or "", {"tool": call.tool, "status": "ok" if call.success else "failed"})
    return {"type": "tool_result", "tool_use_id": call.id, "content": said, "is_error": not call.success}


def stopped_block(block: Block) -> Block:
    """The `tool_result` block for a `tool_use` block that was not run, or whose end nobody knows."""
    said = "the step was interrupted before this call had ended; it may or may not have had its effect"
    return {"type": "tool_result", "tool_use_id": block.get("id"), "content": said, "is_error": True}
