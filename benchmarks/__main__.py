"""`python -m benchmarks`: one JSON object a line on stdout, a table on stderr. Talks to loopback only."""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks import door, graphs, limiter, sides, single, stage, table
from orchestrator.local.redis_server import RedisServer

SIDES: Final = tuple(shape.case for shape in sides.SHAPES)
SINGLE: Final = {
    "waiting": single.run_waiting,
    "submits": single.run_submits,
    "commands": single.run_commands,
    "fairness": single.run_fairness,
    "limiter": limiter.run_limiter,
    "door": door.run_door,
}
Line = dict[str, Any]
Run = Callable[[RedisServer, Path], Iterator[Line]]
CASES: Final = (*SIDES, *SINGLE, "graphs")


def main(arguments: list[str]) -> int:
    """Run cases; 0 when all gave figures, 1 when one broke off."""
    asked = _parser().parse_args(arguments)
    wanted = set(asked.case or CASES)
    strange = sorted(wanted - set(CASES))
    if strange:
        print(f"benchmarks: no case {', '.join(strange)}; there are: {', '.join(CASES)}", file=sys.stderr)
        return 2
    try:
        found = graphs.read_folder(asked.dir) if asked.dir else graphs.generated()
    except (OSError, ValueError) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    stage.clean_environment()
    lines: list[Line] = []
    failed = False
    for run in _runs(wanted, found, quick=asked.quick):
        try:
            for line in run:
                lines.append(line)
                print(json.dumps(line), flush=True)
        except (OSError, RuntimeError, TimeoutError) as error:
            failed = True
            print(f"benchmarks: broke off: {type(error).__name__}: {error}", file=sys.stderr)
    table.show(lines)
    return int(failed)


def _runs(wanted: set[str], found: list[graphs.Graph], *, quick: bool) -> Iterator[Iterator[Line]]:
    if wanted & set(SIDES):
        yield _on_a_server(partial(sides.run, wanted=wanted, quick=quick))
    for case, run in SINGLE.items():
        if case in wanted:
            yield _on_a_server(partial(run, quick=quick))
    if "graphs" in wanted:
        yield _on_a_server(partial(graphs.run_graphs, graphs=found, quick=quick))


def _on_a_server(run: Run) -> Iterator[Line]:
    """A fresh server for each group of cases, in a folder that goes afterwards."""
    with tempfile.TemporaryDirectory(prefix="troupe-bench-") as name:
        folder = Path(name)
        server = RedisServer.start(folder / "redis", append_only=False)
        try:
            yield from run(server, folder)
        finally:
            server.stop()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure Troupe, and bare Celery beside it where it can do the same. No key, no network.",
    )
    parser.add_argument("case", nargs="*", help=f"all unless given: {', '.join(CASES)}")
    parser.add_argument("--dir", type=Path, help="workflow files (WfFormat .json or .json.gz) for the case graphs")
    parser.add_argument("--quick", action="store_true", help="small counts: whether it works, not how fast")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
