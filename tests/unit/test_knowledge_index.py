"""Search: what is found, in which order, whatever the question looks like."""

import os
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.errors import BadDocument, ContractError, UnknownKnowledge
from tests.support.documents import settings_in
from workers.knowledge import manifest, schema, shelf
from workers.knowledge.index import KnowledgeBase, search_all
from workers.knowledge.ingest import ingest
from workers.knowledge.settings import KnowledgeSettings


def base(tmp_path: Path, files: dict[str, str], name: str = "default") -> KnowledgeBase:
    docs = tmp_path / name
    for path, content in files.items():
        (docs / path).parent.mkdir(parents=True, exist_ok=True)
        (docs / path).write_text(content)
    ingest(name, [docs], settings_in(tmp_path / "home"))
    return KnowledgeBase.open(name, tmp_path / "home")


def found(kb: KnowledgeBase, query: str, k: int = 10) -> list[str]:
    return [Path(hit.source.path).name for hit in kb.search(query, k)]


def test_words_are_compared_by_their_stems_and_without_accents(tmp_path: Path) -> None:
    kb = base(tmp_path, {"a.md": "Workers prefetching naïve messages", "b.md": "nothing of it"})
    assert found(kb, "WORKER prefetch naive") == ["a.md"]


def test_stop_words_do_not_count_unless_there_is_nothing_else(tmp_path: Path) -> None:
    kb = base(tmp_path, {"a.md": "How is it with the queue?", "b.md": "A broker with queues"})
    assert found(kb, "how is the broker") == ["b.md"]
    assert found(kb, "how is it the") == ["a.md"]


def test_headings_and_titles_are_searched_too(tmp_path: Path) -> None:
    kb = base(tmp_path, {"a.md": "# Zebras\n## Stripes\nblack and white\n", "b.md": "# Other\nblack and white cats"})
    assert found(kb, "zebras") == found(kb, "stripes") == ["a.md"]
    assert found(kb, "stripes white") == ["a.md", "b.md"]


@pytest.mark.parametrize(
    "query", ["AND (", '"', "title:x AND", "a OR (b", "*:*", "foo^", "[a TO", "-broker", "\\", "+", "a:b:c"]
)
def test_query_language_is_just_text(tmp_path: Path, query: str) -> None:
    kb = base(tmp_path, {"a.md": "A broker with queues"})
    assert kb.search(f"broker {query}", 3)[0].source.title == "a.md"


@pytest.mark.parametrize("query", ["", "   ", "?!", "\u200b", "x" * 500])
def test_a_question_without_words_finds_nothing(tmp_path: Path, query: str) -> None:
    assert base(tmp_path, {"a.md": "text"}).search(query, 3) == []


@settings(deadline=None)
@given(st.text(max_size=300))
def test_any_question_becomes_a_bounded_query(question: str) -> None:
    assert len(schema.terms(question)) <= schema.MAX_TERMS
    schema.build_query(schema.build_schema(), question)


def test_a_pasted_page_counts_by_its_first_words_only(tmp_path: Path) -> None:
    assert len(schema.terms(" ".join(f"word{n}" for n in range(500)))) == schema.MAX_TERMS


def test_scripts_without_blanks_are_found_by_their_characters(tmp_path: Path) -> None:
    kb = base(tmp_path, {"a.md": "消息队列和工作进程", "b.md": "天气很好"})
    assert found(kb, "队列") == ["a.md"]


def test_equal_passages_come_in_order_of_their_ids_however_many_are_asked_for(tmp_path: Path) -> None:
    kb = base(tmp_path, {f"{n}.md": f"# Same\nequal words\n# Other {n}\nfiller" for n in range(90)})
    ids = [hit.source.id for hit in kb.search("equal", 90)]
    assert len(ids) == 90
    assert ids == sorted(ids)
    assert [hit.source.id for hit in kb.search("equal", 3)] == ids[:3]


@pytest.mark.parametrize(("k", "count"), [(0, 0), (-1, 0), (1, 1), (1000, 3)])
def test_never_more_hits_than_asked_for(tmp_path: Path, k: int, count: int) -> None:
    kb = base(tmp_path, {f"{n}.md": f"word {n}" for n in range(3)})
    assert len(kb.search("word", k)) == count


def test_a_hit_is_the_whole_passage_with_its_place(tmp_path: Path) -> None:
    kb = base(tmp_path, {"a.md": "# Guide\n\nA broker\nwith queues\n"})
    (hit,) = kb.search("broker", 1)
    assert hit.score > 0
    assert hit.source.model_dump(exclude_none=True) == {
        "id": hit.source.id,
        "kind": "passage",
        "title": "Guide",
        "path": str(tmp_path / "default" / "a.md"),
        "heading": "Guide",
        "line_start": 3,
        "line_end": 4,
        "text": "A broker\nwith queues",
        "knowledge": "default",
    }


def test_an_open_base_sees_what_is_added_later(tmp_path: Path) -> None:
    kb = base(tmp_path, {"a.md": "apples"})
    assert found(kb, "pears") == []
    base(tmp_path, {"b.md": "pears"})
    assert found(kb, "pears") == ["b.md"]


def test_a_document_has_the_digest_of_what_is_searched_unless_that_is_in_doubt(tmp_path: Path) -> None:
    kb = base(tmp_path, {"a.md": "Apples", "b.md": "Pears"})
    paths = [one.path for one in kb.documents()]
    assert [one.digest for one in kb.documents()] == [sha256(text).hexdigest() for text in (b"Apples", b"Pears")]
    manifest.save_pending(kb.place, paths[:1])
    assert [bool(one.digest) for one in kb.documents()] == [False, True]


def test_an_open_base_that_is_removed_says_so(tmp_path: Path) -> None:
    kb = base(tmp_path, {"a.md": "apples"})
    shelf.remove("default", tmp_path / "home")
    for use in (lambda: kb.search("apples", 1), kb.documents, kb.stats):
        with pytest.raises(UnknownKnowledge, match="has been removed"):
            use()


def test_a_damaged_index_is_named(tmp_path: Path) -> None:
    kb = base(tmp_path, {"a.md": "apples"})
    (kb.place / "index" / "meta.json").write_text("{")
    with pytest.raises(BadDocument, match="damaged"):
        kb.search("apples", 1)


def test_an_unknown_base_is_answered_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(UnknownKnowledge, match="there is none yet"):
        KnowledgeBase.open("other", tmp_path / "home")
    base(tmp_path, {"a.md": "x"}, "one")
    base(tmp_path, {"a.md": "x"}, "two")
    with pytest.raises(UnknownKnowledge, match="no knowledge base 'other'; there are: one, two"):
        KnowledgeBase.open("other", tmp_path / "home")


def test_a_name_is_checked_before_it_becomes_a_path(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="cannot name"):
        KnowledgeBase.open("../../etc", tmp_path)


def test_several_bases_are_searched_as_one(tmp_path: Path) -> None:
    base(tmp_path, {"a.md": "apples and pears", "x.md": "filler"}, "one")
    base(tmp_path, {"b.md": "apples", "y.md": "filler"}, "two")
    hits = search_all(["one", "two", "one"], "apples", 10, home=tmp_path / "home")
    assert {(hit.source.knowledge, Path(hit.source.path).name) for hit in hits} == {("one", "a.md"), ("two", "b.md")}
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert search_all(["one", "two"], "apples", 1, home=tmp_path / "home") == hits[:1]


def test_a_passage_in_two_bases_is_found_once(tmp_path: Path) -> None:
    kb = base(tmp_path, {"a.md": "apples"}, "one")
    ingest("two", [tmp_path / "one"], settings_in(tmp_path / "home"))
    (tmp_path / "one" / "b.md").write_text("filler without any fruit")
    ingest("two", [tmp_path / "one"], settings_in(tmp_path / "home"))
    for order in (["one", "two"], ["two", "one"]):
        (hit,) = search_all(order, "apples", 5, home=tmp_path / "home")
        assert hit.source.knowledge == "two"
        assert hit.score > kb.search("apples", 1)[0].score


def test_documents_are_listed_by_path(tmp_path: Path) -> None:
    kb = base(tmp_path, {"b.md": "# B\ntext\n# C\nmore", "a.csv": "x,y\n1,2"})
    assert [(one.title, Path(one.path).name, one.passages, one.kind) for one in kb.documents()] == [
        ("a.csv", "a.csv", 1, "csv"),
        ("B", "b.md", 2, "markdown"),
    ]


def test_stats_add_up(tmp_path: Path) -> None:
    stats = base(tmp_path, {"b.md": "# B\ntext\n# C\nmore", "a.csv": "x,y\n1,2"}).stats()
    assert (stats.name, stats.documents, stats.passages, stats.bytes) == ("default", 2, 3, 24)
    assert stats.kinds == {"csv": 1, "markdown": 1}
    assert stats.index_bytes > 0


CHAPTERS = "\n".join(f"# Chapter {n}\ntext {n}" for n in range(12))


@pytest.mark.parametrize("name", ["Chapter 0", "chapter 0", "book.md", "deep/book.md", "path", "id", "key"])
def test_a_document_is_read_in_order_by_any_of_its_names(tmp_path: Path, name: str) -> None:
    kb = base(tmp_path, {"deep/book.md": CHAPTERS, "other.md": "# Other\ntext"})
    passage = kb.search("chapter 5", 1)[0].source.id
    real = {"path": str(tmp_path / "default/deep/book.md"), "id": passage, "key": passage.partition("-")[0]}
    part = kb.read(real.get(name, name), 9, 2)
    assert [source.text for source in part.sources] == ["text 9", "text 10"]
    assert (part.document.title, part.document.passages, part.start) == ("Chapter 0", 12, 9)


@pytest.mark.parametrize(("start", "count", "size"), [(-3, 2, 2), (11, 5, 1), (12, 5, 0), (0, 0, 0), (0, -1, 0)])
def test_a_part_outside_the_document_is_short_or_empty(tmp_path: Path, start: int, count: int, size: int) -> None:
    assert len(base(tmp_path, {"book.md": CHAPTERS}).read("book.md", start, count).sources) == size


def test_a_changed_document_is_read_as_it_is_now(tmp_path: Path) -> None:
    base(tmp_path, {"book.md": CHAPTERS})
    kb = base(tmp_path, {"book.md": "# New\nshort"})
    assert [source.text for source in kb.read("book.md").sources] == ["short"]


@pytest.mark.parametrize("name", ["", "/", "p0123456789-1"])
def test_a_document_that_is_not_there_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadDocument, match="no document"):
        base(tmp_path, {"a.md": "x"}).read(name)


def test_a_near_miss_is_answered_with_titles_that_exist(tmp_path: Path) -> None:
    with pytest.raises(BadDocument, match="similar titles: 'Broker guide'"):
        base(tmp_path, {"a.md": "# Broker guide\nx"}).read("Brokers guide")


def test_a_name_of_two_documents_is_answered_with_their_paths(tmp_path: Path) -> None:
    with pytest.raises(BadDocument, match=r"2 documents .* go by 'Same'.*a\.md, .*b\.md"):
        base(tmp_path, {"a.md": "# Same\nx", "b.md": "# Same\ny"}).read("Same")


def test_home_comes_from_the_environment_and_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROUPE_CONFIG", os.devnull)
    monkeypatch.setenv("TROUPE_HOME", "~/somewhere")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert KnowledgeSettings().home == tmp_path / "somewhere"
    monkeypatch.delenv("TROUPE_HOME")
    assert KnowledgeSettings().home == tmp_path / ".troupe"
