"""Real input that every CPython has: its language reference, and its own standard library measured into a table."""

import ast
import csv
import sysconfig
from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Final

from tasks.errors import BadDocument

SKIPPED: Final = frozenset({"test", "tests", "idlelib", "turtledemo", "lib2to3", "site-packages", "__pycache__"})
"""Folders of the standard library that are no library."""


@dataclass(frozen=True, slots=True)
class ModuleFacts:
    """One module of the standard library."""

    module: str
    package: str
    lines: int
    functions: int
    classes: int
    documented: int
    """Public functions and classes with a docstring."""
    public: int
    doc_coverage: float | None
    """Share of public functions and classes with a docstring, 0 to 1; None when there are none."""


def write_language_reference(folder: Path) -> int:
    """Write the language reference as one reStructuredText file a topic; files that are there are left.

    Returns:
        How many topics there are.

    Raises:
        BadDocument: this Python was built without it.
    """
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise BadDocument("this Python carries no language reference (pydoc_data.topics)") from error
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in topics.items():
        path = folder / f"{name.replace('/', '-')}.rst"
        content = text.strip() + "\n"
        if not path.exists() or path.read_text(encoding="utf-8") != content:
            path.write_text(content, encoding="utf-8")
    return len(topics)


def write_module_table(path: Path) -> int:
    """Measure the standard library's modules into a CSV file.

    Returns:
        How many modules were measured.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = sorted(_modules(Path(sysconfig.get_path("stdlib"))), key=lambda one: one.module)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([field.name for field in fields(ModuleFacts)])
        writer.writerows(astuple(one) for one in facts)
    return len(facts)


def _modules(library: Path) -> Iterator[ModuleFacts]:
    for path in library.rglob("*.py"):
        place = path.relative_to(library)
        if SKIPPED.intersection(place.parts):
            continue
        try:
            source = path.read_text(encoding="utf-8")
            tree = ast.parse(source)
        except (SyntaxError, UnicodeDecodeError, ValueError):
            continue
        yield _facts(place, source, tree)


def _facts(place: Path, source: str, tree: ast.Module) -> ModuleFacts:
    name = ".".join(place.with_suffix("").parts).removesuffix(".__init__")
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    public = [node for node in [*functions, *classes] if not node.name.startswith("_")]
    documented = sum(1 for node in public if ast.get_docstring(node, clean=False))
    return ModuleFacts(
        module=name,
        package=name.partition(".")[0],
        lines=source.count("\n"),
        functions=len(functions),
        classes=len(classes),
        documented=documented,
        public=len(public),
        doc_coverage=round(documented / len(public), 4) if public else None,
    )
