"""The page's files: what they must not hold, and that they fit together."""

import re
from pathlib import Path
from typing import Final

import pytest
from starlette.applications import Starlette
from starlette.requests import Request

from orchestrator.web.pages import INDEX, KEPT, POLICY, Static
from tests.unit.pages import ROOT

FOLDER: Final = ROOT / "orchestrator" / "web" / "static"
SCRIPTS: Final = sorted(FOLDER.glob("*.js"))
MAX_LINES: Final = 400
MARKUP: Final = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser|\beval\(|"
    r"new Function\(|srcdoc|setAttribute\([\"']style|javascript:"
)
"""Whatever makes markup or code of a text."""
ELSEWHERE: Final = re.compile(r"""(?:src|href|from|import|url)\s*[=(]?\s*["'(]\s*(?:https?:)?//""")
IMPORT: Final = re.compile(r"""import\s*(?:\{([^}]*)\}\s*from\s*)?\(?["']\./([\w.]+)["']""")
EXPORT: Final = re.compile(r"export (?:async )?(?:function|const|let|class) (\w+)")


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_no_script_makes_markup_of_a_text(path: Path) -> None:
    assert MARKUP.findall(read(path)) == []


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.name)
def test_nothing_is_fetched_from_elsewhere(path: Path) -> None:
    assert ELSEWHERE.findall(read(path)) == []


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_short_and_says_what_it_is(path: Path) -> None:
    text = read(path)
    assert text.count("\n") < MAX_LINES
    assert text.startswith("// ")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_what_a_script_imports_is_there(path: Path) -> None:
    missing: list[str] = []
    for names, module in IMPORT.findall(read(path)):
        there = set(EXPORT.findall(read(FOLDER / module))) if (FOLDER / module).is_file() else None
        wanted = {name.split(" as ")[0].strip() for name in names.split(",")} - {""}
        missing += [module] if there is None else [f"{module}: {name}" for name in wanted - there]
    assert missing == []


def test_the_page_itself_has_nothing_inline() -> None:
    page = read(FOLDER / INDEX)
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", page) == []
    files = re.findall(r'"/web/\{version\}/([^"]+)"', page)
    assert len(files) > 4
    assert [name for name in files if not (FOLDER / name).is_file()] == []


async def test_files_are_named_by_their_content_and_found_by_name_only() -> None:
    static = Static()
    assert static.version in static.files[INDEX].decode()
    answer = await static.file(request(static.version, "main.js"))
    assert (answer.status_code, answer.headers["cache-control"]) == (200, KEPT)
    assert answer.headers["content-security-policy"] == POLICY
    again = await static.file(request(static.version, "main.js", f"W/{answer.headers['etag']}"))
    assert (again.status_code, again.body) == (304, b"")
    assert (await static.file(request("older", "main.js"))).headers["cache-control"] == "no-cache"


def request(version: str, name: str, known: str = "") -> Request:
    scope = {
        "type": "http", "method": "GET", "path": f"/web/{version}/{name}", "query_string": b"", "app": Starlette(),
        "headers": [(b"if-none-match", known.encode())] if known else [],
        "path_params": {"version": version, "name": name},
    }  # fmt: skip
    return Request(scope)
