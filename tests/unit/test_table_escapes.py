"""SQL that tries to get out of the tables, through the tool as an agent calls it: refused in words, the worker goes on.

`test_table_engine.py` has as many that are aimed at the check alone; these go through the process that DuckDB runs in.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.ids import JobId, StepId
from tasks.models import Claim, JobSpec, Step, TableRef
from tasks.settings import read_settings
from tasks.tables import table_refs
from workers.context import StepContext, enter_step
from workers.tools import tables
from workers.tools.base import ToolCall
from workers.tools.executor import ToolExecutor
from workers.tools.table_process import TableProcesses
from workers.tools.table_settings import TableSettings
from workers.tools.tables import list_tables, query_table

SECRET = "the-neighbours-salary"
QUERY_S = 1.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("escapes")
    (made / "sales.csv").write_text("region,amount\nnorth,10\nsouth,20\n")
    (made / "neighbour.csv").write_text(f"who,what\nBob,{SECRET}\n")
    return made


@pytest.fixture(scope="module")
def shared() -> Iterator[TableProcesses]:
    pool = TableProcesses(
        read_settings(TableSettings, table_query_s=QUERY_S, table_threads=1, table_memory_mb=96, table_processes=2)
    )
    yield pool
    pool.close()


@pytest.fixture
def step(folder: Path, shared: TableProcesses, monkeypatch: pytest.MonkeyPatch) -> StepContext:
    monkeypatch.setattr(tables, "processes", lambda: shared)
    monkeypatch.setenv("ANTHROPIC_API_KEY", SECRET)
    return context_of(table_refs([folder / "sales.csv"]))


def context_of(files: tuple[TableRef, ...]) -> StepContext:
    step = Step(id=StepId("s"), description="d", agent="analysis", queue="analysis")
    job = JobSpec(id=JobId("j" + "0" * 19), task="t", data=files)
    return StepContext(Claim(job=job, step=step, attempt=1, deadline_ms=60_000))


async def ask(context: StepContext, sql: str) -> ToolCall:
    enter_step(context)
    return await ToolExecutor([query_table, list_tables]).execute("c", "query_table", {"sql": sql})


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


READS = [
    "SELECT * FROM '{folder}/neighbour.csv'",
    'SELECT * FROM "{folder}/neighbour.csv"',
    "SELECT * FROM read_csv('{folder}/neighbour.csv')",
    "SELECT * FROM read_csv(['{folder}/neighbour.csv'])",
    "SELECT * FROM READ_CSV_AUTO('{folder}/*.csv', union_by_name = true)",
    "SELECT * FROM \"read_csv\"('{folder}/neighbour.csv')",
    "SELECT * FROM main.read_csv('{folder}/neighbour.csv')",
    "SELECT * FROM system.main.read_text('{folder}/neighbour.csv')",
    "SELECT * FROM parquet_scan('{folder}/neighbour.csv')",
    "SELECT * FROM parquet_schema('/etc/passwd')",
    "SELECT * FROM read_ndjson('{folder}/neighbour.csv')",
    "SELECT * FROM read_json_objects('{folder}/neighbour.csv')",
    "SELECT * FROM read_blob('/proc/self/environ')",
    "SELECT * FROM read_text('/proc/1/environ')",
    "SELECT * FROM read_duckdb('/tmp/a.db')",
    "SELECT * FROM sqlite_scan('/tmp/a.db', 't')",
    "SELECT * FROM postgres_scan('host=127.0.0.1', 'public', 't')",
    "SELECT * FROM iceberg_scan('s3://bucket/t')",
    "SELECT * FROM delta_scan('file:///tmp')",
    "SELECT * FROM st_read('/etc/passwd')",
    "SELECT * FROM glob('{folder}/*')",
    "FROM '{folder}/neighbour.csv'",
    "FROM read_csv('{folder}/neighbour.csv')",
    "TABLE '{folder}/neighbour.csv'",
    "SELECT * FROM sales UNION BY NAME SELECT * FROM '{folder}/neighbour.csv'",
    "SELECT * FROM sales POSITIONAL JOIN '{folder}/neighbour.csv'",
    "SELECT * FROM sales ASOF JOIN read_csv('{folder}/neighbour.csv') n ON sales.region >= n.who",
    "SELECT * FROM sales WHERE EXISTS (FROM read_text('/etc/passwd'))",
    "SELECT region, (FROM read_text('/etc/passwd') SELECT content) FROM sales",
    "SELECT list_transform([1], x -> (SELECT content FROM read_text('/etc/passwd')))",
    "SELECT array(SELECT content FROM read_text('/etc/passwd'))",
    "SELECT CASE WHEN true THEN (SELECT content FROM read_text('/etc/passwd')) END",
    "SELECT * FROM sales ORDER BY (SELECT content FROM read_text('/etc/passwd'))",
    "SELECT * FROM sales LIMIT (SELECT length(content) FROM read_text('/etc/passwd'))",
    "SELECT count(*) FROM sales GROUP BY (SELECT content FROM read_text('/etc/passwd'))",
    "SELECT sum(amount) FROM sales HAVING (SELECT true FROM read_text('/etc/passwd'))",
    "SELECT sum(amount) OVER (ORDER BY (SELECT 1 FROM read_text('/etc/passwd'))) FROM sales",
    "SELECT * FROM sales QUALIFY (SELECT true FROM read_text('/etc/passwd'))",
    "SELECT * FROM sales TABLESAMPLE reservoir(1) UNION ALL FROM read_text('/etc/passwd')",
    "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT 1 FROM r, read_text('/etc/passwd')) SELECT * FROM r",
    "WITH m AS MATERIALIZED (FROM read_text('/etc/passwd')) FROM m",
    "WITH sales AS (FROM '/etc/passwd') SELECT * FROM sales",
    "PIVOT (FROM read_csv('{folder}/neighbour.csv')) ON who",
    "PIVOT sales ON region USING sum(amount)",
    "UNPIVOT '{folder}/neighbour.csv' ON who, what",
    "SELECT * FROM (PIVOT (FROM read_csv('{folder}/neighbour.csv')) ON who IN ('Bob') USING first(what))",
    "SELECT * FROM (VALUES ((SELECT content FROM read_text('/etc/passwd'))))",
    "SELECT /* hidden */ * FROM /**/read_text/**/('/etc/passwd')",
    "SELECT * FROM read_text -- a comment\n('/etc/passwd')",
    "SELECT * FROM \u202eread_text('/etc/passwd')",
    "SELECT * FROM ｒｅａｄ_ｔｅｘｔ('/etc/passwd')",
    "SELECT\u00a0*\u00a0FROM\u00a0read_text('/etc/passwd')",
    "SELECT * FROM U&'\\002Fetc\\002Fpasswd'",
    "SELECT * FROM $$/etc/passwd$$",
    "SELECT * FROM e'/etc/pass\\x77d'",
    "SELECT * FROM sales AT (TIMESTAMP => now())",
]

OUTS = [
    "COPY (SELECT 1) TO '{folder}/out.csv'",
    "COPY sales TO '/dev/stdout'",
    "COPY sales TO PROGRAM 'id'",
    "COPY sales FROM PROGRAM 'id'",
    "COPY FROM DATABASE memory TO other",
    "EXPORT DATABASE '{folder}/dump'",
    "ATTACH '{folder}/x.db'",
    "ATTACH ':memory:' AS scratch",
    "ATTACH 'host=127.0.0.1' AS pg (TYPE postgres)",
    "INSTALL httpfs",
    "INSTALL spatial FROM community",
    "INSTALL x FROM 'http://127.0.0.1/'",
    "FORCE INSTALL httpfs",
    "LOAD '{folder}/x.duckdb_extension'",
    "UPDATE EXTENSIONS",
    "CREATE SECRET (TYPE s3, KEY_ID 'a', SECRET 'b')",
    "CREATE PERSISTENT SECRET x (TYPE http)",
    "DROP SECRET x",
    "SELECT which_secret('s3://a', 's3')",
    "SELECT * FROM which_secret('s3://a', 's3')",
    "FROM duckdb_secrets(redact = false)",
    "SET allowed_directories = ['/']",
    "SET allowed_paths = ['/etc/passwd']",
    "SET GLOBAL enable_external_access = true",
    "SET SESSION temp_directory = '{folder}'",
    "SET python_enable_replacements = true",
    "SET memory_limit = '100GB'",
    "SET threads = 64",
    "SET custom_extension_repository = 'http://127.0.0.1/'",
    "SET log_query_path = '{folder}/log'",
    "PRAGMA enable_profiling",
    "PRAGMA profiling_output = '{folder}/p.json'",
    "PRAGMA enable_logging",
    "PRAGMA import_database('{folder}')",
    "CALL enable_logging(storage = 'file', storage_path = '{folder}/log')",
    "CALL force_checkpoint()",
    "CALL start_ui()",
    "SELECT getenv('ANTHROPIC_API_KEY')",
    "SELECT 'ANTHROPIC_API_KEY'.getenv()",
    "SELECT \"getenv\"('ANTHROPIC_API_KEY')",
    "SELECT system.main.getenv('ANTHROPIC_API_KEY')",
    "SELECT current_setting('secret_directory')",
    "SELECT list_transform(['HOME'], x -> getenv(x))",
    "SELECT list_transform(['HOME'], lambda x: x.getenv())",
    "FROM duckdb_settings()",
    "FROM duckdb_databases",
    "FROM duckdb_logs",
    "FROM duckdb_temporary_files()",
    "FROM pragma_database_list",
    "FROM information_schema.columns",
    "FROM sqlite_schema",
    "FROM pg_settings",
    "CREATE OR REPLACE TEMP TABLE t AS FROM sales",
    "CREATE TEMP VIEW v AS FROM read_text('/etc/passwd')",
    "CREATE TEMP MACRO region(x) AS getenv(x)",
    "CREATE FUNCTION f(x) AS TABLE FROM read_text(x)",
    "CREATE TYPE mood AS ENUM ('a')",
    "CREATE SEQUENCE s",
    "CREATE INDEX i ON sales(region)",
    "CREATE SCHEMA other",
    "COMMENT ON TABLE sales IS 'x'",
    "MERGE INTO sales USING sales s ON true WHEN MATCHED THEN DELETE",
    "INSERT INTO sales FROM read_csv('{folder}/neighbour.csv')",
    "PREPARE p AS SELECT 1; EXECUTE p",
    "EXECUTE IMMEDIATE 'SELECT 1'",
    "DEALLOCATE p",
    "SELECT 1;;SELECT getenv('HOME')",
    "SELECT 1; --\nCOPY sales TO '{folder}/out.csv'",
    "BEGIN; DROP TABLE sales; COMMIT",
    "ROLLBACK",
    "SELECT query('SELECT 1')",
    "FROM query('FROM read_text(''/etc/passwd'')')",
    "SELECT * FROM query_table(['sales'])",
    "SELECT json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
    "SELECT * FROM sql_auto_complete('SEL')",
    "SELECT * FROM checkpoint()",
    "SELECT * FROM repeat_row(1, 2, num_rows = 3)",
    "SELECT * FROM summary((SELECT 1))",
    "SELECT * FROM seq_scan('sales')",
    "SELECT * FROM pandas_scan(1)",
    "SELECT * FROM test_all_types()",
    "SHOW ALL TABLES",
    "EXPLAIN FROM sales",
    "DESCRIBE FROM '{folder}/neighbour.csv'",
    "SUMMARIZE '{folder}/neighbour.csv'",
    ".read /etc/passwd",
    ".shell id",
    "\\copy sales to 'x'",
    "\0",
]

REFUSALS = {"not_allowed", "unknown_table", "bad_sql", "failed"}


@pytest.mark.parametrize("sql", [*READS, *OUTS])
async def test_an_escape_is_refused_in_words(step: StepContext, folder: Path, sql: str) -> None:
    done = await ask(step, sql.replace("{folder}", str(folder)))
    assert done.code in REFUSALS, done
    assert 10 < len(done.error or "") < 800
    for hidden in (SECRET, "root:"):
        assert hidden not in (done.error or "")
    assert names(folder) == ["neighbour.csv", "sales.csv"]
    after = await ask(step, "SELECT sum(amount) AS total FROM sales")
    assert '"rows":[[30]]' in str(after.output)


BOMBS = [
    "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r",
    "WITH RECURSIVE r(t) AS (SELECT 'x' UNION ALL SELECT t || t FROM r) SELECT max(length(t)) FROM r",
    "SELECT count(*) FROM range(10000000000000)",
    "SELECT sum(a.range * b.range) FROM range(1000000) a, range(1000000) b",
    "SELECT range(2000000000)",
    "SELECT repeat('x', 2000000000)",
    "SELECT lpad('x', 2000000000, 'y')",
    "SELECT list(n) FROM generate_series(1, 100000000) t(n)",
    "SELECT string_agg(n::VARCHAR, ',') FROM range(100000000) t(n)",
    "SELECT list_resize([1], 1000000000)",
    "SELECT array_agg(DISTINCT (a.range, b.range)) FROM range(20000) a, range(20000) b",
    "SELECT md5(repeat(range::VARCHAR, 20000)) FROM range(10000000) ORDER BY 1",
    "SELECT list_reduce(range(100000000), (a, b) -> a + b)",
]


@pytest.mark.parametrize("sql", BOMBS)
async def test_a_bomb_ends_by_its_limits_and_not_the_worker(step: StepContext, sql: str) -> None:
    done = await ask(step, sql)
    assert done.code in {"timeout", "out_of_memory", "failed"}, done
    after = await ask(step, "SELECT sum(amount) AS total FROM sales")
    assert '"rows":[[30]]' in str(after.output)
