"""Eight processes offer three times what a key may: how much is refused, how much of what is allowed is used.

The provider is the fake Messages API with token buckets, in this process, on loopback.
"""

import os
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from orchestrator.local.redis_server import RedisServer
from workers.testing import FakeMessages, Limits, Say

ROOT: Final = Path(__file__).resolve().parent.parent
PROCESSES: Final = 8
OVERLOAD: Final = 3.0
LATENCY_S: Final = 0.3
OUTPUT: Final = 50
"""Tokens of an answer; a prompt has about 100."""
END_WITHIN_S: Final = 30.0
Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """One limit that binds."""

    bound: str
    limits: Limits
    per_s: float
    """Calls that it allows in the long run."""

    def allowed(self, seconds: float) -> float:
        """Units of the limit in so many seconds from a full bucket."""
        limit: int = getattr(self.limits, self.bound)
        return limit * self.limits.burst + limit / 60 * seconds


CASES: Final = (
    Case("requests", Limits(requests=1200, input_tokens=1_000_000, output_tokens=1_000_000, burst=0.25), 20),
    Case("input_tokens", Limits(requests=10_000, input_tokens=120_000, output_tokens=1_000_000, burst=0.25), 20),
    Case("output_tokens", Limits(requests=10_000, input_tokens=1_000_000, output_tokens=60_000, burst=0.25), 20),
)


def run_limiter(server: RedisServer, _folder: Path, *, quick: bool) -> Iterator[Line]:
    """Each limit, with the limiter and without."""
    seconds = 10.0 if quick else 60.0
    for case in CASES[:1] if quick else CASES:
        for limited in (True, False):
            yield measure(server.url, case, seconds, limited=limited)


def measure(url: str, case: Case, seconds: float, *, limited: bool, processes: int = PROCESSES) -> Line:
    """One run."""
    rate = OVERLOAD * case.per_s / processes
    words = [str(rate), str(seconds), *([] if limited else ["unlimited"])]
    with FakeMessages(_answer, limits=case.limits, latency_s=LATENCY_S) as fake:
        environment = {
            "TROUPE_REDIS_URL": url,
            "TROUPE_PREFIX": f"limiter-{case.bound}"[:32],
            "TROUPE_MODEL": "claude-sonnet-5-5",
            "ANTHROPIC_API_KEY": "sk-ant-benchmark",
            "ANTHROPIC_BASE_URL": fake.url,
        }
        with callers(words, processes, environment) as running:
            for process in running:
                tell(process)
            begun = time.monotonic()
            time.sleep(seconds - 1)
            window = time.monotonic() - begun
            calls, refused = fake.calls, fake.limited
            used = calls - refused if case.bound == "requests" else fake.usage_total.get(case.bound, 0)
    allowed = case.allowed(window)
    return {
        "case": "limiter",
        "system": "troupe" if limited else "no limiter",
        "bound": case.bound,
        "processes": processes,
        "seconds": round(window, 1),
        "offered_per_s": OVERLOAD * case.per_s,
        "calls": calls,
        "refused": refused,
        "refused_share": round(refused / max(1, calls), 4),
        "allowed": round(allowed),
        "used": used,
        "used_share": round(used / allowed, 4),
    }


@contextmanager
def callers(words: list[str], processes: int, environment: dict[str, str]) -> Generator[list[subprocess.Popen[str]]]:
    """Processes of `benchmarks.callers` that are ready to begin; they have ended afterwards."""
    running: list[subprocess.Popen[str]] = []
    try:
        for _ in range(processes):
            process = subprocess.Popen(  # noqa: S603 - our own program with arguments of our own
                [sys.executable, "-m", "benchmarks.callers", *words],
                env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            running.append(process)
        for process in running:
            if process.stdout is None or process.stdout.readline() != "ready\n":
                raise RuntimeError("a process that calls did not start")
        yield running
        for process in running:
            process.wait(END_WITHIN_S)
    finally:
        for process in running:
            process.kill()
            process.communicate()


def tell(process: subprocess.Popen[str]) -> None:
    """Let it begin."""
    if process.stdin is not None:
        process.stdin.write("begin\n")
        process.stdin.flush()


def _answer(_body: Line) -> Say:
    return Say(content="So it is.", usage={"output_tokens": OUTPUT})
