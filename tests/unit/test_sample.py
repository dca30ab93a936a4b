"""The input of the demo: what every CPython has."""

import ast
import csv
import sys
from pathlib import Path
from types import ModuleType

import pytest

from orchestrator.local import sample
from orchestrator.local.sample import ModuleFacts, write_language_reference, write_module_table
from tasks.errors import BadDocument

SOURCE = '''"""Module."""
class Shown:
    """Documented."""
    def bare(self): ...
    async def told(self):
        "Documented."
def _hidden():
    def inner(): ...
'''


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small standard library."""
    folder = tmp_path / "lib"
    for name, text in {
        "shown.py": SOURCE,
        "pack/__init__.py": "",
        "pack/deep.py": "def f():\n    'So.'\n",
        "broken.py": "def (",
        "test/skipped.py": "x = 1",
        "site-packages/other.py": "x = 1",
        "note.txt": "no module",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "latin.py").write_bytes(b"x = '\xff'\n")

    def get_path(_name: str) -> str:
        return str(folder)

    monkeypatch.setattr(sample.sysconfig, "get_path", get_path)
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_modules_are_measured_by_name_without_tests_and_without_what_cannot_be_read(
    library: Path, tmp_path: Path
) -> None:
    assert write_module_table(tmp_path / "deep" / "modules.csv") == 3
    found = rows(tmp_path / "deep" / "modules.csv")
    assert [row["module"] for row in found] == ["pack", "pack.deep", "shown"]
    assert [row["package"] for row in found] == ["pack", "pack", "shown"]


def test_public_things_with_a_docstring_are_counted(library: Path, tmp_path: Path) -> None:
    write_module_table(tmp_path / "modules.csv")
    shown = rows(tmp_path / "modules.csv")[2]
    assert {name: shown[name] for name in ("lines", "functions", "classes", "documented", "public")} == {
        "lines": "8", "functions": "4", "classes": "1", "documented": "2", "public": "4",
    }  # fmt: skip
    assert shown["doc_coverage"] == "0.5"


def test_a_nested_function_counts_as_it_is_named() -> None:
    tree = ast.parse(SOURCE)
    facts = sample._facts(Path("shown.py"), SOURCE, tree)  # pyright: ignore[reportPrivateUsage]
    assert isinstance(facts, ModuleFacts)
    assert facts.public == 4


def test_the_same_library_gives_the_same_bytes(library: Path, tmp_path: Path) -> None:
    write_module_table(tmp_path / "one.csv")
    write_module_table(tmp_path / "two.csv")
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()


def test_the_language_reference_is_one_file_a_topic_and_is_left_when_it_is_there(tmp_path: Path) -> None:
    count = write_language_reference(tmp_path / "reference")
    files = sorted((tmp_path / "reference").iterdir())
    assert len(files) == count > 50
    assert all(path.suffix == ".rst" and path.read_text(encoding="utf-8").strip() for path in files)
    before = {path: path.stat().st_mtime_ns for path in files}
    files[0].write_text("changed")
    write_language_reference(tmp_path / "reference")
    assert {path for path in files if path.stat().st_mtime_ns != before[path]} == {files[0]}
    assert files[0].read_text(encoding="utf-8") != "changed"


def test_a_python_without_its_reference_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", ModuleType("pydoc_data.topics"))
    with pytest.raises(BadDocument, match="no language reference"):
        write_language_reference(tmp_path)
