"""Ingestion: what goes in, what stays, what is left out and why."""

import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from tasks.errors import BadDocument, BadSetting, ContractError, IncompatibleVersion, TransientError, UnknownKnowledge
from tests.support.documents import pdf, settings_in
from workers.knowledge import manifest, shelf
from workers.knowledge.index import KnowledgeBase
from workers.knowledge.ingest import Progress, Report, ingest
from workers.knowledge.writer import KnowledgeWriter, writing

NAME = "default"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.md").write_text("# Apples\nApples grow on trees.")
    (folder / "b.txt").write_text("Bananas grow on plants.")
    return folder


def add(home: Path, *paths: Path, **limits: int) -> Report:
    return ingest(NAME, paths, settings_in(home, **limits))


def names(paths: list[str]) -> list[str]:
    return [Path(path).name for path in paths]


def reasons(report: Report) -> dict[str, str]:
    return {Path(path).name: reason for path, reason in report.skipped}


def hits(home: Path, query: str) -> list[str]:
    return [Path(hit.source.path).name for hit in KnowledgeBase.open(NAME, home).search(query, 10)]


def test_files_below_folders_become_searchable(home: Path, docs: Path) -> None:
    (docs / "deep").mkdir()
    (docs / "deep" / "c.md").write_text("Cherries")
    report = add(home, docs)
    assert names(report.added) == ["a.md", "b.txt", "c.md"]
    assert (report.documents, report.passages, report.usable) == (3, 3, 3)
    assert hits(home, "cherry") == ["c.md"]


def test_a_second_time_nothing_is_read_or_written(home: Path, docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(home, docs)

    def refuse(*_: object) -> None:
        raise AssertionError("a known file was read")

    monkeypatch.setattr("workers.knowledge.reading.Reader.read", refuse)
    monkeypatch.setattr("workers.knowledge.manifest.save", refuse)
    report = add(home, docs)
    assert (names(report.unchanged), report.added, report.passages) == (["a.md", "b.txt"], [], 2)


def test_a_changed_file_replaces_its_passages(home: Path, docs: Path) -> None:
    add(home, docs)
    (docs / "a.md").write_text("Only pears here.")
    report = add(home, docs)
    assert (names(report.updated), names(report.unchanged)) == (["a.md"], ["b.txt"])
    assert (hits(home, "apples"), hits(home, "pears")) == ([], ["a.md"])


def test_a_file_that_vanished_from_a_given_folder_is_taken_out(home: Path, docs: Path) -> None:
    add(home, docs)
    (docs / "a.md").unlink()
    assert names(add(home, docs).removed) == ["a.md"]
    assert hits(home, "apples") == []


def test_a_file_that_vanished_elsewhere_stays(home: Path, docs: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.md"
    other.write_text("Oranges")
    add(home, docs, other)
    other.unlink()
    assert add(home, docs).removed == []
    assert hits(home, "oranges") == ["other.md"]


def test_a_file_that_became_unusable_is_taken_out_and_named(home: Path, docs: Path) -> None:
    add(home, docs)
    (docs / "a.md").write_bytes(b"")
    report = add(home, docs)
    assert (names(report.removed), reasons(report)) == (["a.md"], {"a.md": "empty"})


def test_the_last_file_of_a_folder_may_vanish(home: Path, docs: Path) -> None:
    add(home, docs)
    for file in docs.iterdir():
        file.unlink()
    report = add(home, docs)
    assert (names(report.removed), report.documents) == (["a.md", "b.txt"], 0)


def test_unusable_files_are_named_with_their_reasons(home: Path, docs: Path) -> None:
    (docs / "empty.md").touch()
    (docs / "binary.txt").write_bytes(b"\x00\x01")
    (docs / "locked.pdf").write_bytes(pdf([["x"]], encrypt=True))
    (docs / "picture.png").write_bytes(b"PNG")
    (docs / "large.txt").write_text("x" * 101)
    (docs / "rules.md").write_text("# ***\n")
    (docs / "gone.md").symlink_to(docs / "nowhere.md")
    os.mkfifo(docs / "pipe.txt")
    report = add(home, docs, max_document_bytes=100)
    assert names(report.added) == ["a.md", "b.txt"]
    found = reasons(report)
    assert found.pop("locked.pdf").startswith("too large")
    assert found.pop("large.txt") == "too large: 101 bytes, the limit is 100 (TROUPE_MAX_DOCUMENT_BYTES)"
    assert found == {
        "empty.md": "empty",
        "binary.txt": "binary, not text",
        "picture.png": "unknown kind (.png)",
        "rules.md": "no text in it",
        "gone.md": "broken link",
        "pipe.txt": "not a regular file",
    }


def test_a_file_that_cannot_be_opened_is_named(home: Path, docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_bytes = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.name == "a.md":
            raise PermissionError(13, "Permission denied")
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert reasons(add(home, docs)) == {"a.md": "cannot be read: Permission denied"}


def test_a_folder_that_cannot_be_listed_is_named_and_keeps_what_was_read(
    home: Path, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = docs / "deep"
    deep.mkdir()
    (deep / "c.md").write_text("Cherries")
    add(home, docs)
    stat = Path.stat

    def refuse(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        if path.parts[: len(deep.parts)] == deep.parts:
            raise PermissionError(13, "Permission denied")
        return stat(path, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(Path, "stat", refuse)
    report = add(home, docs)
    assert (reasons(report), report.removed) == ({"deep": "cannot be read: Permission denied"}, [])


def test_a_name_that_is_not_utf8_is_shown_and_skipped(home: Path, docs: Path) -> None:
    (docs / os.fsdecode(b"\xff.md")).write_text("text")
    assert reasons(add(home, docs)) == {"?.md": "its name is not UTF-8"}


def test_pages_that_could_not_be_read_are_named_beside_the_file(
    home: Path, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pypdf import PageObject

    extract_text = PageObject.extract_text

    def fail_on_bad(page: PageObject) -> str:
        text = extract_text(page)
        if "bad" in text:
            raise ValueError("odd")
        return text

    monkeypatch.setattr(PageObject, "extract_text", fail_on_bad)
    monkeypatch.setattr("workers.knowledge.reading.APART", frozenset[str]())  # a child would not know of it
    (docs / "p.pdf").write_bytes(pdf([["good"], ["bad"]]))
    report = add(home, docs)
    assert "p.pdf" in names(report.added)
    assert reasons(report) == {"p.pdf": "page 2 could not be read: ValueError: odd"}


def test_hidden_files_are_passed_over_unless_given_by_name(home: Path, docs: Path) -> None:
    (docs / ".git").mkdir()
    (docs / ".git" / "x.md").write_text("Internals")
    (docs / ".notes.md").write_text("Secrets")
    report = add(home, docs)
    assert (names(report.added), report.skipped) == (["a.md", "b.txt"], [])
    assert names(add(home, docs / ".notes.md").added) == [".notes.md"]
    assert add(home, docs).removed == []


def test_links_that_loop_and_paths_given_twice_give_each_file_once(home: Path, docs: Path) -> None:
    (docs / "loop").symlink_to(docs)
    (docs / "again.md").symlink_to(docs / "a.md")
    report = add(home, docs, docs / "a.md", docs / ".." / "docs")
    assert names(report.added) == ["a.md", "b.txt"]


def test_links_out_of_the_given_folder_are_named_and_not_followed(home: Path, docs: Path, tmp_path: Path) -> None:
    outside = tmp_path / "private"
    outside.mkdir()
    (outside / "diary.md").write_text("Dear diary")
    (docs / "within").mkdir()
    (docs / "within" / "up.md").symlink_to(docs / "a.md")
    (docs / "diary.md").symlink_to(outside / "diary.md")
    (docs / "within" / "all").symlink_to(outside)
    report = add(home, docs)
    assert names(report.added) == ["a.md", "b.txt"]
    assert reasons(report) == {"diary.md": f"a link out of {docs}", "all": f"a link out of {docs}"}


def test_a_link_that_is_given_by_name_is_followed(home: Path, docs: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(docs)
    (tmp_path / "one.md").symlink_to(docs / "a.md")
    assert names(add(home, tmp_path / "one.md").added) == ["one.md"]
    assert names(add(home, link).added) == ["b.txt"]


def test_what_a_folder_had_before_it_became_a_link_out_of_it_is_taken_out(
    home: Path, docs: Path, tmp_path: Path
) -> None:
    deep = docs / "deep"
    deep.mkdir()
    (deep / "c.md").write_text("Cherries")
    add(home, docs)
    deep.rename(tmp_path / "moved")
    deep.symlink_to(tmp_path / "moved")
    assert names(add(home, docs).removed) == ["c.md"]


def test_the_same_content_is_taken_once_until_its_owner_goes(home: Path, docs: Path) -> None:
    (docs / "copy.md").write_bytes((docs / "a.md").read_bytes())
    assert reasons(add(home, docs)) == {"copy.md": f"same content as {docs / 'a.md'}"}
    assert reasons(add(home, docs)) == {"copy.md": f"same content as {docs / 'a.md'}"}
    (docs / "a.md").unlink()
    report = add(home, docs)
    assert (names(report.added), names(report.removed)) == (["copy.md"], ["a.md"])


def test_a_path_that_does_not_exist_changes_nothing(home: Path, docs: Path) -> None:
    with pytest.raises(BadDocument, match=r"no file or folder .*nowhere"):
        add(home, docs, docs / "nowhere")
    assert shelf.names(home) == []


def test_a_path_that_cannot_be_one_is_refused(home: Path) -> None:
    with pytest.raises(BadDocument, match="null"):
        add(home, Path("a\0b"))


def test_nothing_usable_is_an_error_with_the_reasons_and_leaves_no_base(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    with pytest.raises(BadDocument, match=r"no document to read in '.*pictures'"):
        add(home, folder)
    for number in range(7):
        (folder / f"{number}.png").touch()
    with pytest.raises(BadDocument, match=r"0\.png: unknown kind \(\.png\); .*; and 2 more"):
        add(home, folder)
    assert shelf.names(home) == []
    assert not (home / "knowledge" / NAME).exists()


def test_progress_counts_every_file(home: Path, docs: Path) -> None:
    (docs / "empty.md").touch()
    seen: list[Progress] = []
    ingest(NAME, [docs], settings_in(home), on_progress=seen.append)
    assert [(Path(one.path).name, one.done, one.total) for one in seen] == [
        ("a.md", 1, 3),
        ("b.txt", 2, 3),
        ("empty.md", 3, 3),
    ]


def test_a_long_ingestion_commits_on_its_way(home: Path, docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.knowledge.ingest._COMMIT_BYTES", 10)

    def interrupt(done: Progress) -> None:
        if done.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest(NAME, [docs], settings_in(home), on_progress=interrupt)
    assert hits(home, "apples") == ["a.md"]
    assert names(add(home, docs).unchanged) == ["a.md", "b.txt"]


def test_an_interrupted_ingestion_leaves_what_was_there(home: Path, docs: Path) -> None:
    add(home, docs)
    (docs / "a.md").write_text("Only pears here.")

    def interrupt(_: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest(NAME, [docs], settings_in(home), on_progress=interrupt)
    assert (hits(home, "apples"), hits(home, "pears")) == (["a.md"], [])
    assert names(add(home, docs).updated) == ["a.md"]


def do_nothing(*_: object, **__: object) -> None: ...


def crash(monkeypatch: pytest.MonkeyPatch, home: Path, *paths: Path) -> None:
    """Die between the commit of the index and that of the manifest."""

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("workers.knowledge.manifest.save", die)
        with pytest.raises(KeyboardInterrupt):
            add(home, *paths)


def test_after_a_crash_between_both_commits_the_doubtful_files_are_read_again(
    home: Path, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(home, docs)
    before = (docs / "a.md").read_bytes()
    (docs / "a.md").write_text("Only pears here.")
    (docs / "new.md").write_text("Quinces")
    crash(monkeypatch, home, docs)
    (docs / "a.md").write_bytes(before)  # as the manifest knows it, but not as the index does
    (docs / "new.md").unlink()  # in the index, but not in the manifest
    report = add(home, docs / "b.txt")
    assert names(report.unchanged) == ["b.txt"]
    assert hits(home, "quinces") == []
    assert names(add(home, docs).updated) == ["a.md"]
    assert (hits(home, "pears"), hits(home, "apples")) == ([], ["a.md"])


def test_a_first_ingestion_that_was_killed_leaves_no_trace(
    home: Path, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", do_nothing)  # killed: nobody cleans up
        crash(monkeypatch, home, docs)
    assert shelf.names(home) == []
    add(home, docs / "b.txt")
    assert hits(home, "grow") == ["b.txt"]


def test_a_writer_that_waits_in_vain_says_so(home: Path, docs: Path) -> None:
    with shelf.locked(NAME, home), pytest.raises(TransientError, match=r"another process is writing .*'default'"):
        add(home, docs)
    assert names(add(home, docs).added) == ["a.md", "b.txt"]


def test_a_writer_gets_its_turn_when_the_other_one_ends(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as other:
        other.enter_context(shelf.locked(NAME, home))

        def end_other(_: float) -> None:
            other.close()

        monkeypatch.setattr("time.sleep", end_other)
        with shelf.locked(NAME, home) as place:
            assert place == home / "knowledge" / NAME


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path, docs: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadSetting, match="TROUPE_HOME"):
        add(tmp_path / "file", docs)


def test_a_disk_that_refuses_is_a_transient_error(home: Path, docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("workers.knowledge.manifest.save", full)
        with pytest.raises(TransientError, match="No space left"):
            add(home, docs)
    with monkeypatch.context() as patch:
        patch.setattr(KnowledgeWriter, "__init__", full)
        with pytest.raises(TransientError, match="No space left"):
            add(home, docs)


@pytest.mark.parametrize("name", ["", "Up", "../x", ".locks", "a b", "x" * 49])
def test_a_bad_name_is_refused(home: Path, docs: Path, name: str) -> None:
    with pytest.raises(ContractError, match="cannot name a knowledge base"):
        ingest(name, [docs], settings_in(home))


def test_a_removed_base_is_gone_and_can_be_made_again(home: Path, docs: Path) -> None:
    add(home, docs)
    shelf.remove(NAME, home)
    assert shelf.names(home) == []
    with pytest.raises(UnknownKnowledge):
        shelf.remove(NAME, home)
    assert names(add(home, docs).added) == ["a.md", "b.txt"]


def test_a_base_of_another_release_is_refused_in_words(home: Path, docs: Path) -> None:
    add(home, docs)
    (home / "knowledge" / NAME / "manifest.json").write_text('{"version": 2, "shelves": []}')
    with pytest.raises(IncompatibleVersion, match="troupe kb remove default"):
        add(home, docs)


@pytest.mark.parametrize("file", ["manifest.json", "pending.json", "index/meta.json"])
def test_a_damaged_base_is_refused_in_words(home: Path, docs: Path, file: str) -> None:
    add(home, docs)
    (home / "knowledge" / NAME / file).write_text("{")
    with pytest.raises(BadDocument, match=r"damaged.*troupe kb remove default"):
        add(home, docs)


def test_dropping_an_unknown_path_changes_nothing(home: Path, docs: Path) -> None:
    add(home, docs)
    with writing(NAME, home) as writer:
        writer.drop("/never/there.md")
        writer.commit()
    held = manifest.load(home / "knowledge" / NAME)
    assert held is not None
    assert names(list(held.files)) == ["a.md", "b.txt"]
