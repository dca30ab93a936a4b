"""Which files may be data, and their names in SQL."""

import gzip
from pathlib import Path

import duckdb
import pytest

from tasks.errors import BadTable
from tasks.tables import RESERVED, kind_of, sql_name, table_refs


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("sales.csv", "sales"),
        ("Sales 2024.CSV", "sales_2024"),
        ("Müller & Söhne.tsv", "muller_sohne"),
        ("2024-q1.parquet", "t_2024_q1"),
        ("a.b.json.gz", "a_b"),
        ("events.ndjson", "events"),
        ("order.csv", "order_table"),
        ("データ.csv", "t"),
        (".csv", "t"),
        ("x" * 100 + ".csv", "x" * 57),
    ],
)
def test_a_file_name_becomes_a_plain_name_of_sql(file: str, name: str) -> None:
    assert sql_name(Path(file)) == name


def test_files_of_the_same_stem_are_numbered_and_no_number_is_given_twice(tmp_path: Path) -> None:
    names = ["a/sales.csv", "b/sales.csv", "c/sales_2.csv", "d/sales.json"]
    for name in names:
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("a\n1\n")

    refs = table_refs(tmp_path / name for name in names)

    assert [ref.name for ref in refs] == ["sales", "sales_2", "sales_2_2", "sales_3"]


def test_a_file_given_twice_counts_once(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a\n")
    assert len(table_refs([tmp_path / "a.csv", tmp_path / "." / "a.csv", str(tmp_path / "a.csv")])) == 1


def test_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv").write_text("a\n")
    monkeypatch.chdir(tmp_path)
    assert table_refs(["a.csv"])[0].path == str(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("a.xlsx", b"PK", "no known kind"),
        ("a", b"x", "no known kind"),
        ("a.csv", b"", "is empty"),
        ("a.parquet", b"nope", "is not a .parquet file"),
        ("a.csv.gz", b"a,b\n", "is not a .csv.gz file"),
    ],
)
def test_a_file_that_cannot_be_a_table_is_refused_in_one_line(
    tmp_path: Path, file: str, content: bytes, words: str
) -> None:
    (tmp_path / file).write_bytes(content)
    with pytest.raises(BadTable, match=words) as caught:
        table_refs([tmp_path / file])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "words"), [("missing.csv", "no data file at"), (".", "is not a file"), ("a\0b", "null byte")]
)
def test_a_path_that_leads_to_no_file_is_refused(tmp_path: Path, path: str, words: str) -> None:
    with pytest.raises(BadTable, match=words):
        table_refs([tmp_path / path])


def test_a_link_that_leads_to_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").symlink_to(tmp_path / "a.csv")
    with pytest.raises(BadTable, match=r"a\.csv"):
        table_refs([tmp_path / "a.csv"])


def test_magic_bytes_let_real_files_pass(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"a\n1\n", mtime=0))
    (tmp_path / "b.parquet").write_bytes(b"PAR1....")
    assert [kind_of(Path(ref.path)) for ref in table_refs(sorted(tmp_path.iterdir()))] == [".csv.gz", ".parquet"]


def test_every_word_that_duckdb_wants_quoted_is_reserved() -> None:
    with duckdb.connect() as db:
        words = [str(row[0]) for row in db.execute("SELECT keyword_name FROM duckdb_keywords()").fetchall()]
        for word in words:
            if word in RESERVED:
                continue
            db.execute(f'CREATE TABLE "{word}" AS SELECT 1 AS a')
            assert db.execute(f"SELECT {word}.a FROM {word}").fetchall() == [(1,)]  # noqa: S608


@pytest.mark.parametrize(
    ("file", "content", "columns"),
    [
        ("a.csv", b"id,Name,doc_coverage\n1,x,0.5\n", ("id", "Name", "doc_coverage")),
        ("a.csv", b"\xef\xbb\xbfid;amount\r\n1;2\r\n", ("id", "amount")),
        ("a.csv", b'"a, b",c\n1,2\n', ("a, b", "c")),
        ("a.tsv", b"a\tb,c\n1\t2\n", ("a", "b,c")),
        ("a.csv", b"1,2\n3,4\n", ()),
        ("a.csv", b"a,,a\n1,2,3\n", ("a",)),
        ("a.csv", b"only", ("only",)),
        ("a.csv", b"x" * 70_000, ()),
        ("a.csv", b"long" * 100 + b",b\n", ("b",)),
        ("a.csv", ",".join(f"c{n}" for n in range(300)).encode() + b"\n", tuple(f"c{n}" for n in range(200))),
        ("a.jsonl", b'{"a": 1, "b": {"c": 2}}\n{"d": 3}\n', ("a", "b")),
        ("a.json", b' [ {"a": 1}, {"b": 2} ]', ("a",)),
        ("a.json", b'{"a": 1}', ("a",)),
        ("a.json", b"[1, 2]", ()),
        ("a.json", b"[" * 5000, ()),
        ("a.ndjson", b'{"a": "' + b"x" * 70_000, ()),
        ("a.csv.gz", gzip.compress(b"a,b\n1,2\n", mtime=0), ("a", "b")),
        ("a.json.gz", gzip.compress(b'[{"a": 1}]', mtime=0), ("a",)),
        ("a.csv.gz", b"\x1f\x8bbroken", ()),
        ("a.parquet", b"PAR1....", ()),
    ],
)
def test_columns_are_read_from_the_beginning_of_the_file(
    tmp_path: Path, file: str, content: bytes, columns: tuple[str, ...]
) -> None:
    (tmp_path / file).write_bytes(content)
    assert table_refs([tmp_path / file])[0].columns == columns
