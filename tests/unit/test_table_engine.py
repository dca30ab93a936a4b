"""DuckDB over data files: loading, the sandbox, exact numbers."""

import gzip
import json
import math
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from workers.tools.table_engine import MAX_RESULT_CHARS, Limits, TableEngine
from workers.tools.table_sql import TableError
from workers.tools.table_summary import MAX_COLUMNS, summarize
from workers.tools.table_values import cut, json_safe

SALES = "region,amount,day\nnorth,10,2024-01-01\nsouth,20,2024-01-02\nnorth,,2024-01-03\n"


def write_files(folder: Path) -> Path:
    (folder / "sales.csv").write_text(SALES)
    (folder / "regions.tsv").write_text("region\tboss\nnorth\tAda\nsouth\tBob\n")
    (folder / "broken.csv").write_bytes(b"a,b\n\xff\xfe,1\n")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_files(tmp_path)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TableEngine]:
    """One for the whole module: nothing that a test asks may change what the next one gets."""
    made = open_all(write_files(tmp_path_factory.mktemp("data")))
    yield made
    made.close()


def open_all(folder: Path, **limits: float) -> TableEngine:
    files = {path.name.split(".")[0]: str(path) for path in sorted(folder.iterdir())}
    return TableEngine(files, Limits(**{"threads": 1, **limits}))  # pyright: ignore[reportArgumentType]


def query(engine: TableEngine, sql: str, limit: int) -> dict[str, Any]:
    """A result as the JSON that it becomes."""
    return json.loads(json.dumps(engine.query(sql, limit)))


def summary(engine: TableEngine, name: str) -> dict[str, Any]:
    """A summary as the JSON that it becomes."""
    return json.loads(json.dumps(summarize(engine, name)))


def summary_of(folder: Path, text: str | None, name: str = "t.csv") -> dict[str, dict[str, Any]]:
    """The columns of a file's summary by name; the file is written first unless there is no text."""
    if text is not None:
        (folder / name).write_text(text)
    made = TableEngine({"t": str(folder / name)}, Limits(threads=1))
    try:
        return {column["name"]: column for column in summary(made, "t")["columns"]}
    finally:
        made.close()


def write_parquet(folder: Path, select: str) -> None:
    with duckdb.connect() as db:
        db.execute(f"COPY ({select}) TO '{folder / 't.parquet'}'")


def refused(engine: TableEngine, sql: str) -> TableError:
    with pytest.raises(TableError) as caught:
        engine.query(sql, 10)
    return caught.value


def test_a_query_returns_columns_types_and_rows(engine: TableEngine) -> None:
    result = query(engine, "SELECT region, sum(amount) AS total FROM sales GROUP BY region ORDER BY region", 10)
    assert result == {
        "columns": ["region", "total"],
        "types": ["VARCHAR", "HUGEINT"],
        "rows": [["north", 10], ["south", 20]],
        "truncated": False,
        "tables": ["sales"],
    }


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("SELECT * FROM sales JOIN regions USING (region)", ["sales", "regions"]),
        ("SELECT * FROM main.SALES", ["sales"]),
        ('SELECT * FROM memory.main."sales"', ["sales"]),
        ("WITH a AS (SELECT * FROM regions) SELECT * FROM a, sales", ["regions", "sales"]),
        ("SELECT (SELECT count(*) FROM regions)", ["regions"]),
        ("SELECT 1 UNION SELECT 2 ORDER BY 1", []),
        ("WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT * FROM r", []),
        ("FROM sales SELECT count(*) FILTER (WHERE amount > 5), list_transform([1], lambda x: x + 1);", ["sales"]),
        ("SELECT row_number() OVER (PARTITION BY region ORDER BY day), amount::DOUBLE FROM sales", ["sales"]),
        (
            "SELECT CASE WHEN amount BETWEEN 1 AND 11 THEN 'few' ELSE 'many' END FROM sales WHERE region IN ('north')",
            ["sales"],
        ),
        ("SELECT * FROM (VALUES (1, 2)) v(a, b), unnest([1, 2]) u(x), range(2), generate_series(1, 2)", []),
        ("FROM sales PIVOT (sum(amount) FOR region IN ('north', 'south'))", ["sales"]),
        ("FROM sales UNPIVOT (v FOR k IN (region))", ["sales"]),
        ("SELECT median(amount), date_trunc('month', day), pg_typeof(day) FROM sales GROUP BY ALL", ["sales"]),
        ("SELECT * EXCLUDE (day) FROM sales -- the end", ["sales"]),
    ],
)
def test_plain_reading_is_allowed_and_names_its_tables(engine: TableEngine, sql: str, tables: list[str]) -> None:
    assert query(engine, sql, 10)["tables"] == tables


ESCAPES = [
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_csv_auto('/etc/passwd')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('/etc/passwd')",
    "SELECT * FROM read_json('/etc/passwd')",
    "SELECT * FROM read_parquet('/etc/passwd')",
    "SELECT * FROM parquet_metadata('/etc/passwd')",
    "SELECT * FROM sniff_csv('/etc/passwd')",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM '/etc/passwd'",
    'SELECT * FROM "/etc/passwd"',
    "SELECT * FROM 'https://example.org/a.csv'",
    "SELECT * FROM read_csv('https://example.org/a.csv')",
    "SELECT * FROM 's3://bucket/a.parquet'",
    "SELECT (SELECT content FROM read_text('/etc/passwd'))",
    "WITH a AS (SELECT * FROM read_text('/etc/passwd')) SELECT * FROM a",
    "SELECT * FROM sales WHERE region IN (SELECT content FROM read_text('/etc/passwd'))",
    "SELECT 1 UNION ALL SELECT content FROM read_text('/etc/passwd')",
    "SELECT * FROM sales, LATERAL (SELECT * FROM read_text(region))",
    "SELECT * FROM query('SELECT 1')",
    "SELECT * FROM query_table('sales')",
    "SELECT * FROM json_execute_serialized_sql('{}')",
    "SELECT * FROM python_map_function()",
    "SELECT * FROM arrow_scan(1, 2, 3)",
    "COPY sales TO '/tmp/out.csv'",
    "COPY (SELECT * FROM sales) TO '/tmp/out.csv'",
    "COPY sales FROM '/etc/passwd'",
    "EXPORT DATABASE '/tmp/out'",
    "IMPORT DATABASE '/tmp/out'",
    "ATTACH '/tmp/other.db' AS other",
    "DETACH memory",
    "USE memory",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "SET lock_configuration = false",
    "RESET memory_limit",
    "PRAGMA memory_limit = '10GB'",
    "PRAGMA database_list",
    "CALL pragma_version()",
    "CALL duckdb_settings()",
    "SELECT getenv('HOME')",
    "SELECT current_setting('home_directory')",
    "SELECT getvariable('x')",
    "SELECT main.getenv('HOME')",
    "SELECT sum(amount) FILTER (WHERE current_setting('threads') = '1') FROM sales",
    "SELECT list_transform([1], lambda x: pg_sleep(x))",
    "SELECT sleep_ms(1000)",
    "SELECT write_log('x')",
    "SELECT nextval('s')",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM duckdb_settings",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM pg_catalog.pg_class",
    "SELECT * FROM sqlite_master",
    "SELECT * FROM system.main.duckdb_tables",
    "WITH duckdb_tables AS (SELECT 1) SELECT * FROM (SELECT * FROM duckdb_tables)",
    "CREATE TABLE x AS SELECT 1",
    "CREATE SECRET s (TYPE s3)",
    "CREATE MACRO f(a) AS a",
    "CREATE VIEW v AS SELECT * FROM read_text('/etc/passwd')",
    "INSERT INTO sales VALUES ('x', 1, NULL)",
    "UPDATE sales SET amount = 0",
    "DELETE FROM sales",
    "DROP TABLE sales",
    "ALTER TABLE sales DROP amount",
    "TRUNCATE sales",
    "WITH a AS (INSERT INTO sales VALUES ('x', 1, NULL) RETURNING *) SELECT * FROM a",
    "WITH a AS (DELETE FROM sales RETURNING *) SELECT * FROM a",
    "SELECT 1; DROP TABLE sales",
    "SELECT 1; SELECT 2",
    "BEGIN",
    "CHECKPOINT",
    "VACUUM",
    "EXPLAIN SELECT 1",
    "EXPLAIN ANALYZE SELECT * FROM sales",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "SELECT ?",
    "SELECT $secret",
    "DESCRIBE sales",
    "SUMMARIZE sales",
    "SHOW TABLES",
    "SELECT * FROM (DESCRIBE sales)",
    "SET VARIABLE x = 1",
    "SELECT * FROM sales AT (VERSION => 1)",
    "",
    "-- nothing",
    "drop",
]


@pytest.mark.parametrize("sql", ESCAPES)
def test_sql_that_is_no_plain_read_is_refused_in_words(engine: TableEngine, sql: str) -> None:
    fault = refused(engine, sql)
    assert fault.code in {"not_allowed", "unknown_table", "bad_sql", "failed"}
    assert 15 < len(fault.message) < 700
    assert "root:" not in fault.message
    assert query(engine, "SELECT count(*) FROM sales", 1)["rows"] == [[3]]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_text('/etc/passwd')",
        "COPY sales TO '/tmp/troupe-escape.csv'",
        "ATTACH '/tmp/troupe-escape.db'",
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "SET memory_limit = '64GB'",
        "INSTALL httpfs",
        "LOAD '/tmp/some.duckdb_extension'",
    ],
)
def test_the_connection_itself_refuses_what_the_check_would_let_through(engine: TableEngine, sql: str) -> None:
    with pytest.raises(TableError) as caught:
        engine.select(sql)
    assert caught.value.code == "failed"


def test_local_variables_of_python_cannot_be_read_as_tables(engine: TableEngine) -> None:
    rows_of_ours = duckdb.values([1])
    with pytest.raises(TableError, match="rows_of_ours does not exist"):
        engine.select("SELECT * FROM rows_of_ours")
    assert rows_of_ours.fetchall() == [(1,)]


def test_an_unknown_table_lists_the_tables(engine: TableEngine) -> None:
    assert "broken, regions, sales" in refused(engine, "SELECT * FROM orders").message


def test_an_unknown_column_lists_the_columns(engine: TableEngine) -> None:
    fault = refused(engine, "SELECT price FROM sales")
    assert fault.code == "failed"
    assert 'sales("region", "amount", "day")' in fault.message


def test_an_error_that_is_not_about_columns_lists_none(engine: TableEngine) -> None:
    assert "The columns are" not in refused(engine, "SELECT 5 % 0 FROM sales").message


def test_a_broken_file_spoils_only_its_own_table(engine: TableEngine) -> None:
    fault = refused(engine, "SELECT * FROM broken")
    assert fault.code == "bad_table"
    assert "broken.csv" in fault.message
    assert "utf-8" in fault.message


def test_a_very_long_query_is_refused_unread(engine: TableEngine) -> None:
    assert refused(engine, "SELECT " + "1, " * 10_000 + "1").code == "bad_sql"


def test_deep_nesting_ends_in_an_error(engine: TableEngine) -> None:
    assert refused(engine, "SELECT " + "(" * 5000 + "1" + ")" * 5000).code in {"bad_sql", "not_allowed"}


def test_a_cross_join_bomb_ends_by_the_time_limit(folder: Path) -> None:
    engine = open_all(folder, query_s=0.2)
    bomb = "SELECT count(*) FROM range(1000000) a, range(1000000) b, sales"
    assert refused(engine, bomb).code == "timeout"
    assert query(engine, "SELECT 1", 1)["rows"] == [[1]]
    engine.close()


def test_counting_too_much_ends_by_the_memory_limit(folder: Path) -> None:
    engine = open_all(folder, memory_mb=64)
    fault = refused(engine, "SELECT count(DISTINCT (a.range, b.range)) FROM range(5000) a, range(5000) b")
    assert fault.code == "out_of_memory"
    assert "TROUPE_TABLE_MEMORY_MB" in fault.message
    engine.close()


def test_rows_beyond_the_limit_are_left_out_and_said_to_be(engine: TableEngine) -> None:
    result = query(engine, "SELECT * FROM range(1000)", 5)
    assert (len(result["rows"]), result["truncated"]) == (5, True)
    assert len(query(engine, "SELECT * FROM range(1000)", 10_000)["rows"]) == 200


def test_a_result_is_bounded_in_characters(engine: TableEngine) -> None:
    result = query(engine, "SELECT repeat('x', 400) FROM range(200)", 200)
    assert len(json.dumps(result["rows"])) <= MAX_RESULT_CHARS + 1000
    assert result["truncated"] is True


def test_one_row_is_given_however_wide(engine: TableEngine) -> None:
    columns = ", ".join(f"repeat('x', 400) AS c{number}" for number in range(60))
    assert len(query(engine, f"SELECT {columns}", 5)["rows"]) == 1


def test_every_kind_of_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x\n1\n")
    (tmp_path / "b.tsv").write_text("x\ty\n1\t2,5\n")
    (tmp_path / "c.json").write_text('[{"x": 1}]')
    (tmp_path / "d.jsonl").write_text('{"x": 1}\n')
    (tmp_path / "e.ndjson").write_text('{"x": 1}\n')
    (tmp_path / "f.csv.gz").write_bytes(gzip.compress(b"x\n1\n"))
    (tmp_path / "g.jsonl.gz").write_bytes(gzip.compress(b'{"x": 1}\n'))
    write_parquet(tmp_path, "SELECT 1::BIGINT AS x")
    engine = open_all(tmp_path)

    for name, table in engine.tables.items():
        assert table.fault is None
        assert query(engine, f"SELECT x FROM {name}", 5)["rows"] == [[1]]  # noqa: S608
    engine.close()


def test_a_name_with_brackets_stars_and_quotes_means_that_file_only(tmp_path: Path) -> None:
    (tmp_path / "d[a]t*a'?.csv").write_text("x\n1\n")
    (tmp_path / "data'1.csv").write_text("x\n2\n")
    engine = TableEngine({"t": str(tmp_path / "d[a]t*a'?.csv")}, Limits(threads=1))
    assert query(engine, "SELECT * FROM t", 5)["rows"] == [[1]]
    engine.close()


def test_types_are_chosen_from_all_rows_not_from_a_sample(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("x\n" + "1\n" * 60_000 + "n/a\n")
    engine = open_all(tmp_path)
    assert engine.tables["t"].columns == {"x": "VARCHAR"}
    assert engine.tables["t"].rows == 60_001
    engine.close()


@pytest.mark.parametrize(
    ("limits", "words"),
    [({"max_file_mb": 0}, "TROUPE_TABLE_MAX_FILE_MB"), ({"load_s": -1.0}, "TROUPE_TABLE_LOAD_S")],
)
def test_a_file_over_a_limit_is_said_to_be(folder: Path, limits: dict[str, float], words: str) -> None:
    (folder / "sales.csv").write_text("x\n" + "1234567890\n" * 200_000)
    engine = open_all(folder, **limits)
    assert words in str(engine.tables["sales"].fault)
    engine.close()


def test_a_file_that_vanished_is_a_fault_of_its_table(tmp_path: Path) -> None:
    engine = TableEngine(
        {"t": str(tmp_path / "gone.csv"), "u": "relative.csv", "v": "https://example.org/a.csv"}, Limits()
    )
    assert all("that this worker can see" in str(table.fault) for table in engine.tables.values())
    engine.close()


def test_a_summary_says_what_each_column_holds(engine: TableEngine) -> None:
    found = summary(engine, ' "Sales" ')
    assert (found["name"], found["rows"], found["more_columns"]) == ("sales", 3, [])
    region, amount, day = found["columns"]
    assert region["top"] == [{"value": "north", "count": 2}, {"value": "south", "count": 1}]
    assert (region["distinct"], region["distinct_is_exact"], region["nulls"]) == (2, True, 0)
    assert (amount["nulls"], amount["min"], amount["max"], amount["mean"], amount["median"]) == (1, 10, 20, 15.0, 15.0)
    assert (day["type"], day["min"], day["top"]) == ("DATE", "2024-01-01", [])
    assert found["sample"][0] == ["north", 10, "2024-01-01"]


def test_a_summary_of_a_table_that_is_not_there_is_refused(engine: TableEngine) -> None:
    with pytest.raises(TableError, match="the tables are: broken, regions, sales"):
        summarize(engine, "orders")


def test_a_wide_table_is_described_in_part(tmp_path: Path) -> None:
    names = [f"c{number}" for number in range(MAX_COLUMNS + 3)]
    columns = summary_of(tmp_path, ",".join(names) + "\n" + ",".join("1" for _ in names) + "\n")
    assert len(columns) == MAX_COLUMNS


@pytest.mark.parametrize("base", ["1", "1000000", "10000000", "1000000000000"])
def test_mean_and_deviation_of_decimals_far_from_zero_keep_all_digits(tmp_path: Path, base: str) -> None:
    """The construction of NIST StRD's NumAcc sets: one value at the centre, 1,000 alternating 0.1 beside it."""
    low, centre, high = (f"{base}.{digit}" for digit in (1, 2, 3))
    column = summary_of(tmp_path, "y\n" + f"{centre}\n" + f"{low}\n{high}\n" * 500)["y"]
    assert column["mean"] == float(centre)
    assert column["std"] == pytest.approx(0.1, rel=1e-14)


def test_mean_and_deviation_of_large_integers_keep_all_digits(tmp_path: Path) -> None:
    column = summary_of(tmp_path, "y\n9007199254740993\n9007199254740994\n9007199254740995\n")["y"]
    assert (column["mean"], column["std"]) == (9007199254740994.0, 1.0)


def test_decimals_of_a_parquet_file_are_summed_as_decimals(tmp_path: Path) -> None:
    write_parquet(tmp_path, "SELECT * FROM (VALUES (0.1::DECIMAL(18, 3)), (0.2), (0.3)) v(y)")
    column = summary_of(tmp_path, None, "t.parquet")["y"]
    assert (column["type"], column["mean"], column["std"]) == ("DECIMAL(18,3)", 0.2, pytest.approx(0.1, rel=1e-14))


def test_sums_over_38_digits_fall_back_to_doubles(tmp_path: Path) -> None:
    write_parquet(tmp_path, "SELECT (1e38::DOUBLE - 1e22)::DECIMAL(38, 0) AS y FROM range(3)")
    column = summary_of(tmp_path, None, "t.parquet")["y"]
    assert (column["mean"], column["std"]) == (pytest.approx(1e38), 0.0)


@pytest.mark.parametrize("values", [[1e300, 2e300, 3e300], [1e-30, 2e-30, 4e-30], [math.pi * 1e15, math.e, 1.0]])
def test_doubles_that_are_no_short_decimals_are_summed_as_doubles(tmp_path: Path, values: list[float]) -> None:
    column = summary_of(tmp_path, "y\n" + "\n".join(map(repr, values)) + "\n")["y"]
    assert column["mean"] == pytest.approx(math.fsum(values) / 3, rel=1e-15)
    spread = [value - math.fsum(values) / 3 for value in values]
    assert column["std"] == pytest.approx(math.hypot(*spread) / math.sqrt(2), rel=1e-14) or values[0] > 1e200


def test_values_that_are_not_finite_are_counted_apart(tmp_path: Path) -> None:
    column = summary_of(tmp_path, "y\n1.5\n2.5\nnan\ninf\n")["y"]
    assert (column["mean"], column["not_finite"]) == (2.0, 2)


def test_a_column_without_a_finite_number_has_no_mean(tmp_path: Path) -> None:
    column = summary_of(tmp_path, "y\nnan\ninf\n")["y"]
    assert "mean" not in column
    assert column["not_finite"] == 2


def test_a_single_value_has_no_deviation(tmp_path: Path) -> None:
    column = summary_of(tmp_path, "y\n4.5\n")["y"]
    assert (column["mean"], column["std"]) == (4.5, None)


def test_nested_values_are_described_without_range(tmp_path: Path) -> None:
    columns = summary_of(tmp_path, '[{"a": {"b": 1}, "c": [1, 2]}, {"a": {"b": 1}, "c": [1, 2]}]', "t.json")
    assert columns["a"]["min"] is None
    assert columns["c"]["top"] == [{"value": [1, 2], "count": 2}]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (2**70, 2**70),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (Decimal("1.50"), 1.5),
        (Decimal("3.00"), 3),
        (Decimal("0.1234567890123456789012"), "0.1234567890123456789012"),
        (Decimal("NaN"), "NaN"),
        (b"ab", "YWI="),
        ({"a": (1, Decimal("0.5"))}, {"a": [1, 0.5]}),
        (object, "<class 'object'>"),
    ],
)
def test_values_become_json(value: object, expected: object) -> None:
    assert json_safe(value) == expected


def test_long_values_are_cut_and_say_so() -> None:
    assert cut("x" * 501) == "x" * 500 + "… (501 characters)"
    assert str(json_safe(b"x" * 100)).endswith("… (100 bytes)")
    assert json.dumps(json_safe(list(range(60))), ensure_ascii=False).endswith('49, "… (60 items)"]')
    deep: object = 1
    for _ in range(20):
        deep = [deep]
    assert json.dumps(json_safe(deep)).count("[") < 30
