"""What SQL a model may run: one SELECT over the job's own tables. A pure check of the tree that DuckDB's parser makes.

The tree is `json_serialize_sql`'s. Everything in it must be of a kind that is known to only read, so whatever a later
DuckDB adds is refused until it is listed here. The process around it (`table_child`) holds even where this check fails.
"""

from collections.abc import Collection, Iterator
from typing import Final, cast

Tree = dict[str, object]

QUERIES: Final = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
RELATIONS: Final = frozenset({"BASE_TABLE", "SUBQUERY", "JOIN", "TABLE_FUNCTION", "EXPRESSION_LIST", "PIVOT", "EMPTY"})
EXPRESSIONS: Final = frozenset(
    {
        "BETWEEN", "CASE", "CAST", "COLLATE", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT", "FUNCTION",
        "LAMBDA", "LAMBDA_REF", "OPERATOR", "POSITIONAL_REFERENCE", "STAR", "SUBQUERY", "TYPE", "WINDOW",
    }
)  # fmt: skip
TABLE_FUNCTIONS: Final = frozenset({"generate_series", "json_each", "json_tree", "range", "unnest"})
"""All others read files, settings or run text as SQL."""

FORBIDDEN_FUNCTIONS: Final = frozenset(
    {
        "add_parquet_key", "current_connection_id", "current_query", "current_query_id", "current_setting",
        "current_transaction_id", "currval", "getenv", "getvariable", "in_search_path", "json_deserialize_sql",
        "json_execute_serialized_sql", "json_serialize_plan", "json_serialize_sql", "nextval",
        "parse_duckdb_log_message", "query", "query_table", "set_config", "setseed", "setval", "sleep_ms", "stats",
        "txid_current", "version", "write_log",
    }
)  # fmt: skip
"""Functions that tell about the process, change it, or only burn time."""
FORBIDDEN_PREFIXES: Final = ("pg_", "inet_", "has_", "duckdb_", "pragma_", "read_", "icu_", "__internal")
_ALLOWED_DESPITE_PREFIX: Final = frozenset({"pg_typeof", "pg_size_pretty"})


class TableError(Exception):
    """A request about tables that cannot be served; travels from the child process as code and message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def tables_read(tree: object, known: Collection[str]) -> list[str]:
    """The tables that a query names, in order of first mention.

    Args:
        tree: What `json_serialize_sql` made of one statement.
        known: Names of the tables there are, in lower case.

    Raises:
        TableError: not_allowed, for anything but a plain read; unknown_table, for a table that is not there.
    """
    parts = list(_parts(tree))
    local = {name for part in parts for name in _cte_names(part)}
    named: dict[str, None] = {}
    for part in parts:
        if "cte_map" in part:
            _allow(part, QUERIES, "statement")
        elif "class" in part:
            _check_expression(part)
        elif "query_location" in part:
            _allow(part, RELATIONS, "table expression")
        if part.get("type") == "TABLE_FUNCTION":
            _check_table_function(part)
        elif part.get("type") == "BASE_TABLE":
            name = _table_name(part, known, local)
            if name in known:
                named[name] = None
    return list(named)


def _parts(tree: object) -> Iterator[Tree]:
    """All objects of the tree, outermost first. Iterative: a model may nest deeper than Python recurses."""
    todo: list[object] = [tree]
    while todo:
        item = todo.pop()
        if isinstance(item, dict):
            part = cast("Tree", item)
            yield part
            todo.extend(reversed(list(part.values())))
        elif isinstance(item, list):
            todo.extend(reversed(cast("list[object]", item)))


def _cte_names(part: Tree) -> Iterator[str]:
    ctes = part.get("cte_map")
    entries = cast("Tree", ctes).get("map") if isinstance(ctes, dict) else None
    for entry in cast("list[Tree]", entries or []):
        name = str(entry.get("key")).lower()
        if name.startswith(FORBIDDEN_PREFIXES):
            # Out of its scope such a name would mean DuckDB's own view of that name.
            raise TableError("not_allowed", f"{name!r} cannot name a WITH query; call it something else")
        yield name


def _allow(part: Tree, allowed: frozenset[str], what: str) -> None:
    kind = str(part.get("type"))
    if kind == "SHOW_REF":
        raise TableError("not_allowed", "DESCRIBE, SHOW and SUMMARIZE are not for queries: call describe_table instead")
    if kind not in allowed:
        plain = kind.removesuffix("_NODE").removesuffix("_QUERY").replace("_", " ")
        raise TableError("not_allowed", f"a {what} of the kind {plain} is not allowed here: only SELECT, to read")


def _check_expression(part: Tree) -> None:
    kind = str(part["class"])
    if kind not in EXPRESSIONS:
        raise TableError("not_allowed", f"{kind} is not allowed in a query here; write values out")
    name = part.get("function_name")
    if isinstance(name, str):
        _check_function(name.lower())


def _check_function(name: str) -> None:
    if name in _ALLOWED_DESPITE_PREFIX:
        return
    if name in FORBIDDEN_FUNCTIONS or name.startswith(FORBIDDEN_PREFIXES):
        raise TableError("not_allowed", f"the function {name}() is not allowed: queries only read the job's tables")


def _check_table_function(part: Tree) -> None:
    function = part.get("function")
    name = str(cast("Tree", function).get("function_name")).lower() if isinstance(function, dict) else "?"
    if name not in TABLE_FUNCTIONS:
        raise TableError("not_allowed", f"{name}() cannot be read from: only the job's tables can. {_hint()}")


def _table_name(part: Tree, known: Collection[str], local: set[str]) -> str:
    name = str(part.get("table_name")).lower()
    schema, catalog = str(part.get("schema_name")).lower(), str(part.get("catalog_name")).lower()
    if not schema and not catalog and (name in local or name in known):
        return name
    if schema == "main" and catalog in ("", "memory") and name in known:
        return name
    full = ".".join(piece for piece in (catalog, schema, name) if piece)
    there = ", ".join(sorted(known)) or "none"
    raise TableError("unknown_table", f"there is no table {full!r}; the tables are: {there}")


def _hint() -> str:
    return "list_tables says which there are"
