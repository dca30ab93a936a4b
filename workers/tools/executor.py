"""Runs tool calls. Whatever a tool or a model does, the outcome is a `ToolCall`: an agent loop never falls over one."""

import asyncio
import contextlib
import contextvars
import json
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, cast

from pydantic import BaseModel, JsonValue, ValidationError

from tasks.errors import UnknownTool
from workers.context import running_step
from workers.llm.base import Block
from workers.tools.base import Tool, ToolCall, ToolError
from workers.tools.registry import ToolRegistry

DEFAULT_CAP: Final = 8
"""Calls of one turn that run at once."""
GRACE_S: Final = 0.5
"""How long a cancelled async tool may tidy up before it is left to itself."""
MAX_ECHO_CHARS: Final = 80
MAX_DEPTH: Final = 64
"""Nesting of an input; what is deeper is left out."""


class ToolExecutor:
    """Executes calls of the given tools."""

    def __init__(self, tools: ToolRegistry | Iterable[Tool]) -> None:
        self.registry = tools if isinstance(tools, ToolRegistry) else ToolRegistry(tools)
        self._left: set[asyncio.Task[Any]] = set()
        """Async tools that went on after their cancellation; held so that they are not collected half-way."""

    async def execute(self, call_id: str, name: str, raw_input: JsonValue, attempt: int = 1) -> ToolCall:
        """Run one call: validate the input, run the tool within its time, put the output into text.

        Never raises, but for the caller's own cancellation. A tool that hangs is given up: a plain function goes on in
        a thread of its own, a coroutine is cancelled and, if it will not end, left.
        """
        begun, clock = datetime.now(UTC), time.perf_counter()
        name, raw_input = _sendable(name), _plain(raw_input)
        step = running_step()
        if step is not None:
            step.sign()
        output, code, error = await self._outcome(name, raw_input)
        if step is not None:
            step.sign()
        return ToolCall(
            id=_sendable(call_id),
            tool=name,
            input=raw_input,
            output=output,
            duration_ms=round((time.perf_counter() - clock) * 1000, 3),
            success=error is None,
            code=code,
            error=error,
            timestamp=begun,
            attempt=attempt,
        )

    async def execute_all(self, blocks: Sequence[Block], attempt: int = 1, cap: int = DEFAULT_CAP) -> list[ToolCall]:
        """Run the `tool_use` blocks of one turn in parallel, at most `cap` at once; results in the blocks' order."""
        room = asyncio.Semaphore(cap)

        async def one(block: Block) -> ToolCall:
            async with room:
                return await self.execute(str(block.get("id")), str(block.get("name")), block.get("input"), attempt)

        return list(await asyncio.gather(*(one(block) for block in blocks)))

    async def _outcome(self, name: str, raw_input: JsonValue) -> tuple[str | None, str | None, str | None]:
        """Output, code and error."""
        try:
            tool = self.registry.get(name)
        except UnknownTool as exc:
            return None, exc.code, str(exc)
        try:
            call = tool.bind(_arguments(raw_input))
        except ValidationError as exc:
            return None, "invalid_input", _faults(exc)
        except ToolError as exc:
            return None, exc.code, str(exc)
        except Exception as exc:  # noqa: BLE001 (validators are the tool author's code: they may raise anything)
            return None, "invalid_input", _named(exc)
        try:
            text = _text(await self._run(tool, call))
        except asyncio.CancelledError:
            raise
        except ToolError as exc:
            return None, exc.code, _shorten(str(exc), tool.max_output_chars)[0]
        except _TimedOutError:
            return None, "timeout", f"{name} did not end within {tool.timeout.total_seconds():g} s; ask it for less"
        except BaseException as exc:  # noqa: BLE001 (a tool is foreign code; also its SystemExit must not end the worker)
            return None, "raised", _shorten(_named(exc), tool.max_output_chars)[0]
        shown, was_cut = _shorten(text, tool.max_output_chars)
        return shown, "output_too_large" if was_cut else None, None

    async def _run(self, tool: Tool, call: Callable[[], Any]) -> Any:
        seconds = tool.timeout.total_seconds()
        if not tool.is_async:
            return await _in_own_thread(tool.name, call, seconds)
        task = asyncio.create_task(_guarded(call))
        try:
            await asyncio.wait({task}, timeout=seconds)
        finally:
            if not task.done():
                self._leave(task)
        if not task.done():
            await asyncio.wait({task}, timeout=GRACE_S)
            raise _TimedOutError
        if task.cancelled():
            raise ToolError("raised", f"{tool.name} cancelled itself")
        return task.result()

    def _leave(self, task: asyncio.Task[Any]) -> None:
        def ended(done: asyncio.Task[Any]) -> None:
            self._left.discard(done)
            if not done.cancelled():
                done.exception()  # Looked at, or asyncio would report it as never retrieved.

        self._left.add(task)
        task.add_done_callback(ended)
        task.cancel()


def result_block(call: ToolCall) -> Block:
    """The `tool_result` block that answers the call."""
    text = call.output if call.success else call.error
    return {"type": "tool_result", "tool_use_id": call.id, "content": text or "", "is_error": not call.success}


class _TimedOutError(Exception):
    """Our own limit, told apart from a TimeoutError that the tool itself raised."""


class _EscapedError(Exception):
    """Stands for a SystemExit or KeyboardInterrupt of a tool: asyncio would let those through and stop the loop."""


async def _guarded(call: Callable[[], Any]) -> Any:
    try:
        return await call()
    except (SystemExit, KeyboardInterrupt) as exc:
        raise _EscapedError(_named(exc)) from exc


async def _in_own_thread(name: str, call: Callable[[], Any], seconds: float) -> Any:
    """Run a plain function in a daemon thread of its own, in this context.

    Not the loop's thread pool: that has few threads, and hung tools would hold all of them and the process's exit.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()
    context = contextvars.copy_context()

    def deliver(value: Any, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)

    def run() -> None:
        value, error = None, None
        try:
            value = context.run(call)
        except BaseException as exc:  # noqa: BLE001 (the thread's boundary: whatever it is goes to the waiting side)
            # Futures refuse StopIteration; what is no Exception would end the step, or the loop.
            plain = isinstance(exc, Exception) and not isinstance(exc, StopIteration)
            error = exc if plain else _EscapedError(_named(exc))
        with contextlib.suppress(RuntimeError):  # The loop closed in the meantime: nobody waits any more.
            loop.call_soon_threadsafe(deliver, value, error)

    threading.Thread(target=run, name=f"tool-{name}", daemon=True).start()
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return await future
    except TimeoutError:
        if limit.expired():
            raise _TimedOutError from None
        raise


def _plain(value: object, depth: int = 0) -> JsonValue:
    """The input, fit to be recorded: JSON only, no deeper than MAX_DEPTH, and without lone surrogates."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str) or depth > MAX_DEPTH:
        return _sendable(str(value)) if isinstance(value, str) else "…"
    if isinstance(value, dict):
        items = cast("dict[object, object]", value).items()
        return {_sendable(str(key)): _plain(item, depth + 1) for key, item in items}
    if isinstance(value, list | tuple):
        return [_plain(item, depth + 1) for item in cast("list[object] | tuple[object, ...]", value)]
    return _echo(value)


def _sendable(text: str) -> str:
    """Without lone surrogates, which bad JSON and bad file names bring: they cannot be sent to a model or stored."""
    return text.encode("utf-8", "replace").decode()


def _arguments(raw_input: JsonValue) -> dict[str, JsonValue]:
    if raw_input is None:
        return {}
    if not isinstance(raw_input, dict):
        raise ToolError("invalid_input", f"the input must be an object with named arguments, not {_echo(raw_input)}")
    return raw_input


def _faults(error: ValidationError) -> str:
    """Every fault of the input with the field it is about."""
    lines: list[str] = []
    for fault in error.errors(include_url=False, include_context=False):
        field = ".".join(str(part) for part in fault["loc"]) or "input"
        message = fault["msg"].removeprefix("Value error, ")
        if fault["type"] in ("missing", "missing_argument", "missing_keyword_only_argument"):
            lines.append(f"{field}: required, but missing")
        elif fault["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
            lines.append(f"{field}: there is no such argument")
        else:
            lines.append(f"{field}: {message}, not {_echo(fault['input'])}")
    return "; ".join(lines)


def _echo(value: object) -> str:
    text = repr(value)
    return text if len(text) <= MAX_ECHO_CHARS else text[: MAX_ECHO_CHARS - 1] + "…"


def _text(value: Any) -> str:
    if isinstance(value, str):
        text = value
    elif isinstance(value, BaseModel):
        text = value.model_dump_json()
    else:
        try:
            text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=_model)
        except (TypeError, ValueError, RecursionError) as exc:
            kind = type(cast("object", value)).__name__
            raise ToolError("raised", f"the tool returned a {kind} that is no text, model or JSON: {exc}") from exc
    return _sendable(text)


def _model(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} is not JSON")


def _shorten(text: str, limit: int) -> tuple[str, bool]:
    if len(text) <= limit:
        return text, False
    notice = f"\n[cut: this is the beginning of {len(text)} characters; ask for less to see all]"
    return text[: max(0, limit - len(notice))] + notice, True


def _named(error: BaseException) -> str:
    text = _sendable(str(error))
    if isinstance(error, _EscapedError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
