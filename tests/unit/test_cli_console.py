"""The terminal cannot be steered by what jobs say."""

import io

from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from orchestrator.cli.console import PlainConsole

BAD = "a\x1b[2Jb\x1b]0;mine\x07c\x9bd\x7f"
LEFT = "a[2Jb]0;minecd"


def printed(*shown: object, terminal: bool = True) -> str:
    out = io.StringIO()
    PlainConsole(file=out, force_terminal=terminal, width=80, color_system=None).print(*shown)
    return out.getvalue()


def test_texts_in_whatever_they_stand_lose_their_control_characters() -> None:
    table, tree = Table("column"), Tree(Text(BAD))
    table.add_row(Text(BAD))
    for shown in (Text(BAD), table, tree):
        text = printed(shown)
        assert LEFT in text
        assert not set("\x1b\x07\x9b\x7f") & set(text)


def test_line_feeds_tabs_and_colours_stay() -> None:
    assert printed(Text("one\ntwo"), terminal=False) == "one\ntwo\n"
    out = io.StringIO()
    PlainConsole(file=out, force_terminal=True, color_system="standard").print(Text("red", "red"))
    assert out.getvalue() == "\x1b[31mred\x1b[0m\n"
