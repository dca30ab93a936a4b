"""The two doors, and a fleet that is played behind them."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import JsonValue, SecretStr

from orchestrator import AsyncTroupe, Troupe
from orchestrator.cli import call
from orchestrator.handle import AsyncJobHandle
from tasks.access import OPERATOR, Scope
from tasks.ids import JobId, StepId
from tasks.settings import StoreSettings
from tasks.signing import Place, as_asked
from tasks.states import StepStatus
from tasks.store import Store
from tasks.store.access import AccessStore
from tasks.store.waits import WaitKind, Wanted
from tasks.usage import Usage
from tests.support.api import Api
from tests.support.builders import a_graph
from tests.support.moves import Moves

SECRET = "the secret of this fleet, long enough"
GUIDE = "# Refunds\n\nA refund is paid within fourteen days.\n"
HOLIDAYS = "# Holidays\n\nThe office closes in August.\n"
Said = tuple[int, str, str]
Run = Callable[..., Awaitable[Said]]


@pytest.fixture
def store_settings(store_settings: StoreSettings, monkeypatch: pytest.MonkeyPatch) -> StoreSettings:
    """One partition: the moves of the tests are made there. All processes know the same secret."""
    monkeypatch.setenv("TROUPE_SECRET", SECRET)
    return store_settings.model_copy(update={"partitions": 1})


@pytest.fixture
def api(store_settings: StoreSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """An API of the test's own fleet."""
    monkeypatch.setenv("TROUPE_HOME", str(tmp_path / "home"))
    found = Api(store_settings, tmp_path / "home").start()
    yield found
    found.stop()


@dataclass(frozen=True)
class Way:
    """A way in."""

    name: str
    settings: StoreSettings
    api: Api | None = None
    key: str = ""

    def client(self) -> AsyncTroupe:
        """A client that comes by it."""
        if self.api is None:
            return AsyncTroupe(settings=self.settings)
        return AsyncTroupe(self.api.url, api_key=self.key)

    def blocking(self) -> Troupe:
        """The same for ordinary code."""
        if self.api is None:
            return Troupe(settings=self.settings)
        return Troupe(self.api.url, api_key=SecretStr(self.key))


async def made_key(settings: StoreSettings, tenant: str = OPERATOR, *scopes: Scope) -> str:
    """A key that is good there."""
    store = Store(settings)
    try:
        return (await AccessStore(store).create(tenant, scopes or {Scope.ADMIN}, name="tester"))[1]
    finally:
        await store.close()


async def planned(troupe: AsyncTroupe, moves: Moves, task: str = "Find out.") -> AsyncJobHandle:
    """A job with one step of work."""
    job = await troupe.submit(task)
    assert await moves.extend(job.id, a_graph({"one": ()}))
    return job


async def ask(moves: Moves, job: JobId, asked: dict[str, JsonValue], key: str = "k1") -> None:
    """Let the job's step ask people something, as a worker of the fleet does."""
    if await moves.status(job, "one") is not StepStatus.READY:
        raise AssertionError("the step was to be ready")
    ref = await moves.running(job, "one")
    signed = as_asked(SecretStr(SECRET), Place(job, StepId("one"), key), asked)
    kind = WaitKind.QUESTION if "question" in asked else WaitKind.APPROVAL
    wanted = Wanted(key, kind, json.dumps(signed, ensure_ascii=False))
    assert await moves.attempts.park(ref, [wanted], Usage()) is None


@pytest.fixture(params=["redis", "http"])
def door(request: pytest.FixtureRequest, store_settings: StoreSettings) -> Way:
    """Each of the doors."""
    if request.param == "redis":
        return Way("redis", store_settings)
    return Way("http", store_settings, request.getfixturevalue("api"), asyncio.run(made_key(store_settings)))


@pytest.fixture
async def troupe(door: Way) -> AsyncIterator[AsyncTroupe]:
    """A client at one of the doors."""
    async with door.client() as client:
        yield client


@pytest.fixture
def blocking(door: Way) -> Iterator[Troupe]:
    """The same for ordinary code."""
    with door.blocking() as client:
        yield client


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """Documents that are taken, and some that are not."""
    folder = tmp_path / "docs"
    (folder / "guide").mkdir(parents=True)
    (folder / "guide" / "intro.md").write_text(GUIDE)
    (folder / "notes.txt").write_text("Something else, at some length, and of no use to anybody.")
    (folder / "again.md").write_text(HOLIDAYS)
    (folder / "zwice.md").write_text(HOLIDAYS)
    (folder / "empty.md").touch()
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 no")
    (folder / "picture.png").write_bytes(b"no")
    return folder


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """Where this machine keeps things; those of the API are elsewhere."""
    return tmp_path / "machine"


@pytest.fixture
def here(machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command about this machine."""

    async def run(*words: str | Path) -> Said:
        monkeypatch.delenv("TROUPE_API_URL", raising=False)
        monkeypatch.setenv("TROUPE_HOME", str(machine))
        return await _said(capsys, words)

    return run


@pytest.fixture
async def there(api: Api, machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command about the fleet behind the API, of an operator unless another key is set."""
    monkeypatch.setenv("TROUPE_API_KEY", await made_key(api.settings))

    async def run(*words: str | Path) -> Said:
        monkeypatch.setenv("TROUPE_API_URL", api.url)
        monkeypatch.setenv("TROUPE_HOME", str(machine))
        monkeypatch.setenv("TROUPE_REDIS_URL", "redis://127.0.0.1:1")
        return await _said(capsys, words)

    return run


async def _said(capsys: pytest.CaptureFixture[str], words: Sequence[str | Path]) -> Said:
    code = await asyncio.to_thread(call, [str(word) for word in words])
    said = capsys.readouterr()
    return code, said.out, said.err


async def done(run: Run, *words: str | Path) -> str:
    """What a command prints that does what it is to do."""
    code, out, err = await run(*words)
    assert code == 0, err
    return out


async def refused(run: Run, *words: str | Path, code: int = 2) -> str:
    """What a command says that is refused: in one line."""
    found, out, err = await run(*words)
    assert (found, out, err.count("\n")) == (code, "", 1), (out, err)
    return err
