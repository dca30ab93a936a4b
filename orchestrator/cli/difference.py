"""Two jobs side by side, for people: `troupe diff`."""

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from orchestrator.cli.answer import place
from orchestrator.cli.jobs import wide_console
from orchestrator.travel.difference import Figures, JobDiff, Presence, StepDiff, TextChange

MAX_VALUE_CHARS = 300
STYLES = {"+": "green", "-": "red", "@": "cyan"}


def print_diff(diff: JobDiff) -> None:
    """Print a table of all steps, and below it what differs."""
    console = wide_console()
    for mark, side in (("-", diff.before), ("+", diff.after)):
        task = " ".join(side.task.split())[:100]
        console.print(Text(f"{mark} job {side.job_id}  {side.figures.status}  {task}", STYLES[mark]), soft_wrap=True)
    console.print(_table(diff))
    for step in diff.steps:
        _print_step(console, step)
    if not diff.answer.same:
        console.print(Text("\nanswer", "bold"))
        _print_text(console, diff.answer)
    if not diff.differs:
        console.print("they do not differ but in what they took")


def _table(diff: JobDiff) -> Table:
    table = Table(Column("step", no_wrap=True), "plan", "status", "result", box=None)
    for name in ("attempts", "tokens", "usd", "seconds"):
        table.add_column(name, justify="right")
    for step in diff.steps:
        plan = ", ".join(change.field for change in step.changes) or "="
        plan = {Presence.BEFORE: "- gone", Presence.AFTER: "+ new"}.get(step.presence, plan)
        result = "=" if step.result.same else "differs"
        table.add_row(step.id, plan, _status(step.before, step.after), result, *_amounts(step.before, step.after))
    before, after = diff.before.figures, diff.after.figures
    answer = "=" if diff.answer.same else "differs"
    table.add_row("total", "", _status(before, after), answer, *_amounts(before, after), style="bold")
    return table


def _status(before: Figures | None, after: Figures | None) -> str:
    return _sides(_ended(before), _ended(after))


def _ended(figures: Figures | None) -> str:
    if figures is None:
        return "-"
    return "reused" if figures.reused_from is not None else figures.status


def _amounts(before: Figures | None, after: Figures | None) -> list[str]:
    sides = [
        ("-",) * 4
        if one is None
        else (
            str(one.attempts),
            f"{one.tokens:,}",
            f"{one.cost_usd:.6f}",
            "-" if one.duration_s is None else f"{one.duration_s:.2f}",
        )
        for one in (before, after)
    ]
    return [_sides(one, other) for one, other in zip(*sides, strict=True)]


def _sides(before: str, after: str) -> str:
    return before if before == after else f"{before} → {after}"


def _print_step(console: Console, step: StepDiff) -> None:
    if step.presence is not Presence.BOTH or not step.differs:
        return
    console.print(Text(f"\n{step.id}", "bold"))
    for change in step.changes:
        for mark, value in (("-", change.before), ("+", change.after)):
            console.print(Text(f"  {mark} {change.field}: {_value(value)}", STYLES[mark]), soft_wrap=True)
    for mark, figures in (("-", step.before), ("+", step.after)):
        if figures is not None and figures.error is not None:
            console.print(Text(f"  {mark} error: {figures.error}", STYLES[mark]), soft_wrap=True)
    _print_text(console, step.result)


def _print_text(console: Console, change: TextChange) -> None:
    for line in change.lines:
        console.print(Text(f"  {line}", STYLES.get(line[:1], "")), soft_wrap=True)
    for mark, sources in (("-", change.sources_lost), ("+", change.sources_gained)):
        for source in sources:
            console.print(Text(f"  {mark} source {source.title} — {place(source)}", STYLES[mark]), soft_wrap=True)
    if not change.same and not (change.lines or change.sources_lost or change.sources_gained):
        console.print("  its data differ")


def _value(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= MAX_VALUE_CHARS else f"{text[:MAX_VALUE_CHARS]}…"
