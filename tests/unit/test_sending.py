"""Documents that are sent: what they are called, and which of them are."""

from pathlib import Path, PurePosixPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.remote.knowledge import MOST_BYTES, MOST_FILES, batches
from tasks.errors import BadDocument
from workers.cli.sending import flat_names, gather, run_name
from workers.knowledge.upload import MAX_NAME_BYTES, safe_name
from workers.knowledge.walk import Found

ROOT = Path("/docs")
CHARACTERS = st.one_of(st.sampled_from(" -.ab\\:\u200b\u0301é\u212a"), st.characters(exclude_categories=["Cs"]))
PARTS = st.text(CHARACTERS, min_size=1, max_size=90).filter(lambda part: not {"/", "\0"} & set(part) and part != "..")


def joined(parts: list[str], stem: str, suffix: str) -> str:
    """A path below a folder."""
    return "/".join([*parts, f"{stem}{suffix}"])


PATHS = st.builds(
    joined,
    st.lists(PARTS.filter(lambda part: part != "."), max_size=3),
    PARTS,
    st.sampled_from([".md", ".PDF", ".html", ".mar\u212adown"]),
)


def names(*below: str) -> list[str]:
    """What these files of one folder are called."""
    found = flat_names(Found(files=[ROOT / path for path in below], folders=[ROOT]))
    return [found[ROOT / path] for path in below]


@given(st.lists(PATHS, unique_by=PurePosixPath, max_size=5))
@example(["a/b.md", "a - b.md", "a -/b.md", "a/- b.md", "a - - b.md"])
@example(["\u200b.md", "..md", ".a.md", ". .md", "\u202e/x.md"])
@example([f"{'x' * 149}.md", f"{'x' * 150}.md", f"{'é' * 100}/{'é' * 100}.md"])
def test_names_are_plain_differ_and_keep_their_kind(below: list[str]) -> None:
    found = names(*below)
    assert [safe_name(name) for name in found] == found
    assert len(set(found)) == len(below)
    assert all(len(name.encode()) <= MAX_NAME_BYTES for name in found)
    kinds = [PurePosixPath(path).suffix.lower() for path in below]
    assert [PurePosixPath(name).suffix.lower() for name in found] == kinds


@given(st.lists(PATHS, unique_by=PurePosixPath, min_size=1, max_size=5))
def test_a_name_does_not_hang_on_what_else_is_sent_from_the_folder(below: list[str]) -> None:
    assert names(*below) == [names(path)[0] for path in below]


def test_usual_paths_can_be_read_in_their_names() -> None:
    usual = ["guide/intro.md", "intro.md", "a/b/c.pdf", "v1.2 notes.txt", "Übersicht (neu).html"]
    assert names(*usual) == ["guide - intro.md", "intro.md", "a - b - c.pdf", "v1.2 notes.txt", "Übersicht (neu).html"]


def test_files_of_two_folders_that_would_be_called_the_same_are_not() -> None:
    files = [Path("/one/index.md"), Path("/two/index.md"), Path("/two/more.md")]
    found = flat_names(Found(files=files, folders=[Path("/one"), Path("/two")]))
    assert (len(set(found.values())), found[files[2]]) == (3, "more.md")
    assert all(name.startswith("index ") and name.endswith(".md") for name in list(found.values())[:2])
    assert flat_names(Found(files=files[::-1], folders=[Path("/two"), Path("/one")])) == found


def test_a_file_that_is_given_by_itself_goes_by_its_own_name() -> None:
    assert flat_names(Found(files=[Path("/deep/er/a.md")])) == {Path("/deep/er/a.md"): "a.md"}


def test_what_nobody_takes_is_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROUPE_MAX_DOCUMENT_BYTES", "10")
    for name, text in (("a.md", "# Short"), ("empty.md", ""), ("long.md", "x" * 11), ("picture.png", "x")):
        (tmp_path / name).write_text(text)
    found = gather([tmp_path])
    assert found.paths == {"a.md": tmp_path / "a.md"}
    assert [(Path(one.path).name, one.reason) for one in found.skipped] == [
        ("picture.png", "unknown kind (.png)"),
        ("empty.md", "empty"),
        ("long.md", "too large: 11 bytes, the limit is 10 (TROUPE_MAX_DOCUMENT_BYTES)"),
    ]
    with pytest.raises(BadDocument, match="no file or folder"):
        gather([tmp_path / "nowhere"])


def test_the_base_of_a_run_is_that_of_names_and_contents(tmp_path: Path) -> None:
    def base(folder: str, **texts: str) -> str:
        for name, text in texts.items():
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / f"{name}.md").write_text(text)
        return run_name(gather([tmp_path / folder]))

    assert base("one", a="A", b="B") == base("two", b="B", a="A")
    others = {base("three", a="B", b="A"), base("four", a="A"), base("five", a="A", c="B"), base("six", a="AB")}
    assert len(others | {base("one")}) == 5


def test_pieces_keep_to_their_number_and_size(tmp_path: Path) -> None:
    sizes = [MOST_BYTES - 1, 1, 1, MOST_BYTES + 1, 5, *([0] * MOST_FILES)]
    for at, size in enumerate(sizes):
        with (tmp_path / f"{at:03}").open("wb") as file:
            file.truncate(size)  # holes take no room
    found = list(batches((path.name, path) for path in sorted(tmp_path.iterdir())))
    assert [len(batch) for batch in found] == [2, 1, 1, MOST_FILES, 1]
    assert [name for batch in found for name, _ in batch] == [f"{at:03}" for at in range(len(sizes))]
