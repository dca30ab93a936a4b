"""Knowledge bases as the doors show them: how much they hold, what was found, what became of what was sent."""

from tasks.wire import Wire


class BaseStats(Wire):
    """How much a knowledge base holds."""

    name: str
    documents: int
    passages: int
    kinds: dict[str, int]
    """Documents of each kind, as pdf."""


class PassageHit(Wire):
    """A passage that fits a query."""

    id: str
    """Key that answers cite it by."""
    score: float
    title: str
    path: str
    heading: str | None = None
    line_start: int | None = None
    line_end: int | None = None
    page_start: int | None = None
    page_end: int | None = None
    text: str


class Document(Wire):
    """One document of a knowledge base."""

    path: str
    title: str
    kind: str
    passages: int


class Skipped(Wire):
    """A file that was not taken, and why."""

    path: str
    reason: str


class Added(Wire):
    """What became of uploaded documents."""

    knowledge: str
    added: int
    updated: int
    unchanged: int
    skipped: tuple[Skipped, ...]
    documents: int
    """Of the whole base, after it."""
    passages: int
