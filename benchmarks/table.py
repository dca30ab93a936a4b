"""The lines of a run as a table for people."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

BESIDE = ("case", "system", "graph")


def show(lines: Sequence[dict[str, Any]]) -> None:
    """Print on stderr: one row a line, its figures as `name value`."""
    table = Table("case", "system", "figures", title="figures of one run, side by side", title_justify="left")
    for line in lines:
        figures = [f"{name} {value}" for name, value in line.items() if name not in BESIDE]
        case = line["case"] + (f" {line['graph']}" if "graph" in line else "")
        table.add_row(case, str(line["system"]), " · ".join(figures))
    Console(stderr=True, soft_wrap=False).print(table, markup=False)
