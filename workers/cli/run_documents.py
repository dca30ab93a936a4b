"""The documents of one run: ingested into a knowledge base of their own, which the next run with them finds ready."""

from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

from tasks.settings import read_settings
from workers.knowledge import shelf
from workers.knowledge.ingest import OnProgress, Progress, ingest
from workers.knowledge.settings import KnowledgeSettings
from workers.knowledge.walk import absolute

__all__ = ["OnProgress", "OnSkipped", "Progress", "check_knowledge", "ingest_for_run"]

OnSkipped = Callable[[str, str], None]


def _silent(_progress: Progress) -> None: ...


def _pass_over(_path: str, _reason: str) -> None: ...


def ingest_for_run(
    paths: Sequence[Path],
    home: Path,
    *,
    on_progress: OnProgress = _silent,
    on_skipped: OnSkipped = _pass_over,
) -> str:
    """Put documents into the knowledge base that belongs to exactly these paths, and return its name.

    Args:
        home: Folder that the knowledge base is kept under.
        on_progress: Called after each file.
        on_skipped: Called with path and reason of each file that is not used.

    Raises:
        BadDocument: a path does not exist, or nothing usable stands below any of them.
        TransientError: another process was writing it for the whole wait.
    """
    settings = read_settings(KnowledgeSettings, home=home)
    places = sorted({str(absolute(path)) for path in paths})
    key = sha256("\0".join(places).encode("utf-8", "surrogateescape")).hexdigest()[:10]
    name = f"run-{key}"
    report = ingest(name, paths, settings, on_progress=on_progress)
    for path, reason in report.skipped:
        on_skipped(path, reason)
    return name


def check_knowledge(names: Sequence[str], home: Path) -> None:
    """See that knowledge bases exist on this machine.

    Raises:
        UnknownKnowledge: one does not; the message lists those there are.
        ContractError: something that is not a name.
    """
    for name in names:
        shelf.existing(name, home)
