"""`python -m benchmarks.peers`: the diamond in other frameworks and in Troupe, one JSON object a line on stdout.

Each peer gets a venv under .troupe/peers, from whatever index pip is set up for. What cannot be had gives a line with
`error`.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, cast

from benchmarks import stage, table
from benchmarks.drive import quantile, send_to_troupe
from benchmarks.peers.table import PEERS, Peer
from orchestrator import AsyncTroupe
from orchestrator.local.redis_server import RedisServer

Line = dict[str, Any]
HERE: Final = Path(__file__).parent
CACHE: Final = stage.ROOT / ".troupe" / "peers"
INSTALL_WITHIN_S: Final = 600
RUN_WITHIN_S: Final = 300
STEPS: Final = 5
NAMES: Final = tuple(peer.name for peer in PEERS)


def main(arguments: list[str]) -> int:
    """Measure; 0 when at least one peer gave figures."""
    asked = _parser().parse_args(arguments)
    strange = sorted(set(asked.peer) - set(NAMES))
    if strange:
        print(f"benchmarks.peers: no peer {', '.join(strange)}; there are: {', '.join(NAMES)}", file=sys.stderr)
        return 2
    stage.clean_environment()
    peers = [peer for peer in PEERS if not asked.peer or peer.name in asked.peer]
    lines: list[Line] = []
    for line in _lines(peers, quick=asked.quick):
        lines.append(line)
        print(json.dumps(line), flush=True)
    table.show(lines)
    return 0 if any("error" not in line for line in lines if line["system"] != "troupe") else 1


def _lines(peers: Sequence[Peer], *, quick: bool) -> Iterator[Line]:
    for peer in peers:
        yield measured(peer, CACHE, quick=quick)
    yield _troupe(20 if quick else 240, 8)


def measured(peer: Peer, cache: Path, *, quick: bool) -> Line:
    """One peer's line; with `error` when it cannot be installed or run."""
    line: Line = {"case": "diamond", "system": peer.name, "processes": peer.processes, "durable": peer.durable}
    try:
        python = _python(peer, cache)
        return line | _run(peer, python, max(peer.jobs // 10, 2) if quick else peer.jobs)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        said = str(getattr(error, "stderr", None) or error).strip().splitlines()
        return line | {"error": said[-1][:300] if said else type(error).__name__}


def _python(peer: Peer, cache: Path) -> Path:
    """The peer's own python; made at its first use."""
    folder = cache / peer.name
    python, mark = folder / "bin" / "python", folder / "installed"
    if not mark.exists() or mark.read_text() != " ".join(peer.packages):
        print(f"installing {' '.join(peer.packages)}", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *peer.packages]
        subprocess.run(  # noqa: S603 - names from our table
            command, check=True, capture_output=True, text=True, timeout=INSTALL_WITHIN_S
        )
        mark.write_text(" ".join(peer.packages))
    return python


def _run(peer: Peer, python: Path, jobs: int) -> Line:
    with tempfile.TemporaryDirectory(prefix="troupe-peer-") as folder:
        quiet = {"DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_LOGGING_LEVEL": "CRITICAL"}
        places = {"HOME": folder, "PREFECT_HOME": folder, "PYTHONPATH": str(HERE)}
        done = subprocess.run(  # noqa: S603 - a script of ours
            [str(python), str(HERE / "scripts" / f"{peer.name}_peer.py"), str(jobs), str(peer.window)],
            cwd=folder,
            env={**os.environ, **quiet, **places},
            check=True,
            capture_output=True,
            text=True,
            timeout=RUN_WITHIN_S,
        )
    return cast("Line", json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{"))))


def _troupe(jobs: int, window: int) -> Line:
    with tempfile.TemporaryDirectory(prefix="troupe-bench-") as name:
        server = RedisServer.start(Path(name) / "redis", append_only=True)
        try:
            with stage.troupe_side(server, Path(name)) as side:
                asyncio.run(_send(side.url, 20, window))
                sample = asyncio.run(_send(side.url, jobs, window))
        finally:
            server.stop()
    latencies = [one * 1000 for one in sample.latencies_s]
    return {
        "case": "diamond",
        "system": "troupe",
        "processes": 3,
        "durable": "all: jobs, steps, results, in Redis with an append-only file; other workers go on by themselves",
        "jobs_per_s": round(sample.per_s, 1),
        "steps_per_s": round(sample.per_s * STEPS, 1),
        "p50_ms": round(quantile(latencies, 0.5), 1),
        "p95_ms": round(quantile(latencies, 0.95), 1),
        "jobs": jobs,
        "window": window,
    }


async def _send(url: str, jobs: int, window: int) -> Any:
    async with AsyncTroupe(url) as troupe:
        return await send_to_troupe(troupe, ["fan 3"] * jobs, window)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("peer", nargs="*", help=f"all unless given: {', '.join(NAMES)}")
    parser.add_argument("--quick", action="store_true", help="small counts")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
