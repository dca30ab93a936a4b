"""The child process that DuckDB runs in: no environment, bounded memory, no writing of files; requests as JSON lines.

Why a process of its own: DuckDB's memory limit does not count what single functions allocate (`range(200000000)` took
14 GB under a limit of 256 MB) and some cannot be interrupted. Here the operating system refuses the memory, and the
parent ends the process.
"""

import json
import os
import select
import sys
from collections.abc import Callable
from typing import Final, TextIO, cast

from workers.confined import confine
from workers.tools.table_sql import TableError

HEADROOM_MB: Final = 1024
"""Address space beyond DuckDB's own limit: the interpreter, its libraries, thread stacks."""

Request = dict[str, object]


def main() -> None:
    """Serve requests from stdin until it closes, or nothing came for the idle time."""
    settings = cast("Request", json.loads(sys.argv[-1]))
    confine(int(str(settings["memory_mb"])) + HEADROOM_MB)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # Whatever a library prints must not stand among the answers.
    serve(sys.stdin, answers, settings, _wait_for_input)


def serve(requests: TextIO, answers: TextIO, settings: Request, wait: Callable[[TextIO, float], bool]) -> None:
    """Load the tables, then answer one line for each line.

    Args:
        settings: `files` (name to path), `idle_s`, and the fields of `Limits`.
        wait: Says whether a request came within so many seconds.
    """
    from workers.tools.table_engine import Limits, TableEngine

    files = cast("dict[str, str]", settings.pop("files"))
    idle_s = float(str(settings.pop("idle_s")))
    engine = TableEngine(files, Limits(**settings))  # pyright: ignore[reportArgumentType]
    try:
        while wait(requests, idle_s) and (line := requests.readline()):
            try:
                reply: Request = {"result": answer(engine, json.loads(line))}
            except TableError as fault:
                reply = {"error": {"code": fault.code, "message": fault.message}}
            answers.write(json.dumps(reply) + "\n")
            answers.flush()
    finally:
        engine.close()


def answer(engine: object, request: Request) -> object:
    """The result of one request: `op` is list, describe or query.

    Raises:
        TableError: what was asked for cannot be served.
    """
    from workers.tools.table_engine import TableEngine
    from workers.tools.table_summary import summarize

    assert isinstance(engine, TableEngine)  # noqa: S101 (DuckDB is loaded late, so the signature cannot name it)
    if request["op"] == "describe":
        return summarize(engine, str(request["table"]))
    if request["op"] == "query":
        return engine.query(str(request["sql"]), int(str(request["limit"])))
    return [
        {"name": table.name, "rows": table.rows, "columns": table.columns, "fault": table.fault}
        for table in engine.tables.values()
    ]


def _wait_for_input(requests: TextIO, seconds: float) -> bool:
    return bool(select.select([requests], [], [], seconds)[0])
