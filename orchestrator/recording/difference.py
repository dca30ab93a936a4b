"""Where the outcome of a replay first departs from its recording, in words. Pure."""

import json
from collections.abc import Iterator, Sequence
from typing import Final

from orchestrator.recording.lines import Fault, ResultLine, StepLine
from tasks.errors import DeadlinePassed, ReplayDiverged
from tasks.ids import REPAIR_STEP
from tasks.models import Source
from tasks.results import JobResult, StepOutput

COMPARED_CHARS: Final = 2000
"""How much of an error's message is compared: workers keep no more."""
BEFORE: Final = 20
AROUND: Final = 60
"""Characters of two texts that are shown where they part."""


def first_difference(steps: Sequence[StepLine], result: ResultLine, replay: JobResult) -> str | None:
    """The first difference in the order of the plan; None when there is none."""
    return next(_differences(steps, result, replay), None)


def _differences(steps: Sequence[StepLine], result: ResultLine, replay: JobResult) -> Iterator[str]:
    found = {step.id: StepLine.of(step) for step in replay.steps}
    ended = ResultLine.of(replay, result.lines)
    late = ended.error is not None and ended.error.code == DeadlinePassed.code
    if late and (result.error is None or result.error.code != DeadlinePassed.code):
        yield "the replay did not end within its time"
    for step in steps:
        if step.id not in found:
            refused = REPAIR_STEP in found and all(one.id != REPAIR_STEP for one in steps)
            yield (
                "the plan that was recorded is refused here: an agent of it may be missing, or a limit be lower"
                if refused
                else f"step {step.id!r} is missing"
            )
        else:
            yield from (f"step {step.id!r}: {one}" for one in _of_step(step, found[step.id]))
    yield from (f"step {name!r} is not in the recording" for name in found if all(one.id != name for one in steps))
    yield from _of_result(result, ended)


def _of_step(was: StepLine, now: StepLine) -> Iterator[str]:
    if now.error is not None and now.error.code == ReplayDiverged.code:
        yield now.error.message
    for name in ("kind", "description", "agent", "depends_on", "join"):
        before, after = getattr(was, name), getattr(now, name)
        if before != after:
            yield f"its {name.replace('_', ' ')} is {_short(after)}; in the recording {_short(before)}"
    if was.status is not now.status:
        why = f" ({now.error.code}: {now.error.message})" if now.error else ""
        yield f"it {_became(now)}{why}; in the recording it {_became(was)}"
    yield from _of_fault("it", was.error, now.error)
    yield from _of_output("", was.result, now.result)
    yield from _of_output("what it had found: ", was.partial, now.partial)


def _of_output(what: str, was: StepOutput | None, now: StepOutput | None) -> Iterator[str]:
    if was is None or now is None:
        if was is not now:
            yield f"{what}there is {'nothing' if now is None else 'something'} now"
        return
    yield from (what + one for one in _of_text("its text", was.text, now.text))
    if was.data != now.data:
        yield f"{what}its data are {_short(now.data)}; in the recording {_short(was.data)}"
    yield from (what + one for one in _of_sources("its", was.sources, now.sources))


def _of_result(was: ResultLine, now: ResultLine) -> Iterator[str]:
    if was.status is not now.status:
        why = f" ({now.error.code}: {now.error.message})" if now.error else ""
        yield f"the job {now.status}{why}; in the recording it {was.status}"
    yield from _of_fault("the job", was.error, now.error)
    yield from _of_text("the answer", was.answer or "", now.answer or "")
    yield from _of_sources("the answer's", was.sources, now.sources)
    if was.model != now.model:
        yield f"the answer's model is {_short(now.model)}; in the recording {_short(was.model)}"


def _of_fault(who: str, was: Fault | None, now: Fault | None) -> Iterator[str]:
    before, after = _said(was), _said(now)
    if before != after:
        yield f"{who} failed with {_short(after)}; in the recording with {_short(before)}"


def _of_text(what: str, was: str, now: str) -> Iterator[str]:
    if was == now:
        return
    at = next((at for at, (one, two) in enumerate(zip(was, now, strict=False)) if one != two), min(len(was), len(now)))
    before, after = (repr(text[max(at - BEFORE, 0) : at + AROUND]) for text in (was, now))
    yield f"{what} differs from character {at + 1} on: {after}; in the recording {before}"


def _of_sources(whose: str, was: Sequence[Source], now: Sequence[Source]) -> Iterator[str]:
    for at, (one, two) in enumerate(zip(was, now, strict=False), start=1):
        if one != two:
            yield f"{whose} source {at} is {two.id!r} ({two.path}); in the recording {one.id!r} ({one.path})"
    if len(was) != len(now):
        yield f"{whose} sources are {len(now)}; in the recording {len(was)}"


def _became(step: StepLine) -> str:
    return f"was {step.status}" if step.status in {"skipped", "cancelled"} else str(step.status)


def _said(fault: Fault | None) -> str | None:
    return f"{fault.code}: {fault.message[:COMPARED_CHARS]}" if fault else None


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 2 * AROUND else f"{text[: 2 * AROUND]}…"
