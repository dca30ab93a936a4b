"""What is written in the repository, for tests that compare it with what is there."""

import importlib.util
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, Protocol, cast

from pydantic.fields import FieldInfo

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
UNTRACKED = {".git", ".venv", "__pycache__", ".ruff_cache", ".hypothesis", ".import_linter_cache", "reports", "htmlcov"}


class Snippet(NamedTuple):
    """A piece of a page."""

    place: str
    text: str


class ConfigurationPage(Protocol):
    """The script that writes docs/configuration.md."""

    def render(self) -> str:
        """The page as it should be."""
        ...

    def settings_classes(self) -> Sequence[type]:
        """All settings classes."""
        ...

    def variables(self, kind: type) -> Iterator[tuple[str, FieldInfo, str]]:
        """Variable, field and docstring of each setting."""
        ...


def tracked() -> list[Path]:
    """Files under version control; without git, all but what tools leave behind."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode == 0:
        paths = [ROOT / name for name in listing.stdout.split("\0") if name]
    else:
        paths = [path for path in ROOT.rglob("*") if not UNTRACKED.intersection(path.relative_to(ROOT).parts)]
    return [path for path in paths if path.is_file()]


def blocks(language: str) -> list[Snippet]:
    """Fenced code blocks of all pages."""
    pattern = re.compile(rf"^```{language}\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return [Snippet(_name(page), text) for page in PAGES for text in pattern.findall(page.read_text())]


def spans() -> list[Snippet]:
    """Code spans of all pages, outside of fenced blocks."""
    found: list[Snippet] = []
    for page in PAGES:
        prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
        found += [Snippet(_name(page), span) for span in re.findall(r"`([^`\n]+)`", prose)]
    return found


def links() -> list[Snippet]:
    """Targets of links to files, as written."""
    pattern = re.compile(r"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)|^\[[^\]]+\]:\s+(?!https?:)(\S+)", re.MULTILINE)
    return [Snippet(_name(page), one or two) for page in PAGES for one, two in pattern.findall(page.read_text())]


def shell_lines() -> list[Snippet]:
    """Commands of the sh blocks, without comments."""
    return [
        Snippet(place, line.strip().removesuffix("&").strip())
        for place, text in blocks("sh")
        for line in (raw.partition(" #")[0] for raw in text.replace("\\\n", " ").splitlines())
        if line.strip() and not line.lstrip().startswith("#")
    ]


def troupe_words(line: str) -> list[str] | None:
    """The arguments of `troupe` in a shell command; None when it is no command of ours."""
    words = [word for word in shlex.split(line) if not re.fullmatch(r"[A-Z_]+=.*", word)]
    if words[:3] == ["docker", "compose", "run"]:
        _service, *rest = [word for word in words[3:] if word != "--rm"]
        return rest
    if words[:1] == ["kubectl"]:
        return troupe_words(shlex.join(words[words.index("--") + 1 :])) if "--" in words else None
    return words[1:] if words and Path(words[0]).name == "troupe" else None


def configuration_page() -> ConfigurationPage:
    """The generator of docs/configuration.md, which is a script outside of the packages."""
    path = ROOT / ".ci" / "configuration_page.py"
    spec = importlib.util.spec_from_file_location("configuration_page", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return cast(ConfigurationPage, module)


def setting_names() -> set[str]:
    """Every variable that a settings class reads, and the one that names the file."""
    page = configuration_page()
    return {"TROUPE_CONFIG"} | {name for kind in page.settings_classes() for name, _, _ in page.variables(kind)}


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


AGENT_MODULES = [one for one in blocks("python") if "from workers import" in one.text]
"""Examples that define agents."""


def others(place: str) -> list[Snippet]:
    """The examples of a page that define no agent."""
    return [one for one in blocks("python") if one not in AGENT_MODULES and one.place == place]


def loaded(block: Snippet) -> dict[str, Any]:
    """The names that an example defines."""
    module = ModuleType("example")
    sys.modules["example"] = module  # types in annotations are looked up there
    try:
        exec(compile(block.text, block.place, "exec"), vars(module))  # noqa: S102 - it is our own page
    finally:
        del sys.modules["example"]
    return vars(module)
