"""The terminal, guarded from what tasks, results and errors may hold: no text of theirs can steer it."""

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from tasks.redaction import STEERING


class PlainConsole(Console):
    """A console that prints texts without control characters; its own colours and movements stay."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """See `Console.render`."""
        for segment in super().render(renderable, options):
            if segment.control or STEERING.search(segment.text) is None:
                yield segment
            else:
                yield Segment(STEERING.sub("", segment.text), segment.style)
