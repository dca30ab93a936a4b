"""`--docs` over HTTP: a knowledge base of exactly these documents, whoever has them."""

import json
import os
import re
import shutil
from hashlib import sha256
from pathlib import Path

import httpx2
import pytest

from orchestrator.cli.jobs import ingested
from tasks.access import Scope
from tasks.ids import JobId
from tests.doors.conftest import GUIDE, Run, done, made_key, refused
from tests.support.api import Api
from tests.support.moves import Moves
from workers.cli.sending import gather, run_name


async def knowledge_of(moves: Moves, run: Run, *words: str | Path) -> tuple[str, ...]:
    """The knowledge bases of a job that is submitted so."""
    job = JobId((await done(run, "submit", "What?", *words)).strip())
    return (await moves.snapshots.job(job)).spec.knowledge


async def held(run: Run, *words: str) -> dict[str, int]:
    """The knowledge bases there, with their numbers of documents."""
    return {one["name"]: one["documents"] for one in json.loads(await done(run, "kb", "list", "--json", *words))}


async def test_the_same_documents_are_found_again_wherever_they_are(
    docs: Path, there: Run, moves: Moves, tmp_path: Path
) -> None:
    (name,) = await knowledge_of(moves, there, "--docs", docs)
    assert re.fullmatch("run-[0-9a-f]{10}", name)
    assert await held(there) == {name: 3}
    shutil.copytree(docs, tmp_path / "elsewhere" / "copy")
    assert await knowledge_of(moves, there, "--kb", "mine", "--docs", tmp_path / "elsewhere" / "copy") == ("mine", name)
    assert await held(there) == {name: 3}


async def test_other_documents_are_never_in_it(docs: Path, there: Run, moves: Moves) -> None:
    names = [await knowledge_of(moves, there, "--docs", docs)]
    (docs / "guide" / "intro.md").write_text(GUIDE + "More.\n")
    names.append(await knowledge_of(moves, there, "--docs", docs))
    (docs / "guide" / "intro.md").rename(docs / "guide" / "start.md")
    names.append(await knowledge_of(moves, there, "--docs", docs))
    assert sorted(await held(there)) == sorted(name for (name,) in names)
    assert len(set(names)) == 3


async def test_what_is_missing_or_wrong_in_it_is_sent_again(docs: Path, there: Run, api: Api, moves: Moves) -> None:
    (name,) = await knowledge_of(moves, there, "--docs", docs)
    (docs / "more").mkdir()
    (docs / "more" / "notes.txt").write_text("Not these.")
    await done(there, "kb", "add", docs / "more", "--kb", name)
    shutil.rmtree(docs / "more")
    key = {"Authorization": f"Bearer {os.environ['TROUPE_API_KEY']}"}
    async with httpx2.AsyncClient(base_url=f"{api.url}/v1/knowledge/{name}/", headers=key) as client:
        assert (await client.delete("documents", params={"path": "again.md"})).status_code == 204
        assert await knowledge_of(moves, there, "--docs", docs) == (name,)
        found = {one["path"]: one["digest"] for one in (await client.get("documents")).json()}
    contents = {"guide - intro.md": "guide/intro.md", "again.md": "again.md", "notes.txt": "notes.txt"}
    assert found == {one: sha256((docs / path).read_bytes()).hexdigest() for one, path in contents.items()}


async def test_they_are_of_the_tenant_that_asks(
    docs: Path, there: Run, api: Api, moves: Moves, monkeypatch: pytest.MonkeyPatch
) -> None:
    (name,) = await knowledge_of(moves, there, "--docs", docs, "--tenant", "acme")
    assert (await held(there), await held(there, "--tenant", "acme")) == ({}, {name: 3})
    monkeypatch.setenv("TROUPE_API_KEY", await made_key(api.settings, "globex", Scope.READ, Scope.SUBMIT))
    assert await knowledge_of(moves, there, "--docs", docs) == (name,)
    assert await held(there) == {name: 3}
    assert "is not the name of a tenant" in await refused(there, "submit", "What?", "--docs", docs, "--tenant", "../x")


async def test_a_conversation_has_documents_too(
    docs: Path, there: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = tmp_path / "said"
    said.write_text("/exit\n")
    with said.open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        code, _, err = await there("chat", "--docs", docs)
    assert (code, f"skipped {docs / 'broken.pdf'}: " in err) == (0, True), err
    assert await held(there) == {run_name(gather([docs])): 3}


async def test_documents_that_nobody_can_use_submit_nothing(docs: Path, there: Run) -> None:
    for path, reason in ((docs / "picture.png", "unknown kind"), (docs / "broken.pdf", "broken.pdf"), ("x", "no file")):
        assert reason in await refused(there, "submit", "What?", "--docs", path)
    assert (await held(there), json.loads(await done(there, "jobs", "--json"))) == ({}, [])


@pytest.mark.usefixtures("api")
def test_a_run_of_its_own_reads_its_documents_here(docs: Path, machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROUPE_API_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("TROUPE_HOME", str(machine))
    (name,) = ingested([docs], quiet=True)
    assert (machine / "knowledge" / name / "manifest.json").is_file()
