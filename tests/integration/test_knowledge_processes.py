"""Knowledge bases between processes: one writer, readers that follow, and a writer that is killed."""

import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tasks.errors import TransientError
from tests.support.documents import settings_in
from workers.knowledge.index import KnowledgeBase
from workers.knowledge.ingest import ingest

ADD = """
import sys
from pathlib import Path
from workers.knowledge.ingest import ingest
from workers.knowledge.settings import KnowledgeSettings

def stop(progress):
    print(progress.done, flush=True)
    sys.stdin.readline()

ingest("default", [Path(sys.argv[1])], KnowledgeSettings(home=Path(sys.argv[2])), on_progress=stop)
"""


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.md").write_text("apples")
    return folder


@contextmanager
def adding(docs: Path, home: Path) -> Generator[subprocess.Popen[str]]:
    """Another process in the middle of an ingestion; it goes on when it gets a line."""
    command = [sys.executable, "-c", ADD, str(docs), str(home)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "1\n"
            yield process
        finally:
            process.kill()


def test_a_second_writer_is_told_and_a_reader_follows(docs: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    ingest("default", [docs], settings_in(home))
    kb = KnowledgeBase.open("default", home)
    (docs / "a.md").write_text("bananas")
    with adding(docs, home) as other:
        with pytest.raises(TransientError, match="another process is writing"):
            ingest("default", [docs], settings_in(home))
        assert len(kb.search("apples", 1)) == 1
        other.communicate("go on\n")
        assert other.returncode == 0
    assert len(kb.search("bananas", 1)) == 1
    assert kb.search("apples", 1) == []


def test_a_killed_writer_leaves_the_old_index_and_no_lock(docs: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    ingest("default", [docs], settings_in(home))
    (docs / "a.md").write_text("bananas")
    with adding(docs, home) as other:
        other.send_signal(signal.SIGKILL)
        other.wait()
    kb = KnowledgeBase.open("default", home)
    assert len(kb.search("apples", 1)) == 1
    assert ingest("default", [docs], settings_in(home)).updated == [str(docs / "a.md")]
    assert len(kb.search("bananas", 1)) == 1


def test_importing_the_tools_loads_no_document_parser() -> None:
    heavy = "{'bs4', 'lxml', 'pypdf', 'docx', 'anthropic', 'typer'}"
    code = f"import sys, workers.tools.knowledge; sys.exit(repr({heavy} & sys.modules.keys()) != 'set()')"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
