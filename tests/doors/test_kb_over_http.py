"""`troupe kb` and `--docs` over HTTP: what they do and print is what they do and print on the machine itself."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from orchestrator.remote.connection import Connection
from orchestrator.remote.knowledge import MOST_FILES, RemoteKnowledge
from orchestrator.remote.settings import RemoteSettings
from tasks.access import Scope
from tasks.errors import BadDocument
from tasks.knowledge import Added
from tasks.refusals import ApiUnavailable
from tests.doors.conftest import GUIDE, HOLIDAYS, Run, Said, done, made_key, refused
from tests.support.api import Api
from workers.cli.sending import Gathered, gather


@dataclass
class Recorder(httpx2.AsyncHTTPTransport):
    """The network, with a note of what went over it. It breaks before the POST of that number."""

    breaks: int | None = None
    posts: int = 0

    def __post_init__(self) -> None:
        super().__init__()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Pass it on."""
        self.posts += request.method == "POST"
        if request.method == "POST" and self.posts == self.breaks:
            raise httpx2.ReadError("the network is gone")
        return await super().handle_async_request(request)


async def documents(run: Run, name: str = "default") -> dict[str, str]:
    """Paths and titles of what a search for everything finds."""
    hits = json.loads(await done(run, "kb", "search", "refund office something", "-k", "100", "--json", "--kb", name))
    return {hit["path"]: hit["title"] for hit in hits}


async def add(api: Api, gathered: Gathered, network: httpx2.AsyncBaseTransport, told: list[int]) -> Added:
    """Send documents over a network that is watched; `told` gets its progress."""
    connection = Connection(RemoteSettings(api_url=api.url))
    connection.transport = network
    try:
        return await RemoteKnowledge(connection).add("default", gathered.paths, gathered.digests, told.append)
    finally:
        await connection.close()


def many(folder: Path, number: int) -> Path:
    """A folder of so many documents."""
    folder.mkdir()
    for at in range(number):
        (folder / f"{at:03}.md").write_text(f"# Chapter {at}\n\nOf chapter {at}.\n")
    return folder


def scenes(docs: Path) -> Iterator[tuple[str | Path, ...]]:
    """Commands, one after the other."""
    mine = ("--kb", "mine")
    yield ("list",)
    yield ("list", "--json")
    yield ("search", "refund")
    yield ("stats", *mine)
    yield ("remove", "mine")
    yield ("add", docs / "nowhere", *mine)
    yield ("add", docs / "picture.png", docs / "broken.pdf", docs / "empty.md", *mine)
    yield ("add", docs, "--kb", "No Name")
    yield ("search", "refund", "--kb", "../jobs")
    yield ("list", "--tenant", "No Name")
    yield ("add", docs, *mine)
    yield ("add", docs, *mine)
    (docs / "broken.pdf").unlink()
    yield ("add", docs / "guide", docs / "again.md", "--kb", "other")
    yield ("list",)
    yield ("list", "--json")
    yield ("stats", *mine)
    yield ("stats", "--json", *mine)
    yield ("search", "refund paid", *mine)
    yield ("search", "refund office something", "--json", *mine)
    yield ("search", "unheard", *mine)
    yield ("search", "unheard", "--json", *mine)
    yield ("search", "x", "-k", "0")
    yield ("search", "refund")
    yield ("add",)
    (docs / "guide" / "intro.md").write_text(f"{GUIDE}\nBut not in August.\n")
    (docs / "again.md").write_text(f"{HOLIDAYS}\nAnd in May.\n")
    (docs / "notes.txt").write_bytes(b"\0\1\2\3" * 100)
    yield ("add", docs, *mine)
    yield ("search", "August May", "--json", *mine)
    (docs / "guide" / "intro.md").write_text((docs / "again.md").read_text())
    yield ("add", docs, *mine)
    yield ("search", "refund", *mine)
    (docs / "twins").mkdir()
    for name in ("report.pdf", "report.txt", "report.md"):
        (docs / "twins" / name).write_text("Of the year before. No PDF, whatever one of them is called.")
    yield ("add", docs / "twins", "--kb", "twins")
    yield ("add", docs / "twins", "--kb", "twins")
    (docs / "guide" / "intro.md").write_text("# \x1b]0;stolen\x07Titles\n\nOf steering \x1b[2J.\n")
    yield ("add", docs, *mine)
    yield ("search", "steering", *mine)
    yield ("remove", "mine")
    yield ("stats", *mine)
    yield ("list",)


def comparable(said: Said, docs: Path, places: Sequence[str]) -> Said:
    """Without what is to differ: ids and places of documents and bases, and what the index takes on disk."""
    code, out, err = said
    for path in docs.rglob("*.*"):
        out = out.replace(str(path), " - ".join(path.relative_to(docs).parts))
    for place in places:
        out = out.replace(place, "PLACE")
    out = re.sub(r"p[0-9a-f]{10}-\d+", "ID", out)
    return code, re.sub(r'(index bytes +|"index_bytes": )[\d,]+', r"\1N", out), err


async def test_all_commands_say_the_same_here_and_there(
    docs: Path, here: Run, there: Run, machine: Path, api: Api
) -> None:
    places = (str(machine / "knowledge"), f"{api.url}/v1/knowledge")
    seen: set[int] = set()
    for words in scenes(docs):
        one = comparable(await here("kb", *words), docs, places)
        assert comparable(await there("kb", *words), docs, places) == one, words
        seen.add(one[0])
    assert seen == {0, 2}


async def test_what_is_equal_to_a_document_there_is_not_sent(docs: Path, there: Run, tmp_path: Path) -> None:
    await done(there, "kb", "add", docs)
    said = await refused(there, "kb", "add", docs / "zwice.md")
    assert said.endswith(f"{docs / 'zwice.md'}: same content as again.md\n")
    other = tmp_path / "other.md"
    other.write_text(GUIDE)
    assert (await refused(there, "kb", "add", other)).endswith(f"{other}: same content as guide - intro.md\n")


async def test_documents_that_change_places_are_both_there(there: Run, tmp_path: Path) -> None:
    one, two = tmp_path / "one.md", tmp_path / "two.md"
    one.write_text(GUIDE)
    await done(there, "kb", "add", one)
    one.write_text(HOLIDAYS)
    two.write_text(GUIDE)
    assert "1 added, 1 updated; 2 documents" in await done(there, "kb", "add", one, two)
    assert await documents(there) == {"one.md": "Holidays", "two.md": "Refunds"}


async def test_no_document_takes_the_place_of_another(there: Run, tmp_path: Path) -> None:
    names = (
        "a/b.md", "a - b.md", "a -/b.md", "a/- b.md", 'q"uote.md', "c:o.md", "co.md", "back\\slash.md", "new\nline.md",
        "é.md", "e\u0301.md", "😀 smile.md", "%22.md", "semi;colon=1.md", "\u200b.md", "x" * 200 + ".md",
        "x" * 200 + "y.md", f"{'d' * 100}/{'e' * 100}.md", " blank .md", "UPPER.MD",
    )  # fmt: skip
    for at, name in enumerate(names):
        path = tmp_path / "docs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# Title {at}\n\nrefund number {at}\n")
    summary = await done(there, "kb", "add", tmp_path / "docs")
    assert summary == f"default: {len(names)} added; {len(names)} documents, {len(names)} passages\n"
    assert await done(there, "kb", "add", tmp_path / "docs") == summary.replace("added", "unchanged")
    found = await documents(there)
    assert sorted(found.values()) == sorted(f"Title {at}" for at in range(len(names)))
    plain = {"co.md", "é.md", "😀 smile.md", "%22.md", "semi;colon=1.md", "UPPER.MD", "a - - b.md"}
    assert (found["a - b.md"], plain - found.keys()) == ("Title 0", set())


async def test_folders_with_documents_of_the_same_name_do_not_mix(there: Run, tmp_path: Path) -> None:
    for folder, text in (("one", GUIDE), ("two", HOLIDAYS)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "index.md").write_text(text)
    assert "2 added" in await done(there, "kb", "add", tmp_path / "one", tmp_path / "two")
    assert "2 unchanged" in await done(there, "kb", "add", tmp_path / "two", tmp_path / "one")
    assert sorted((await documents(there)).values()) == ["Holidays", "Refunds"]


async def test_bases_of_a_tenant_are_reached_by_its_key_and_by_operators(
    docs: Path, there: Run, api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await done(there, "kb", "add", docs, "--tenant", "acme")
    assert json.loads(await done(there, "kb", "list", "--json")) == []
    assert (tmp_path / "home/tenants/acme/knowledge/default/manifest.json").is_file()
    monkeypatch.setenv("TROUPE_API_KEY", await made_key(api.settings, "acme", Scope.READ, Scope.SUBMIT))
    assert "3 documents" in await done(there, "kb", "list")
    assert "3 documents" in await done(there, "kb", "list", "--tenant", "acme")
    for tenant in ("globex", "default"):
        assert "this key acts for tenant 'acme' only" in await refused(there, "kb", "list", "--tenant", tenant)
    await done(there, "kb", "remove", "default")
    assert not list((tmp_path / "home/tenants/acme").rglob("*.md"))


async def test_a_key_that_may_only_add_adds(docs: Path, there: Run, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROUPE_API_KEY", await made_key(api.settings, "acme", Scope.SUBMIT))
    for word in ("added", "unchanged"):
        assert f"3 {word}, 4 skipped; 3 documents" in await done(there, "kb", "add", docs)
    assert "has not the scope 'read'" in await refused(there, "kb", "list")
    assert "no knowledge base 'none'" in await refused(there, "kb", "remove", "none")
    await done(there, "kb", "remove", "default")


async def test_a_wrong_key_and_no_key_are_one_line(docs: Path, there: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = f"trp_{'a' * 10}_{'b' * 43}"
    for key in (wrong, ""):
        monkeypatch.setenv("TROUPE_API_KEY", key)
        for words in (("kb", "list"), ("kb", "add", docs), ("kb", "search", "x"), ("submit", "What?", "--docs", docs)):
            assert wrong not in await refused(there, *words)


async def test_an_api_that_is_away_is_one_line(docs: Path, there: Run, api: Api) -> None:
    api.stop()
    for words in (("kb", "list"), ("kb", "add", docs), ("chat", "--docs", docs)):
        assert "gave no answer" in await refused(there, *words, code=1)
    assert (await there("kb", "--help"))[0] == (await there("kb", "list", "--help"))[0] == 0


@pytest.mark.parametrize(
    ("limit", "reason"),
    [("api_max_upload_bytes", "is longer than 1,500 bytes"), ("api_max_files_bytes", "a tenant may keep 1,500 bytes")],
)
async def test_what_is_too_large_for_the_api_is_one_line(
    limit: str, reason: str, docs: Path, there: Run, api: Api
) -> None:
    api.stop()
    api.api = api.api.model_copy(update={limit: 1_500})
    api.start()
    (docs / "long.md").write_text("# Long\n\n" + "word " * 500)
    for words in (("kb", "add", docs), ("submit", "What?", "--docs", docs)):
        assert reason in await refused(there, *words)
    assert json.loads(await done(there, "kb", "list", "--json")) == []


async def test_words_that_the_api_does_not_look_for_are_one_line(docs: Path, there: Run) -> None:
    await done(there, "kb", "add", docs)
    assert "1000 characters" in await refused(there, "kb", "search", "x" * 1001)
    assert "1 character" in await refused(there, "kb", "search", "")


async def test_a_folder_goes_in_pieces_and_its_progress_is_told(api: Api, tmp_path: Path) -> None:
    gathered = gather([many(tmp_path / "many", 2 * MOST_FILES + 1)])
    network, told = Recorder(), list[int]()
    added = await add(api, gathered, network, told)
    assert (added.added, added.documents, network.posts) == (2 * MOST_FILES + 1, 2 * MOST_FILES + 1, 3)
    assert told == [0, MOST_FILES, MOST_FILES, 1]
    again = await add(api, gathered, network, told)
    assert (again.unchanged, again.documents, again.passages) == (added.added, added.documents, added.passages)
    assert (network.posts, told[4:]) == (3, [added.added])


async def test_what_was_cut_short_goes_on_where_it_was(api: Api, tmp_path: Path) -> None:
    gathered = gather([many(tmp_path / "many", MOST_FILES + 1)])
    with pytest.raises(ApiUnavailable, match="the network is gone"):
        await add(api, gathered, Recorder(breaks=2), [])
    network, told = Recorder(), list[int]()
    added = await add(api, gathered, network, told)
    assert (added.unchanged, added.added, added.documents) == (MOST_FILES, 1, MOST_FILES + 1)
    assert (network.posts, told) == (1, [MOST_FILES, 1])


async def test_pieces_that_nobody_can_use_do_not_stop_the_others(
    there: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.remote.knowledge.MOST_FILES", 2)
    folder = many(tmp_path / "many", 3)
    for name in ("000.md", "001.md"):
        (folder / name).write_bytes(b"\0\1\2\3" * 100 + name.encode())
    code, out, err = await there("kb", "add", folder)
    assert (code, out) == (0, "default: 1 added, 2 skipped; 1 documents, 1 passages\n")
    assert err.splitlines() == [f"skipped {folder / name}: binary, not text" for name in ("000.md", "001.md")]


async def test_a_document_that_goes_while_it_is_sent_is_named(api: Api, tmp_path: Path) -> None:
    gathered = gather([many(tmp_path / "many", 1)])
    (tmp_path / "many" / "000.md").unlink()
    with pytest.raises(BadDocument, match=re.escape(f"{tmp_path / 'many' / '000.md'}: No such file")):
        await add(api, gathered, Recorder(), [])
