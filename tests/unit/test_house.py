"""The rules of the house that no linter knows."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.unit.pages import ROOT, tracked

ROOMS = ("tasks", "orchestrator", "workers")
MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 60
FORBIDDEN_ROOMS = {"tasks": {"orchestrator", "workers"}, "workers": {"orchestrator"}, "orchestrator": {"workers"}}
COMPOSITION_ROOT = "orchestrator/cli/"
ONE_DOOR = {
    "redis": ("tasks/store/", "orchestrator/local/redis_server.py"),
    "anthropic": ("workers/llm/",),
    "duckdb": ("workers/tools/table",),
    "mcp": ("workers/tools/mcp", "orchestrator/mcp_door/"),
    "mcp_types": ("workers/tools/mcp", "orchestrator/mcp_door/"),
    "opentelemetry": ("tasks/telemetry/", "workers/telemetry/", "orchestrator/telemetry/"),
    "prometheus_client": ("tasks/metrics/", "orchestrator/metrics/", "workers/metrics/"),
    "tantivy": ("workers/knowledge/",),
}
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:work|root)/\w")
PACKAGE_INDEX = re.compile(r"(?:py[p]i\.org|pythonhoste[d]\.org|npmj[s]\.org|https?://[^/\"\s]+/simple(?:/|\"|$))")

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def sources() -> dict[str, str]:
    return {
        str(path.relative_to(ROOT)): path.read_text()
        for path in tracked()
        if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in ROOMS
    }


@cache
def trees() -> dict[str, ast.Module]:
    return {path: ast.parse(source) for path, source in sources().items()}


def imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or ""


def undocumented(body: list[ast.stmt], inside: str = "") -> Iterator[str]:
    for node in body:
        if not isinstance(node, Function | ast.ClassDef) or node.name.startswith("_"):
            continue
        overload = any(isinstance(one, ast.Name) and one.id == "overload" for one in node.decorator_list)
        if ast.get_docstring(node) is None and not overload:
            yield f"{inside}{node.name}"
        if isinstance(node, ast.ClassDef):
            yield from undocumented(node.body, f"{inside}{node.name}.")


def readable() -> Iterator[tuple[Path, str]]:
    for path in tracked():
        try:
            yield path.relative_to(ROOT), path.read_text()
        except UnicodeDecodeError:
            continue


@pytest.mark.parametrize("room", ROOMS)
def test_no_room_imports_one_that_it_must_not_know(room: str) -> None:
    broken = [
        f"{path}: {name}"
        for path, tree in trees().items()
        if path.startswith(f"{room}/") and not path.startswith(COMPOSITION_ROOT)
        for name in imports(tree)
        if name.split(".")[0] in FORBIDDEN_ROOMS[room]
    ]
    assert broken == []


def test_the_command_line_imports_only_the_workers_own_commands() -> None:
    broken = [
        f"{path}: {name}"
        for path, tree in trees().items()
        if path.startswith(COMPOSITION_ROOT)
        for name in imports(tree)
        if name.split(".")[0] == "workers" and not name.startswith("workers.cli")
    ]
    assert broken == []


@pytest.mark.parametrize("library", ONE_DOOR)
def test_a_library_is_met_behind_its_door_only(library: str) -> None:
    users = {path for path, tree in trees().items() if library in {name.split(".")[0] for name in imports(tree)}}
    assert {path for path in users if not path.startswith(ONE_DOOR[library])} == set()


def test_no_module_is_too_long() -> None:
    lengths = {path: source.count("\n") for path, source in sources().items()}
    assert {path: lines for path, lines in lengths.items() if lines > MAX_MODULE_LINES} == {}


def test_no_function_is_too_long() -> None:
    long = [
        f"{path}:{node.lineno} {node.name}"
        for path, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, Function) and (node.end_lineno or node.lineno) - node.lineno >= MAX_FUNCTION_LINES
    ]
    assert long == []


def test_every_module_says_what_it_is() -> None:
    assert [path for path, tree in trees().items() if tree.body and ast.get_docstring(tree) is None] == []


def test_every_public_class_and_function_has_a_docstring() -> None:
    missing = [f"{path}: {name}" for path, tree in trees().items() for name in undocumented(tree.body)]
    assert missing == []


@pytest.mark.parametrize("pattern", [MACHINE_PATH, PACKAGE_INDEX], ids=["machine path", "package index"])
def test_no_tracked_file_holds_an_address_of_the_machine_it_was_made_on(pattern: re.Pattern[str]) -> None:
    found = [f"{path}: {match[0]}" for path, content in readable() for match in pattern.finditer(content)]
    assert found == []


def test_the_patterns_find_what_they_are_for() -> None:
    assert MACHINE_PATH.search("see /" + "root/x")
    assert PACKAGE_INDEX.search("https://mirror.example/" + "simple/")


def test_locks_pin_every_package_by_hash() -> None:
    for lock in ("requirements.lock", "requirements-dev.lock"):
        entries = re.split(r"\n(?=\S)", (ROOT / lock).read_text().strip())
        assert len(entries) > 50
        assert [entry for entry in entries if "==" not in entry or "--hash=sha256:" not in entry] == []


def test_the_development_lock_holds_the_runtime_lock() -> None:
    pins = re.compile(r"^[a-z0-9.-]+==\S+", re.MULTILINE)
    runtime = set(pins.findall((ROOT / "requirements.lock").read_text()))
    assert runtime <= set(pins.findall((ROOT / "requirements-dev.lock").read_text()))
