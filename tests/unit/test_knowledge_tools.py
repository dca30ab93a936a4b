"""The knowledge tools: what a model gets to see, and what it may cite afterwards."""

import os
from pathlib import Path

import pytest

from tasks.errors import ContractError, UnknownKnowledge
from tasks.models import Claim, JobSpec, Source, Step
from tasks.tenancy import tenant_home
from tests.support.documents import pdf, settings_in
from workers.agents.citations import cited
from workers.context import StepContext, enter_step
from workers.knowledge.ingest import ingest
from workers.tools.base import MAX_OUTPUT_CHARS, ToolError
from workers.tools.knowledge import list_documents, read_document, search_passages, where

JOB = "j0123456789abcdefgh0"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TROUPE_CONFIG", os.devnull)
    monkeypatch.setenv("TROUPE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def add(home: Path, files: dict[str, str | bytes], name: str = "default") -> None:
    docs = home.parent / name
    docs.mkdir(parents=True, exist_ok=True)
    for path, content in files.items():
        (docs / path).write_bytes(content.encode() if isinstance(content, str) else content)
    ingest(name, [docs], settings_in(home))


def step(*knowledge: str) -> StepContext:
    job = JobSpec.model_validate({"id": JOB, "task": "Find out.", "knowledge": knowledge})
    work = Step.model_validate({"id": "s1", "description": "Look it up.", "agent": "search", "queue": "search"})
    context = StepContext(Claim(job=job, step=work, attempt=1, deadline_ms=1000))
    enter_step(context)
    return context


async def test_search_shows_passages_that_can_be_cited_from_then_on(home: Path) -> None:
    add(home, {"a.md": "# Guide\n\nA broker\nwith queues", "b.md": "something else"})
    context = step()
    found = await search_passages(query="broker")
    (view,) = found.passages
    assert (view.title, view.heading, view.where, view.text) == (
        "Guide",
        "Guide",
        "a.md lines 3-4",
        "A broker\nwith queues",
    )
    assert (found.total, found.note) == (1, None)
    assert view.score
    assert list(context.found) == [view.id] == cited(f"So it is [{view.id}].")
    assert context.found[view.id].text == view.text


async def test_search_asks_the_bases_of_the_jobs_tenant_only(home: Path) -> None:
    add(home, {"a.md": "apples of everybody"})
    add(tenant_home(home, "acme"), {"b.md": "apples of acme"})
    context = step()
    assert [one.text for one in (await search_passages(query="apples")).passages] == ["apples of everybody"]
    for tenant, found in (("acme", ["apples of acme"]), ("globex", [])):
        job = context.claim.job.model_copy(update={"tenant": tenant})
        enter_step(StepContext(context.claim.model_copy(update={"job": job})))
        assert [one.text for one in (await search_passages(query="apples")).passages] == found


async def test_search_asks_the_jobs_own_bases_only(home: Path) -> None:
    for name in ("default", "one", "two"):
        add(home, {f"{name}.md": f"apples of {name}"}, name)
    step("one", "two")
    found = await search_passages(query="apples")
    assert {view.where for view in found.passages} == {"one.md line 1", "two.md line 1"}
    assert (await list_documents()).total == 2


async def test_without_any_base_the_answer_says_so() -> None:
    step()
    assert "no documents" in str((await search_passages(query="x")).note)
    assert "no documents" in str((await list_documents()).note)
    with pytest.raises(ToolError, match="no documents"):
        await read_document(document="x")


async def test_a_base_that_the_job_names_must_exist() -> None:
    step("other")
    with pytest.raises(UnknownKnowledge, match="'other'"):
        await search_passages(query="x")


async def test_a_search_that_finds_nothing_says_what_to_try(home: Path) -> None:
    add(home, {"a.md": "text"})
    step()
    found = await search_passages(query="unheard")
    assert (found.passages, found.total) == ([], 0)
    assert "list_documents" in str(found.note)


@pytest.mark.parametrize(("k", "count"), [(-1, 1), (3, 3), (1000, 20)])
async def test_the_number_of_passages_is_kept_within_limits(home: Path, k: int, count: int) -> None:
    add(home, {f"{n}.md": f"word {n}" for n in range(30)})
    step()
    assert len((await search_passages(query="word", k=k)).passages) == count


async def test_long_output_is_cut_to_whole_passages_and_only_these_can_be_cited(home: Path) -> None:
    add(home, {f"{n}.json": f'"word {n}' + '"\\\n' * 480 for n in range(20)})
    context = step()
    found = await search_passages(query="word", k=20)
    assert 1 <= len(found.passages) < found.total == 20
    assert "left out" in str(found.note)
    assert len(found.model_dump_json()) <= MAX_OUTPUT_CHARS
    assert list(context.found) == [view.id for view in found.passages]


async def test_a_document_is_read_part_by_part(home: Path) -> None:
    add(home, {"book.md": "\n".join(f"# Chapter {n}\ntext {n}" for n in range(5))})
    context = step()
    part = await read_document(document="book.md", start=1, count=3)
    assert [view.text for view in part.passages] == ["text 1", "text 2", "text 3"]
    assert {view.score for view in part.passages} == {None}
    assert (part.title, part.start, part.total, part.next_start) == ("Chapter 0", 1, 5, 4)
    rest = await read_document(document=part.passages[0].id, start=4)
    assert ([view.text for view in rest.passages], rest.next_start) == (["text 4"], None)
    assert len(context.found) == 4


async def test_reading_goes_on_after_what_fitted(home: Path) -> None:
    add(home, {"book.md": "\n\n".join(f"word{n} " * 150 for n in range(40))})
    step()
    part = await read_document(document="book.md", count=20)
    assert part.next_start == len(part.passages) < 20
    assert len(part.model_dump_json()) <= MAX_OUTPUT_CHARS


async def test_a_document_may_stand_in_any_of_the_jobs_bases(home: Path) -> None:
    add(home, {"a.md": "apples"}, "one")
    add(home, {"b.md": "bananas"}, "two")
    step("one", "two")
    assert (await read_document(document="b.md")).passages[0].text == "bananas"
    with pytest.raises(ToolError, match=r"no document 'c\.md' in knowledge base 'one'.*list_documents") as caught:
        await read_document(document="c.md")
    assert caught.value.code == "unknown_document"


async def test_documents_are_listed_page_by_page(home: Path) -> None:
    add(home, {f"{n}.md": f"# Title {n}\ntext" for n in range(5)})
    step()
    first = await list_documents(limit=2)
    assert ([one.title for one in first.documents], first.total, first.next_offset) == (["Title 0", "Title 1"], 5, 2)
    last = await list_documents(limit=2, offset=4)
    assert ([one.kind for one in last.documents], last.next_offset) == (["markdown"], None)
    assert (await list_documents(offset=-3)).documents[0].path.endswith("0.md")


async def test_a_document_in_two_bases_is_listed_once(home: Path) -> None:
    add(home, {"a.md": "apples"}, "one")
    ingest("two", [home.parent / "one"], settings_in(home))
    step("one", "two")
    assert (await list_documents()).total == 1


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        ({"line_start": 3, "line_end": 3}, "a.x line 3"),
        ({"line_start": 3, "line_end": 5}, "a.x lines 3-5"),
        ({"page_start": 2, "page_end": 2}, "a.x page 2"),
        ({"page_start": 2, "page_end": 3}, "a.x pages 2-3"),
        ({}, "a.x"),
    ],
)
def test_places_are_written_for_people(place: dict[str, int], shown: str) -> None:
    assert where(Source.model_validate({"id": "p0-1", "title": "t", "path": "/d/a.x", **place})) == shown


async def test_pages_of_a_pdf_are_named(home: Path) -> None:
    add(home, {"p.pdf": pdf([["filler"], ["broker"]])})
    step()
    assert (await search_passages(query="broker")).passages[0].where == "p.pdf pages 1-2"


async def test_outside_a_step_no_tool_runs() -> None:
    import asyncio
    import contextvars

    with pytest.raises(ContractError, match="no step is running"):
        await asyncio.create_task(search_passages.function(query="x"), context=contextvars.Context())


def test_descriptions_tell_how_to_cite() -> None:
    assert "[id]" in search_passages.description
    assert "[id]" in read_document.description
    assert [one.name for one in (list_documents, read_document, search_passages)] == [
        "list_documents",
        "read_document",
        "search_passages",
    ]
