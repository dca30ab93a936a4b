"""`troupe kb`: what it prints, and where."""

import json
import os
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tasks.errors import BadDocument, UnknownKnowledge
from workers.cli.kb import ingest_for_run, kb, skipped_lines
from workers.knowledge.index import KnowledgeBase


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TROUPE_CONFIG", os.devnull)
    monkeypatch.setenv("TROUPE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.md").write_text("# Guide\n\n## Brokers\n\nA broker with queues. " + "More of it. " * 60)
    (folder / "b.txt").write_text("Something else")
    (folder / "c.png").touch()
    return folder


def run(*arguments: str | Path) -> tuple[str, str]:
    result = CliRunner().invoke(kb, [str(one) for one in arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout, result.stderr


def test_add_sums_up_on_stdout_and_names_skipped_files_on_stderr(docs: Path) -> None:
    out, err = run("add", docs)
    assert out == "default: 2 added, 1 skipped; 2 documents, 2 passages\n"
    assert f"skipped {docs / 'c.png'}: unknown kind (.png)" in err
    assert run("add", docs)[0] == "default: 2 unchanged, 1 skipped; 2 documents, 2 passages\n"


def test_search_prints_title_section_place_and_id(docs: Path) -> None:
    run("add", docs)
    out, _ = run("search", "broker queues", "-k", "1")
    assert "Guide › Brokers\n" in out
    assert f"{docs / 'a.md'}:5  [p" in out
    assert "A broker with queues." in out
    assert "…" in out


def test_search_as_json_has_whole_passages(docs: Path) -> None:
    run("add", docs, "--kb", "mine")
    (hit,) = json.loads(run("search", "broker", "--json", "--kb", "mine")[0])
    assert list(hit) == [
        "id",
        "score",
        "title",
        "path",
        "heading",
        "line_start",
        "line_end",
        "page_start",
        "page_end",
        "text",
    ]
    assert (hit["title"], hit["heading"], hit["line_start"], hit["page_start"]) == ("Guide", "Guide › Brokers", 5, None)
    assert hit["text"].endswith("More of it.")


def test_a_search_without_hits_says_so_beside_the_output(docs: Path) -> None:
    run("add", docs)
    assert run("search", "unheard") == ("", "nothing found in 'default'\n")
    assert json.loads(run("search", "unheard", "--json")[0]) == []


def test_places_in_paged_and_placeless_files(docs: Path) -> None:
    from docx import Document

    from tests.support.documents import pdf

    (docs / "p.pdf").write_bytes(pdf([["Pears"]]))
    word = Document()
    word.add_paragraph("Plums")
    word.save(str(docs / "w.docx"))
    run("add", docs)
    assert "p.pdf p. 1  [" in run("search", "pears")[0]
    assert "w.docx  [" in run("search", "plums")[0]


def test_stats_in_words_and_as_json(docs: Path) -> None:
    run("add", docs)
    out, _ = run("stats")
    assert re.search(r"^documents +2$", out, re.MULTILINE)
    assert re.search(r"^kinds +1 markdown, 1 text$", out, re.MULTILINE)
    found = json.loads(run("stats", "--json")[0])
    assert (found["name"], found["documents"], found["passages"]) == ("default", 2, 2)
    assert found["bytes"] == sum((docs / name).stat().st_size for name in ("a.md", "b.txt"))


def test_bases_are_listed_and_removed(docs: Path) -> None:
    assert "no knowledge base yet" in run("list")[1]
    run("add", docs, "--kb", "mine")
    assert run("list")[0].split() == ["mine", "2", "documents", "2", "passages"]
    assert [one["name"] for one in json.loads(run("list", "--json")[0])] == ["mine"]
    assert run("remove", "mine")[0] == "removed mine\n"
    assert json.loads(run("list", "--json")[0]) == []


def test_errors_are_left_to_the_command_line_as_a_whole(docs: Path) -> None:
    with pytest.raises(UnknownKnowledge):
        run("search", "x")
    with pytest.raises(BadDocument):
        run("add", docs / "nowhere")


@pytest.mark.parametrize("arguments", [["add"], ["search"], ["search", "x", "-k", "0"], ["search", "x", "-k", "101"]])
def test_bad_usage_ends_with_2(arguments: list[str]) -> None:
    assert CliRunner().invoke(kb, arguments).exit_code == 2


def test_past_a_hundred_skipped_files_reasons_are_counted() -> None:
    lines = list(skipped_lines([(f"/{n}.png", "unknown kind (.png)") for n in range(103)]))
    assert (len(lines), lines[0], lines[-1]) == (
        101,
        "skipped /0.png: unknown kind (.png)",
        "skipped 3 more: unknown kind (.png)",
    )


def test_documents_of_a_run_have_a_base_that_the_next_run_finds_ready(docs: Path, home: Path) -> None:
    skipped: list[tuple[str, str]] = []
    name = ingest_for_run([docs, docs / "a.md"], home, on_skipped=lambda path, why: skipped.append((path, why)))
    assert re.fullmatch("run-[0-9a-f]{10}", name)
    assert skipped == [(str(docs / "c.png"), "unknown kind (.png)")]
    (docs / "b.txt").write_text("Bananas")
    assert ingest_for_run([docs / "a.md", docs / ".." / "docs"], home) == name
    assert len(KnowledgeBase.open(name, home).search("bananas", 5)) == 1
    assert ingest_for_run([docs], home) != name


def test_a_run_without_usable_documents_is_refused(docs: Path, home: Path) -> None:
    with pytest.raises(BadDocument, match="unknown kind"):
        ingest_for_run([docs / "c.png"], home)


def test_tenants_have_bases_of_their_own(docs: Path) -> None:
    run("add", docs, "--tenant", "acme")
    assert json.loads(run("list", "--json")[0]) == []
    assert [one["name"] for one in json.loads(run("list", "--json", "--tenant", "acme")[0])] == ["default"]
    assert run("search", "pears", "--tenant", "acme")[0] or run("search", "brokers", "--tenant", "acme")[0]
    assert json.loads(run("stats", "--json", "--tenant", "acme")[0])["documents"] == 2
    run("remove", "default", "--tenant", "acme")
    assert json.loads(run("list", "--json", "--tenant", "acme")[0]) == []
