"""The table tools as an agent calls them, and the processes behind them."""

import asyncio
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import BadSetting
from tasks.ids import JobId, StepId
from tasks.models import Claim, JobSpec, SourceKind, Step, TableRef
from tasks.settings import read_settings
from tasks.tables import table_refs
from workers.agents.citations import cited
from workers.context import StepContext, enter_step
from workers.tools import tables
from workers.tools.base import ToolCall, ToolError
from workers.tools.executor import ToolExecutor
from workers.tools.table_child import serve
from workers.tools.table_process import TableProcess, TableProcesses
from workers.tools.table_settings import TableSettings
from workers.tools.tables import describe_table, list_tables, query_table, source_id

JOB = JobId("j" + "0" * 19)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[TableRef, ...]:
    folder = tmp_path_factory.mktemp("data")
    (folder / "sales.csv").write_bytes(b"\xef\xbb\xbfregion,amount\r\nnorth,10\r\nsouth,20\r\n")
    (folder / "staff.json").write_text('[{"region": "north", "boss": "Ada"}]')
    (folder / "broken.csv").write_bytes(b"a\n\xff\xfe\n")
    return table_refs(sorted(folder.iterdir()))


@pytest.fixture(scope="module")
def shared() -> Iterator[TableProcesses]:
    """Processes with low limits, for the whole module."""
    pool = TableProcesses(read_settings(TableSettings, table_query_s=0.5, table_threads=1))
    yield pool
    pool.close()


@pytest.fixture
def step(files: tuple[TableRef, ...], shared: TableProcesses, monkeypatch: pytest.MonkeyPatch) -> StepContext:
    monkeypatch.setattr(tables, "processes", lambda: shared)
    return context_of(files)


def context_of(files: tuple[TableRef, ...]) -> StepContext:
    step = Step(id=StepId("s"), description="d", agent="analysis", queue="analysis")
    job = JobSpec(id=JOB, task="t", data=files)
    return StepContext(Claim(job=job, step=step, attempt=1, deadline_ms=60_000))


async def call(context: StepContext, name: str, **arguments: Any) -> ToolCall:
    enter_step(context)
    return await ToolExecutor([list_tables, describe_table, query_table]).execute("c", name, arguments)


async def test_tables_are_listed_with_their_columns_and_broken_ones_with_the_reason(step: StepContext) -> None:
    done = await call(step, "list_tables")
    broken, sales, staff = json.loads(str(done.output))
    assert "cannot be read" in broken["error"]
    assert broken["source"] is None
    assert sales["columns"] == [{"name": "region", "type": "VARCHAR"}, {"name": "amount", "type": "BIGINT"}]
    assert (sales["file"], sales["rows"], staff["rows"]) == ("sales.csv", 2, 1)
    assert {sales["source"], staff["source"]} == set(step.found)


async def test_a_table_is_described_with_its_numbers(step: StepContext) -> None:
    done = await call(step, "describe_table", table="SALES")
    found = json.loads(str(done.output))
    assert (found["name"], found["rows"]) == ("sales", 2)
    amount = found["columns"][1]
    assert (amount["mean"], amount["median"], amount["min"]) == (15.0, 15.0, 10)
    assert step.found[found["source"]].query == "SUMMARIZE sales"


async def test_a_result_cites_each_table_that_its_query_names(step: StepContext) -> None:
    sql = "SELECT boss, amount FROM sales JOIN staff USING (region)"
    done = await call(step, "query_table", sql=f"  {sql} ")
    found = json.loads(str(done.output))
    assert (found["columns"], found["rows"]) == (["boss", "amount"], [["Ada", 10]])
    assert (found["row_count"], found["truncated"], len(found["sources"])) == (1, False, 2)
    sales, staff = (step.found[one] for one in found["sources"])
    assert (sales.kind, sales.title, sales.query) == (SourceKind.TABLE, "sales.csv", sql)
    assert (sales.line_start, sales.line_end, sales.text) == (1, 1, "region,amount")
    assert (staff.title, staff.line_start, staff.text) == ("staff.json", None, "")
    assert cited(f"So it is [{found['sources'][0]}].") == found["sources"][:1]


async def test_a_query_without_a_table_cites_nothing(step: StepContext) -> None:
    done = await call(step, "query_table", sql="SELECT 1 AS one")
    assert json.loads(str(done.output))["sources"] == []
    assert step.found == {}


def test_a_source_id_is_the_same_for_the_same_query_of_the_same_file() -> None:
    assert source_id("/a.csv", "SELECT  1\n ;") == source_id("/a.csv", " SELECT 1") == source_id("/a.csv", "SELECT 1;")
    assert source_id("/a.csv", "SELECT 1") != source_id("/b.csv", "SELECT 1")
    assert len(source_id("/a.csv", "SELECT 1")) == 11


@pytest.mark.parametrize(
    ("name", "arguments", "code"),
    [
        ("query_table", {"sql": "DROP TABLE sales"}, "not_allowed"),
        ("query_table", {"sql": "SELECT * FROM nowhere"}, "unknown_table"),
        ("query_table", {"sql": "SELECT * FROM broken"}, "bad_table"),
        ("query_table", {"sql": "SELECT nothing FROM sales"}, "failed"),
        ("query_table", {"sql": "SELECT 1", "limit": 0}, "invalid_input"),
        ("describe_table", {"table": "nowhere"}, "unknown_table"),
    ],
)
async def test_a_call_that_cannot_be_served_says_why(
    step: StepContext, name: str, arguments: dict[str, Any], code: str
) -> None:
    done = await call(step, name, **arguments)
    assert (done.success, done.code) == (False, code)
    assert step.found == {}


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT len(range(2000000000))",
        "SELECT length(repeat('x', 4000000000))",
        "SELECT count(*) FROM range(1000000) a, range(1000000) b",
        "SELECT levenshtein(repeat('a', 400000), repeat('b', 400000))",
        "SELECT count(DISTINCT (a.range, b.range)) FROM range(100000) a, range(100000) b",
    ],
)
@pytest.mark.timeout(120)
async def test_a_bomb_ends_by_time_or_memory_and_the_next_query_is_served(step: StepContext, sql: str) -> None:
    done = await call(step, "query_table", sql=sql)
    assert (done.success, done.code in {"timeout", "out_of_memory"}) == (False, True)
    assert done.duration_ms < 55_000
    assert (await call(step, "query_table", sql="SELECT count(*) FROM sales")).success


async def test_calls_of_one_turn_run_side_by_side(step: StepContext) -> None:
    enter_step(step)
    blocks: list[Any] = [
        {"id": str(number), "name": "query_table", "input": {"sql": f"FROM sales SELECT {number}"}}
        for number in range(8)
    ]
    calls = await ToolExecutor([query_table]).execute_all(blocks)
    assert [json.loads(str(one.output))["rows"][0] for one in calls] == [[number] for number in range(8)]


async def test_a_job_without_data_is_told_so() -> None:
    assert (await call(context_of(()), "list_tables")).code == "no_tables"


async def test_outside_a_step_there_are_no_tables() -> None:
    done = await asyncio.to_thread(lambda: asyncio.run(ToolExecutor([list_tables]).execute("c", "list_tables", {})))
    assert done.success is False


async def test_a_header_that_vanished_leaves_the_source_without_text(
    tmp_path: Path, shared: TableProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "processes", lambda: shared)
    (tmp_path / "gone.csv").write_text("a\n1\n")
    context = context_of(table_refs([tmp_path / "gone.csv"]))
    await call(context, "query_table", sql="SELECT * FROM gone")
    (tmp_path / "gone.csv").unlink()

    done = await call(context, "query_table", sql="SELECT a FROM gone")

    assert context.found[json.loads(str(done.output))["sources"][0]].line_start is None


def test_the_child_gets_no_environment_and_can_write_nothing(
    files: tuple[TableRef, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "secret-of-the-worker")
    process = TableProcess(files, TableSettings())
    process.ask({"op": "list"})
    pid = process._child.pid
    if sys.platform == "linux":
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert b"secret-of-the-worker" not in Path(f"/proc/{pid}/environ").read_bytes()
        assert next(line for line in limits.splitlines() if "Max file size" in line).split()[3] == "0"
        assert "unlimited" not in next(line for line in limits.splitlines() if "Max address space" in line)
    process.close()
    assert not process.alive


def test_a_child_that_was_killed_is_reported_and_replaced(files: tuple[TableRef, ...]) -> None:
    pool = TableProcesses(TableSettings())
    pool.ask((JOB, files), {"op": "list"})
    seat = pool._seats[JOB, files]
    os.kill(seat.process._child.pid, 9)
    with pytest.raises(ToolError, match="ended its process"):
        seat.process.ask({"op": "list"})
    assert pool.ask((JOB, files), {"op": "query", "sql": "SELECT 1", "limit": 1})
    pool.close()


def test_a_child_ends_by_itself_when_nobody_asks(files: tuple[TableRef, ...]) -> None:
    process = TableProcess(files, TableSettings(table_idle_s=0.05))
    process.ask({"op": "list"})
    assert process._child.wait(10) == 0
    process.close()


def test_no_more_processes_than_allowed_the_longest_unused_makes_room(files: tuple[TableRef, ...]) -> None:
    pool = TableProcesses(TableSettings(table_processes=1, table_load_s=5))
    pool.ask((JOB, files), {"op": "list"})
    first = pool._seats[JOB, files].process
    pool.ask((JobId("j" + "1" * 19), files), {"op": "list"})
    assert not first.alive
    assert len(pool._seats) == 1
    pool.close()


def test_a_call_that_finds_all_processes_busy_is_told_so(files: tuple[TableRef, ...]) -> None:
    pool = TableProcesses(TableSettings(table_processes=1, table_load_s=0.05))
    with pool._seat((JOB, files)), pytest.raises(ToolError, match="still running"):
        pool.ask((JobId("j" + "1" * 19), files), {"op": "list"})
    pool.close()


def test_a_child_that_does_not_answer_is_ended(files: tuple[TableRef, ...]) -> None:
    process = TableProcess(files, TableSettings(table_query_s=0.2))
    process.ask({"op": "list"})
    os.kill(process._child.pid, 19)
    begun = time.monotonic()
    with pytest.raises(ToolError, match=r"stopped after 0\.2 s"):
        process.ask({"op": "list"})
    assert time.monotonic() - begun < 5
    assert not process.alive


def served(files: tuple[TableRef, ...], *lines: str, wait: bool = True) -> list[Any]:
    answers = io.StringIO()
    settings: dict[str, object] = {"files": {ref.name: ref.path for ref in files}, "idle_s": 1, "threads": 1}
    serve(io.StringIO("".join(f"{line}\n" for line in lines)), answers, settings, lambda _stream, _seconds: wait)
    return [json.loads(line) for line in answers.getvalue().splitlines()]


def test_the_child_answers_line_by_line(files: tuple[TableRef, ...]) -> None:
    listed, described, asked, refused = served(
        files,
        '{"op": "list"}',
        '{"op": "describe", "table": "sales"}',
        '{"op": "query", "sql": "SELECT 1", "limit": 1}',
        '{"op": "query", "sql": "DROP TABLE sales", "limit": 1}',
    )
    assert [one["name"] for one in listed["result"]] == ["broken", "sales", "staff"]
    assert described["result"]["rows"] == 2
    assert asked["result"]["rows"] == [[1]]
    assert refused["error"]["code"] == "not_allowed"


def test_the_child_ends_when_nothing_came_for_its_idle_time(files: tuple[TableRef, ...]) -> None:
    assert served(files, '{"op": "list"}', wait=False) == []


def test_limits_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(BadSetting, match="together"):
        read_settings(TableSettings, table_load_s=80, table_query_s=60)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROUPE_TABLE_MEMORY_MB", "128")
    assert read_settings(TableSettings).limits()["memory_mb"] == 128


def test_the_workers_own_processes_are_made_once() -> None:
    tables.processes.cache_clear()
    assert tables.processes() is tables.processes()


def test_a_worker_that_exits_takes_its_table_processes_along(files: tuple[TableRef, ...]) -> None:
    code = (
        "import sys; from tasks.models import TableRef; from workers.tools.tables import processes\n"
        "key = ('j' + '0' * 19, (TableRef(name='sales', path=sys.argv[1]),))\n"
        "processes().ask(key, {'op': 'list'})\n"
        "print(processes()._seats[key].process._child.pid)"
    )
    path = next(ref.path for ref in files if ref.name == "sales")
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout), 0)


async def test_data_that_is_kept_for_another_tenant_is_not_shown(
    shared: TableProcesses, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tables, "processes", lambda: shared)
    monkeypatch.setenv("TROUPE_HOME", str(tmp_path))
    theirs = tmp_path / "tenants" / "globex" / "files" / "f1" / "secret.csv"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("a\n1\n")
    done = await call(context_of(table_refs([theirs])), "list_tables")
    assert done.error is not None
    assert "another tenant's" in done.error
