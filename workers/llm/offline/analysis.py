"""The analysis policy: list tables, describe those that matter, query them by rules, put the numbers into sentences."""

from typing import Final

from workers.llm.offline.asking import cut
from workers.llm.offline.columns import Table, described, listed, mentioned
from workers.llm.offline.moves import Answer, Call, Calls, Move
from workers.llm.offline.planner import ANALYSIS_PREFIX, OVERVIEW_MARK
from workers.llm.offline.queries import Query, bears_on, queries
from workers.llm.offline.reading import Brief, Exchange
from workers.llm.offline.retrieval import SEARCH, search
from workers.llm.offline.terms import stem, words
from workers.llm.offline.wording import said, size

LIST: Final = "list_tables"
DESCRIBE: Final = "describe_table"
QUERY: Final = "query_table"
TABLE_ARGUMENT: Final = "table"
SQL_ARGUMENT: Final = "sql"
MAX_TABLES: Final = 3
MAX_QUERIES: Final = 6


def analyse(brief: Brief) -> Move:
    """The next turn: list, describe, query, and at last the findings. A tool that failed is not called again."""
    question = question_of(brief.step or brief.task)
    if LIST in brief.tools and LIST not in brief.called:
        return Calls((Call(LIST, {}),))
    tables = [table for exchange in brief.outcomes(LIST) for table in listed(exchange.parsed)]
    names = [table.name for table in _relevant(tables, question)] if tables else list(brief.tables[:MAX_TABLES])
    if not names and SEARCH in brief.tools:
        return search(brief)
    if names and DESCRIBE in brief.tools and DESCRIBE not in brief.called:
        return Calls(tuple(Call(DESCRIBE, {TABLE_ARGUMENT: name}) for name in names))
    known = [found for one in brief.outcomes(DESCRIBE) if (found := described(one.parsed)) is not None]
    known = known or [table for table in tables if table.name in names]
    # Where there are documents too, numbers from a table that the question does not speak of would only be in the way.
    about = [table for table in known if not brief.knowledge or bears_on(table, question)]
    asked = [(table, query) for table in about for query in queries(table, question)][:MAX_QUERIES]
    if asked and QUERY in brief.tools and QUERY not in brief.called:
        return Calls(tuple(Call(QUERY, {SQL_ARGUMENT: query.sql}) for _, query in asked))
    return Answer(_findings(brief, known, asked))


def question_of(description: str) -> str:
    """What is asked of the tables, without the words around it."""
    if description.startswith(ANALYSIS_PREFIX):
        return description.partition(": ")[2].removeprefix(OVERVIEW_MARK) or description
    return description


def _relevant(tables: list[Table], question: str) -> list[Table]:
    asked = {stem(word) for word in words(question)}
    scored: list[tuple[int, int, Table]] = []
    for order, table in enumerate(tables):
        named = {stem(word) for word in words(table.name.replace("_", " "))}
        scored.append((-(3 * len(asked & named) + len(mentioned(table.columns, question))), order, table))
    best = sorted(scored, key=lambda one: one[:2])
    return [table for score, _, table in best if score < 0 or best[0][0] == 0][:MAX_TABLES]


def _findings(brief: Brief, tables: list[Table], asked: list[tuple[Table, Query]]) -> str:
    results = {str(one.arguments.get(SQL_ARGUMENT, "")): one for one in brief.outcomes(QUERY)}
    parts: list[str] = []
    errors: list[str] = []
    for table, query in asked:
        exchange = results.get(query.sql)
        value = exchange.parsed if exchange is not None else None
        if isinstance(value, dict):
            parts.append(said(table, query, value))
        elif exchange is not None:
            errors.append(f"- The {query.caption} could not be computed: {_reason(exchange)}")
    sizes = [f"- {size(table)}" for table in tables]
    for exchange in [*brief.outcomes(LIST), *brief.outcomes(DESCRIBE)]:
        if exchange.failed:
            errors.append(f"- {exchange.tool} failed: {_reason(exchange)}")
    blocks = [*parts, "\n".join(sizes), "\n".join(errors)]
    text = "\n\n".join(block for block in blocks if block)
    if not tables and not parts:
        return (
            f"The tables could not be read.\n\n{text}".strip() if errors else "Nothing was found: there are no tables."
        )
    return text


def _reason(exchange: Exchange) -> str:
    return cut(" ".join(exchange.output.split()), 200) or "no reason was given"
