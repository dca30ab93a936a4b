"""The log lines that the source can write: what each log call says, read from its syntax."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from tests.unit.pages import ROOT

LEVELS: Final = {name: name for name in ("debug", "info", "warning", "error", "critical")} | {"exception": "error"}
NOT_FIELDS: Final = frozenset({"raised", "exc_info"})
"""Arguments that become the traceback of a line."""
PROCESSES: Final = (
    ("tasks/transport.py", "worker"),
    ("tasks/store/outbox.py", "orchestrator"),
    ("tasks/", "any"),
    ("orchestrator/people.py", "producer"),
    ("orchestrator/client.py", "producer"),
    ("orchestrator/", "orchestrator"),
    ("workers/llm/retirement.py", "any"),
    ("workers/", "worker"),
)
"""Which process runs a file; the first that fits counts."""


class LogCall(NamedTuple):
    """One call."""

    place: str
    event: str | None
    """None: not a constant."""
    level: str
    fields: frozenset[str]
    process: str


def log_calls() -> list[LogCall]:
    """All calls of `log.LEVEL(…)` in the packages."""
    return [
        call
        for room in ("tasks", "orchestrator", "workers")
        for path in sorted((ROOT / room).rglob("*.py"))
        if path.name != "library_log.py"
        for call in _of_file(path)
    ]


def _of_file(path: Path) -> Iterator[LogCall]:
    name = str(path.relative_to(ROOT))
    process = next(process for start, process in PROCESSES if name.startswith(start))
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr not in LEVELS:
            continue
        owner = node.func.value
        if not isinstance(owner, ast.Name) or owner.id.strip("_") not in {"log", "logger"}:
            continue
        first = node.args[0] if node.args else None
        event = first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None
        # `**fields` cannot be read from the syntax: it counts as the field `**`, which no page has.
        fields = frozenset(one.arg or "**" for one in node.keywords) - NOT_FIELDS
        yield LogCall(f"{name}:{node.lineno}", event, LEVELS[node.func.attr], fields, process)
