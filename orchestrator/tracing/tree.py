"""A trace as a tree for a terminal: one line a span, with its time, tokens, cost and worker."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Final

from rich.text import Text

from orchestrator.tracing import wording
from orchestrator.tracing.graph import family
from orchestrator.tracing.nodes import RUNNING
from tasks.trace import Span, SpanKind, Trace

MARKS: Final = {
    "good": ("✓", "green"),
    "bad": ("✗", "red"),
    "busy": ("●", "yellow"),
    "waits": ("↻", "magenta"),
    "off": ("–", "dim"),
    "still": ("·", "dim"),
}
MAX_TEXT_CHARS: Final = 200
"""Of a description or an error; a terminal cuts them sooner."""
SHOWN_CALLS: Final = 40
"""Calls of one attempt that are shown, the first ones and the last ones; failed ones always are."""


class Depth(StrEnum):
    """How far down a tree goes."""

    STEPS = "steps"
    ATTEMPTS = "attempts"
    CALLS = "calls"


KINDS: Final = {
    Depth.STEPS: frozenset({SpanKind.JOB, SpanKind.STEP}),
    Depth.ATTEMPTS: frozenset({SpanKind.JOB, SpanKind.STEP, SpanKind.ATTEMPT, SpanKind.PARK, SpanKind.RETRY}),
    Depth.CALLS: frozenset(SpanKind),
}
COLUMNS: Final = {"time": 13, "tokens": 8, "cost": 11, "worker": 16}
"""Their widths, with what stands between them."""
LEAST_WIDTH: Final = 24
"""Of the tree itself, however narrow the terminal is."""
CALLS: Final = frozenset({SpanKind.MODEL_CALL, SpanKind.TOOL_CALL, SpanKind.CUSTOM})


def tree(trace: Trace, width: int, depth: Depth = Depth.CALLS) -> Text:
    """The tree, no wider than that: what is too long is cut, never wrapped."""
    below: dict[str | None, list[Span]] = {}
    for span in trace.spans:
        below.setdefault(span.parent, []).append(span)
    room = max(width - sum(COLUMNS.values()), LEAST_WIDTH)
    lines = [_row(Text("span", style="dim"), tuple(COLUMNS), room, "dim")]
    for guide, span in _lines(below, KINDS[depth]):
        if isinstance(span, int):
            lines.append(Text(f"{guide}… {span:,} more calls", style="dim"))
        else:
            lines.append(_row(_what(guide, span), _figures(span), room, ""))
    return Text("\n", no_wrap=True, overflow="ellipsis").join(lines)


def notices(trace: Trace) -> list[str]:
    """What the trace cannot show."""
    lines: list[str] = []
    if trace.cut:
        lines.append(f"{wording.counted(trace.cut, 'call')} not kept any more: the oldest ones")
    if trace.unanswered:
        lines.append(f"{wording.counted(trace.unanswered, 'model call')} unanswered: only the provider knows the cost")
    return lines


def _lines(below: dict[str | None, list[Span]], kinds: frozenset[SpanKind]) -> Iterator[tuple[str, Span | int]]:
    for root in below.get(None, ()):
        yield "", root
        yield from _below(root, "", below, kinds)


def _below(
    span: Span, guide: str, below: dict[str | None, list[Span]], kinds: frozenset[SpanKind]
) -> Iterator[tuple[str, Span | int]]:
    """Lines under a span. Where a step had one attempt, its calls stand under the step itself."""
    shown = _elided([one for one in _children(span, below, kinds) if one.kind in kinds])
    for at, one in enumerate(shown):
        last = at == len(shown) - 1
        yield guide + ("└ " if last else "├ "), one
        if isinstance(one, Span):
            yield from _below(one, guide + ("  " if last else "│ "), below, kinds)


def _children(span: Span, below: dict[str | None, list[Span]], kinds: frozenset[SpanKind]) -> list[Span]:
    children = below.get(span.id, [])
    attempts = [one for one in children if one.kind is SpanKind.ATTEMPT]
    if span.kind is SpanKind.STEP and (len(children) == len(attempts) == 1 or SpanKind.ATTEMPT not in kinds):
        own = [one for one in children if one.kind is SpanKind.STEP]
        return [*own, *(one for attempt in attempts for one in below.get(attempt.id, ()))]
    return children


def _elided(children: list[Span]) -> list[Span | int]:
    """Without the calls in the middle, where there are very many; their number in their place."""
    calls = [one for one in children if one.kind in CALLS]
    if len(calls) <= SHOWN_CALLS:
        return list(children)
    kept = {one.id for one in (*calls[: SHOWN_CALLS // 2], *calls[-SHOWN_CALLS // 2 :])}
    kept |= {one.id for one in calls if one.error is not None}
    found: list[Span | int] = []
    for one in children:
        if one.kind not in CALLS or one.id in kept:
            found.append(one)
        elif found and isinstance(found[-1], int):
            found[-1] += 1
        else:
            found.append(1)
    return found


def _what(guide: str, span: Span) -> Text:
    mark, style = MARKS[family(span.status)]
    text = Text().append(guide, style="dim").append(f"{mark} ", style=style)
    if span.kind is SpanKind.JOB:
        text.append(f"job {span.name}  {span.status}", style="bold")
        text.append("  paused" if span.attributes.get("paused") else "", style="magenta")
    elif span.kind is SpanKind.STEP:
        text.append(span.name, style="bold" if style != "dim" else "dim")
        text.append(f"  {span.agent}" if span.agent != span.name else "", style="cyan")
        text.append("  reused" if span.attributes.get("reused") else "", style="dim")
    else:
        text.append(_one_line(span.name), style="" if span.kind in CALLS else "italic")
    if span.kind is SpanKind.ATTEMPT or (span.kind is SpanKind.STEP and span.status != "succeeded"):
        text.append(f"  {span.status}", style=style)
    if span.error is not None and span.status != RUNNING:  # what runs again has only an earlier attempt's
        text.append(f"  {_one_line(f'{span.error.code}: {span.error.message}')}".rstrip(": "), style="red")
    elif said := _about(span):
        text.append(f"  {said}", style="dim")
    return text


def _row(what: Text, figures: tuple[str, ...], room: int, style: str) -> Text:
    what.truncate(room, overflow="ellipsis", pad=True)
    for (name, width), figure in zip(COLUMNS.items(), figures, strict=True):
        cut = figure if len(figure) < width else f"{figure[: width - 2]}…"
        what.append(f"  {cut}" if name == "worker" else cut.rjust(width), style=style)
    what.rstrip()
    return what


def _about(span: Span) -> str:
    """What it was about, in a few words."""
    waits = span.attributes.get("waits_for")
    if span.kind is SpanKind.PARK and isinstance(waits, list):
        return f"for {', '.join(map(str, waits))}"
    if span.kind in {SpanKind.STEP, SpanKind.TOOL_CALL, SpanKind.CUSTOM, SpanKind.JOB}:
        return _one_line(span.input or "")
    return ""


def _one_line(text: str) -> str:
    return " ".join(wording.printable(text[: 4 * MAX_TEXT_CHARS]).split())[:MAX_TEXT_CHARS]


def _figures(span: Span) -> tuple[str, str, str, str]:
    worker = (span.worker or "").partition("@")[0] if span.kind is not SpanKind.JOB else ""
    return wording.duration(span.duration_ms), wording.tokens(span.usage), wording.cost(span.usage), worker
