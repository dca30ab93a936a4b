"""`troupe demo`: the main job on real input that every machine has. Needs no key and no network."""

import sys
import textwrap
import time
from pathlib import Path
from typing import Final

import typer
from rich.console import Console

from orchestrator.cli.answer import as_text, spent
from orchestrator.cli.console import PlainConsole
from orchestrator.cli.run import run_job
from orchestrator.local.sample import write_language_reference, write_module_table
from orchestrator.place import home
from tasks.results import JobResult
from tasks.states import TaskStatus

QUESTION: Final = (
    "Compare lists, tuples and dictionaries: what may change after they were made, and how are they compared? "
    "And which modules of the standard library are the largest, and how well are they documented?"
)

MAX_SHOWN: Final = 150
"""Longest description of a step in the list of the plan."""


def demo() -> None:
    """Answer a question about Python from its own language reference and a table of its own library."""
    console = PlainConsole(stderr=True)
    begun = time.monotonic()
    folder = home() / "demo"
    docs, table = folder / "language-reference", folder / "modules.csv"
    with console.status("writing the language reference and measuring the standard library"):
        topics = write_language_reference(docs)
        modules = write_module_table(table)
    _say(console, f"documents: {topics} topics of the Python {sys.version.split()[0]} language reference ({docs})")
    _say(console, f"data: {modules} modules of the standard library on this machine ({table})")
    _say(console, f"question: {QUESTION}\n")
    outcome = run_job(QUESTION, [docs], [table], [])
    _show(console, outcome)
    _say(console, f"\n{spent(outcome)}; {time.monotonic() - begun:.1f} s in all")
    _next(console, docs, table)
    if outcome.status is not TaskStatus.COMPLETED:
        raise typer.Exit(1)


def _show(console: Console, outcome: JobResult) -> None:
    _say(console, "\nplan:")
    for step in outcome.steps:
        after = f" after {', '.join(step.depends_on)}" if step.depends_on else ""
        worker = (step.worker or "nobody").partition("@")[0]
        wanted = textwrap.shorten(step.description, MAX_SHOWN, placeholder=" …")
        _say(console, f"  {step.id:<12} {step.status.value:<10} on {worker}{after}: {wanted}")
    _say(console, "")
    typer.echo(as_text(outcome))


def _next(console: Console, docs: Path, table: Path) -> None:
    troupe = Path(sys.argv[0]).name if Path(sys.argv[0]).name == "troupe" else "troupe"
    lines = [
        "",
        "Where to go next:",
        f"  .venv/bin/{troupe} run 'your question' --docs {docs} --data {table}",
        f"  .venv/bin/{troupe} up                 the whole stack, with Flower; then submit, watch, scale",
        "  ANTHROPIC_API_KEY=…                the same with Claude in place of the offline rules",
        "  README.md                          producer code, own agents and tools, deployment",
    ]
    _say(console, "\n".join(lines))


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
