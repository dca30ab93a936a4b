"""The offline model's analysis policy: which SQL it writes, and how it words the numbers."""

import json

import pytest
from pydantic import JsonValue

from tests.unit.offline_requests import TABLE_TOOLS, after, arguments, job, passages, request
from workers.llm.base import ModelRequest
from workers.llm.offline.model import respond

SOURCE = "t0000000001"
LISTED = json.dumps(
    [
        {
            "name": "sales",
            "file": "sales.csv",
            "rows": 300,
            "columns": {"region": "VARCHAR", "amount": "DOUBLE"},
            "source": SOURCE,
        }
    ]
)


def column(name: str, kind: str, distinct: int, *top: str, nulls: int = 0) -> dict[str, JsonValue]:
    values: list[JsonValue] = [{"value": value, "count": 9} for value in top]
    return {"name": name, "type": kind, "distinct": distinct, "nulls": nulls, "top": values}


DESCRIBED = json.dumps(
    {
        "name": "sales",
        "rows": 300,
        "source": SOURCE,
        "columns": [
            column("order_id", "BIGINT", 300),
            column("region", "VARCHAR", 3, "North", "South", nulls=4),
            column("customer", "VARCHAR", 290),
            column("amount", "DOUBLE", 280),
            column("unitsSold", "INTEGER", 20),
            column("sold_on", "DATE", 200),
        ],
    }
)


def at_queries(question: str, described: str = DESCRIBED) -> ModelRequest:
    first = request(job("A task", tables=["sales"]), f"Answer from the tables sales: {question}", tools=TABLE_TOOLS)
    second = after(first, respond(first), [LISTED])
    return after(second, respond(second), [described])


def result(columns: list[str], *rows: list[JsonValue]) -> str:
    return json.dumps(
        {"columns": columns, "rows": rows, "row_count": len(rows), "truncated": False, "sources": [SOURCE]}
    )


def answer(question: str, *outputs: str | Exception) -> str:
    asked = at_queries(question)
    return respond(after(asked, respond(asked), outputs)).text


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        ("What is the average amount by region?", ['avg("amount")', '"region"', "GROUP BY 1"]),
        ("total amount per region", ['sum("amount")', "GROUP BY 1"]),
        ("median amount for each region", ['median("amount")']),
        ("Which region has the lowest average amount?", ['avg("amount")', "ORDER BY 2 ASC"]),
        ("top three customers by amount", ['"customer", "amount"', '"amount" DESC', "LIMIT 3"]),
        ("smallest amount of a customer", ['"amount" ASC', "LIMIT 5"]),
        ("What is the average amount?", ['avg("amount")', 'median("amount")']),
        ("Is amount correlated with units sold?", ['corr("amount", "unitsSold")']),
        ("How many sales are there?", ["count(*) AS n"]),
        ("How many sales in the North?", ["WHERE \"region\" = 'North'"]),
        ("How many amounts over 1,000?", ['"amount" > 1000']),
        ("How many amounts at least 10.5?", ['"amount" >= 10.5']),
        ("How many amounts below 7?", ['"amount" < 7']),
        ("What share of sales does each region have?", ['"region", count(*)', "percent"]),
        ("total amount per month", ["date_trunc('month', \"sold_on\")", 'sum("amount")']),
        ("What does it hold?", ['"region"', "GROUP BY 1"]),
        ("the best", ['"amount" DESC']),
    ],
)
def test_a_question_becomes_sql_over_the_columns_it_names(question: str, parts: list[str]) -> None:
    made = arguments(respond(at_queries(question)), "sql")
    assert len(made) <= 4
    for part in parts:
        assert part in made[0]


def test_each_question_of_a_step_gets_its_own_query() -> None:
    made = arguments(respond(at_queries("average amount by region; how many sales are there?")), "sql")
    assert len(made) == 2


def test_names_are_quoted_so_that_none_can_break_out() -> None:
    odd = json.dumps({"table": 'a"b', "rows": 9, "columns": [column('x"; drop', "INTEGER", 9)], "source": SOURCE})
    made = arguments(respond(at_queries("average of x drop", odd)), "sql")
    assert '"x""; drop"' in made[0]
    assert made[0].endswith('FROM "a""b"')


def test_findings_give_a_sentence_and_a_table_with_the_source() -> None:
    text = answer(
        "average amount by region", result(["region", "average_amount", "n"], ["North|x", 2.5, 1200], [None, True, 1])
    )
    assert text.splitlines()[:6] == [
        f"The average amount per region is highest for North\\|x (2.5), followed by – (true). [{SOURCE}]",
        "",
        "| region | average_amount | n |",
        "| --- | --- | --- |",
        "| North\\|x | 2.5 | 1,200 |",
        "| – | true | 1 |",
    ]
    assert "sales has 300 rows and 6 columns" in text
    assert "Values are missing in region (4)." in text


def test_a_single_number_is_said_in_one_line() -> None:
    assert answer("How many sales are there?", result(["n"], [300])).startswith(f"Table sales has 300 rows. [{SOURCE}]")


def test_figures_of_one_column_are_named_one_by_one() -> None:
    text = answer("What is the average amount?", result(["n", "average", "median", "total"], [3, 2.0, 1.5, 6]))
    assert text.startswith(f"The average of amount over 3 rows is 2 (median 1.5, total 6). [{SOURCE}]")


def test_a_query_without_rows_says_so() -> None:
    assert "no rows" in answer("average amount by region", result(["region", "n"]))


def test_a_failed_query_is_reported_and_the_rest_goes_on() -> None:
    text = answer("average amount by region", ValueError("too slow"))
    assert "The average amount per region could not be computed: too slow" in text
    assert "sales has 300 rows" in text


def test_tables_that_cannot_be_listed_or_described_are_reported() -> None:
    first = request(job("A task", tables=["sales"]), "average amount", tools=TABLE_TOOLS)
    second = after(first, respond(first), [ValueError("gone")])
    assert arguments(respond(second), "table") == ["sales"]
    third = after(second, respond(second), [ValueError("gone too")])
    text = respond(third).text
    assert text.startswith("The tables could not be read.")
    assert "gone too" in text


@pytest.mark.parametrize(
    "output", ["", "[]", "{}", "3", '[{"name": 3}]', '{"columns": [], "rows": []}', '{"columns": ["a"], "rows": [3]}']
)
def test_odd_output_is_survived_at_every_turn(output: str) -> None:
    asked = request(job("A task", tables=["sales"]), "average amount by region", tools=TABLE_TOOLS)
    reply = respond(asked)
    while reply.stop_reason == "tool_use":
        asked = after(asked, reply, [output] * len(reply.tool_uses))
        reply = respond(asked)
    assert reply.text
    assert respond(after(at_queries("average amount"), respond(at_queries("average amount")), [output])).text


def test_without_tables_the_documents_are_searched() -> None:
    first = request(job("A task", knowledge=["docs"]), "average amount of rain", tools=TABLE_TOOLS)
    reply = respond(first)
    assert [use["name"] for use in reply.tool_uses] == ["search_passages"]
    rain = {"id": "p0000000001", "text": "The average amount of rain in May is sixty millimetres."}
    second = after(first, reply, [passages(rain)])
    reply = respond(second)
    assert "[p0000000001]" in respond(after(second, reply, [passages()] * len(reply.tool_uses))).text


def test_several_tables_are_narrowed_to_those_that_the_question_names() -> None:
    many = json.dumps(
        {
            "tables": [
                {"name": name, "rows": 1, "columns": [{"name": "a", "type": "INT"}]} for name in ("sales", "staff")
            ]
        }
    )
    first = request(job("A task", tables=["sales", "staff"]), "How many staff are there?", tools=TABLE_TOOLS)
    assert arguments(respond(after(first, respond(first), [many])), "table") == ["staff"]


def test_a_ranking_also_shows_what_is_asked_of_its_rows() -> None:
    asked = at_queries("Which customers have the highest amount; how well were the units sold")
    assert '"customer", "amount", "unitsSold"' in arguments(respond(asked), "sql")[0]


@pytest.mark.parametrize(
    ("question", "columns", "rows", "sentence"),
    [
        (
            "top three customers by amount",
            ["customer", "amount", "unitsSold"],
            [["A", 9.5, 3], ["B", 7, None], ["C", 5, 1]],
            "The customers with the highest amount are A (9.5, unitsSold 3), B (7) and C (5, unitsSold 1).",
        ),
        (
            "Which customer has the highest amount?",
            ["customer", "amount"],
            [["A", 9.5], ["B", 7]],
            "The customer with the highest amount is A (9.5), followed by B (7).",
        ),
        (
            "smallest amount of a customer",
            ["customer", "amount"],
            [["A", 1]],
            "The smallest customer by amount is A (1).",
        ),
        (
            "average amount by region",
            ["region", "average_amount", "n"],
            [["N", 3, 1], ["S", 2, 1], ["E", 1, 1]],
            "The average amount per region is highest for N (3), followed by S (2) and E (1).",
        ),
        (
            "What share of sales does each region have?",
            ["region", "n", "percent"],
            [["N", 3, 100]],
            "The number of rows per region is 3 for N.",
        ),
        (
            "total amount per month",
            ["month", "total_amount", "n"],
            [["2024-01-01 00:00:00", 5, 1], ["2024-02-01", 9, 1], ["2024-03-01", 7, 1]],
            (
                "The total amount per month goes from 5 (2024-01-01) to 7 (2024-03-01); the highest is 9 (2024-02-01), "
                "the lowest 5 (2024-01-01)."
            ),
        ),
        (
            "total amount per month",
            ["month", "total_amount", "n"],
            [["2024-01-01", 5, 1], ["2024-02-01", None, 1]],
            "The total amount per month goes from 5 (2024-01-01) to – (2024-02-01).",
        ),
        (
            "Is amount correlated with units sold?",
            ["correlation", "n"],
            [[-0.5, 300]],
            (
                "The correlation (Pearson) of amount and unitsSold is -0.5 over 300 rows: "
                "as one rises, the other tends to fall."
            ),
        ),
        (
            "Is amount correlated with units sold?",
            ["correlation", "n"],
            [[0.05, 9]],
            "The correlation (Pearson) of amount and unitsSold is 0.05 over 9 rows: practically no linear relation.",
        ),
        (
            "Is amount correlated with units sold?",
            ["correlation", "n"],
            [[None, 9]],
            "The correlation of amount and unitsSold cannot be computed: one of them never varies.",
        ),
        ("How many sales in the North?", ["n"], [[1]], "Table sales has 1 row where region is North."),
        (
            "What is the average amount?",
            ["n", "average"],
            [[0, None]],
            "There are no values of amount over 0 rows.",
        ),
        ("average amount by region", ["region"], [["N"], ["S"]], "average amount per region in table sales: N, S."),
    ],
)
def test_results_are_told_in_a_sentence(
    question: str, columns: list[str], rows: list[list[JsonValue]], sentence: str
) -> None:
    assert answer(question, result(columns, *rows)).startswith(f"{sentence} [{SOURCE}]")


def test_two_values_of_one_column_are_set_against_each_other() -> None:
    made = arguments(respond(at_queries("average amount of North and South")), "sql")[0]
    assert "\"region\" IN ('North', 'South')" in made
    assert "GROUP BY 1" in made


def test_how_well_something_is_done_is_answered_by_a_share() -> None:
    share = {**column("doc_coverage", "DOUBLE", 90), "min": 0, "max": 1}
    table = json.dumps(
        {"name": "t", "rows": 99, "source": SOURCE, "columns": [column("documented", "INTEGER", 50), share]}
    )
    made = arguments(respond(at_queries("how well are they documented", table)), "sql")
    assert len(made) == 1
    assert 'avg("doc_coverage")' in made[0]


IDS = json.dumps(
    {
        "name": "orders",
        "rows": 60,
        "source": SOURCE,
        "columns": [
            column("order_id", "BIGINT", 60),
            {**column("line", "BIGINT", 60), "min": 1, "max": 60},
            column("invoice_no", "BIGINT", 60),
            column("customerId", "BIGINT", 9),
            column("zip", "BIGINT", 30),
            column("region", "VARCHAR", 3, "north", "south"),
            column("kind", "VARCHAR", 2, "refund", "return"),
            column("month", "VARCHAR", 12),
            column("count", "BIGINT", 12),
            column("amount", "DOUBLE", 55),
        ],
    }
)


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        ("Which customer spent the most?", ['"customerId"', 'sum("amount")']),
        ("total amount per customer", ['"customerId"', 'sum("amount")', "GROUP BY 1"]),
        ("How many refunds were there each month?", ['sum("count")', "WHERE \"kind\" = 'refund'"]),
        ("Which region has most orders?", ['"region", count(*)']),
        ("What is the average customer id?", ['avg("customerId")']),
        ("What is the average of each column?", ['avg("count")']),
        ("Give an overview.", ['avg("count")']),
    ],
)
def test_identifiers_are_grouped_by_and_not_reckoned_with(question: str, parts: list[str]) -> None:
    made = arguments(respond(at_queries(question, IDS)), "sql")
    for part in parts:
        assert part in made[0]
    explicit = "customer id" in question
    for name in ("order_id", "line", "invoice_no", "zip", *([] if explicit else ["customerId"])):
        for function in ("avg", "sum", "median", "min", "max"):
            assert not any(f'{function}("{name}")' in sql for sql in made)
        assert not any(f'GROUP BY 1 ORDER BY "{name}"' in sql for sql in made)


def test_a_group_for_each_row_is_no_group() -> None:
    made = arguments(respond(at_queries("average amount by order", IDS)), "sql")
    assert not any('"order_id"' in sql for sql in made)


def beside_documents(question: str) -> ModelRequest:
    spec = job("A task", tables=["sales"], knowledge=["default"])
    first = request(spec, f"Answer from the tables sales: {question}", tools=TABLE_TOOLS)
    second = after(first, respond(first), [LISTED])
    return after(second, respond(second), [DESCRIBED])


def test_beside_documents_a_table_that_is_not_spoken_of_gives_its_size_and_no_numbers() -> None:
    text = respond(beside_documents("what they hold that bears on: How do warranties work?")).text
    assert text.startswith("- Table sales has 300 rows")
    assert "|" not in text


def test_beside_documents_a_table_is_asked_when_a_column_or_a_value_is_named() -> None:
    for question in ("How many customers are there?", "What is said about the North?", "Sum up the sales."):
        assert arguments(respond(beside_documents(question)), "sql")


def test_of_several_questions_a_table_answers_those_that_speak_of_it() -> None:
    made = arguments(respond(at_queries("How many warranties are allowed?; average amount by region")), "sql")
    assert len(made) == 1
    assert 'avg("amount")' in made[0]
