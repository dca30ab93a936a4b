"""HTML: visible text with the lines it stands on; scripts, styles, navigation and drawings are left out."""

import html
from html.parser import HTMLParser
from typing import Final

from workers.knowledge.readers.base import Collector, Extract, shorten

_LEFT_OUT: Final = frozenset({"script", "style", "template", "noscript", "svg", "nav"})
_CONTENT: Final = frozenset({"main", "article", "h1"})
"""A `nav` that nobody closed ends where one of these begins; otherwise it would swallow the page."""
_HEADINGS: Final = {f"h{level}": level for level in range(1, 7)}
_BLOCK_TAGS: Final = """
    address article aside blockquote body caption dd details div dl dt fieldset figcaption figure footer form
    head header hr html legend main ol p pre section summary table tbody tfoot thead ul
"""
_BLOCKS: Final = frozenset(_BLOCK_TAGS.split())
_ROWS: Final = frozenset({"br", "li", "tr", "option"})
_CELLS: Final = frozenset({"td", "th"})


class _Page(HTMLParser):
    """Feeds a Collector; every piece of text remembers its line."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)  # converted, several pieces would share one position
        self.found = Collector()
        self.title = ""
        self._pieces: list[tuple[int, str]] = []
        self._break = False
        self._heading = 0
        self._left_out = ""
        self._depth = 0
        self._lost = False
        self._in_title = False
        self._code = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._left_out:
            self._depth += tag == self._left_out
            if self._left_out == "nav" and tag in _CONTENT:
                self._resume()
            else:
                return
        self._in_title = tag == "title"
        if tag in _LEFT_OUT:
            self._left_out, self._depth = tag, 1
        elif tag in _HEADINGS:
            self.flush()
            self._heading = _HEADINGS[tag]
        elif not self._in_title:
            self._separate(tag)
            self._code = self._code or tag == "pre"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if not self._left_out:
            self._separate(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._left_out:
            self._depth -= tag == self._left_out
            if self._depth == 0:
                self._resume()
        elif tag == "title":
            self._in_title = False
        elif tag in _HEADINGS:
            self.flush()
            self._heading = 0
        else:
            self._separate(tag)
            self._code = self._code and tag != "pre"

    def handle_data(self, data: str) -> None:
        if self._left_out:
            self._lost = self._lost or not data.isspace()
        elif self._in_title:
            self.title += data
        else:
            line = self.getpos()[0]
            for offset, part in enumerate(data.split("\n")):
                self._add(line + offset, part)

    def handle_entityref(self, name: str) -> None:
        self.handle_data(html.unescape(f"&{name};").replace("\n", " "))

    def handle_charref(self, name: str) -> None:
        self.handle_data(html.unescape(f"&#{name};").replace("\n", " "))

    def flush(self) -> None:
        """End the open block or heading."""
        pieces = [(line, text.rstrip() if self._code else " ".join(text.split())) for line, text in self._pieces]
        kept = [(line, text) for line, text in pieces if text]
        self._pieces, self._break = [], False
        if kept and self._heading:
            title = " ".join(text for _, text in kept)
            self.found.heading(self._heading, title, title, kept[0][0])
        elif kept:
            self.found.add([text for _, text in kept], [line for line, _ in kept], code=self._code)
        if kept:
            self._heading = 0

    def _separate(self, tag: str) -> None:
        if tag in _BLOCKS:
            self.flush()
        elif tag in _ROWS:
            self._break = True
        elif tag in _CELLS and self._pieces:
            line, text = self._pieces[-1]
            self._pieces[-1] = (line, text + " ")

    def _add(self, line: int, text: str) -> None:
        if self._pieces and self._pieces[-1][0] == line and not self._break:
            self._pieces[-1] = (line, self._pieces[-1][1] + text)
        else:
            self._pieces.append((line, text))
            self._break = False

    def _resume(self) -> None:
        self._left_out = ""
        if self._lost:
            self.flush()
            self.found.gap()
        self._lost = False


def read_html(text: str, name: str) -> Extract:
    """Blocks of a web page; its title is the page's, the first heading, or the file's name."""
    page = _Page()
    page.feed(text.replace("<![", "&lt;!["))  # a marked section of an unknown kind makes the parser give up
    page.close()
    page.flush()
    return Extract("html", shorten(page.title) or page.found.first_heading or name, page.found.finish())
