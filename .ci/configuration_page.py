"""Write docs/configuration.md from the settings classes. A test checks that it was run."""

import ast
import importlib
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

from pydantic import SecretStr
from pydantic.fields import FieldInfo

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "configuration.md"
ROOMS = ("tasks", "orchestrator", "workers")
SIGNS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
HEAD = """# Configuration

Every setting is an environment variable, or a line in `troupe.toml` in the working folder (another file:
`TROUPE_CONFIG`). The environment wins. In the file the name stands in lower case without the prefix:
`redis_url = "redis://localhost:6379/0"`. An empty variable counts as unset. A value that is malformed or contradicts
another ends the process at start, with the name of the variable. `_s` means seconds.

The Anthropic SDK reads `ANTHROPIC_API_KEY` and `ANTHROPIC_BASE_URL` itself; Flower reads its `FLOWER_…` variables.

This page is made from the settings classes by `make docs`.
"""
TABLE = "| variable | default | range | meaning |\n| --- | --- | --- | --- |"


def settings_classes() -> list[type]:
    """Every settings class of the three rooms, in the order of their files."""
    sys.path.insert(0, str(ROOT))
    found: list[type] = []
    for path in sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        source = path.read_text()
        if "(RoomSettings)" not in source:
            continue  # importing every module would load the model SDK
        module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        names = [node.name for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
        base = importlib.import_module("tasks.settings").RoomSettings
        found += [one for one in (getattr(module, name) for name in names) if issubclass(one, base) and one is not base]
    return sorted(found, key=lambda one: (ROOMS.index(one.__module__.split(".")[0]), one.__module__))


def variables(kind: type) -> Iterator[tuple[str, FieldInfo, str]]:
    """Each field that the class itself declares: variable, field, docstring."""
    docs = docstrings(kind)
    for name, field in kind.model_fields.items():
        if name in inspect.get_annotations(kind):
            yield str(field.validation_alias or f"TROUPE_{name.upper()}"), field, docs.get(name, "")


def docstrings(kind: type) -> dict[str, str]:
    """The strings that stand under the fields."""
    [tree] = ast.parse(inspect.getsource(kind)).body
    pairs = zip(tree.body, tree.body[1:], strict=False)
    return {
        field.target.id: " ".join(text.value.value.split())
        for field, text in pairs
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr)
    }


def default(field: FieldInfo) -> str:
    """The default as one would write it in the environment."""
    value = field.get_default(call_default_factory=True)
    if value is None or value in ((), [], ""):
        return "unset"
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, bool):
        value = str(value).lower()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, list | tuple):
        value = ",".join(str(one) for one in value)
    return f"`{value}`".replace(str(Path.home()), "~")


def bounds(field: FieldInfo) -> str:
    """The range of a number."""
    limits = [(sign, getattr(rule, name, None)) for rule in field.metadata for name, sign in SIGNS.items()]
    return ", ".join(f"{sign} {limit}" for sign, limit in limits if limit is not None)


def render() -> str:
    """The whole page."""
    parts = [HEAD]
    for kind in settings_classes():
        place = f"{kind.__module__.replace('.', '/')}.py"
        rows = [
            f"| `{name}` | {default(field)} | {bounds(field)} | {text.removeprefix(name).lstrip(':. ')} |"
            for name, field, text in variables(kind)
        ]
        about = " ".join((kind.__doc__ or "").split())
        parts.append("\n".join([f"## {kind.__name__}\nIn `{place}`. {about}\n", TABLE, *rows, ""]))
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(render())
