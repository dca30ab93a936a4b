"""Figures of a fleet whose workers are killed: exact at its end, and at a hundred moments of its run."""

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast
from urllib.request import urlopen

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from orchestrator import Troupe
from orchestrator.blocking import JobHandle
from orchestrator.local.redis_server import free_port
from tasks.models import Plan, PlannedStep
from tasks.results import LedgerReport, UsageReport
from tasks.states import FINAL_JOB
from tests.acceptance.conftest import CLAUDE, QUESTION, ROOT, Once, start_fleet
from tests.acceptance.stage import Stages, copy_actors, wait_until
from tests.support.promql import asked
from workers.testing import FakeMessages

MOMENTS: Final = 100
WITHIN_S: Final = 150.0
KILL_EVERY_S: Final = 2.5
SHOWN: Final = ("ready", "dispatched", "running")
Samples = dict[tuple[str, ...], float]


@dataclass(frozen=True, slots=True)
class Watched:
    """A run, and what the figures said."""

    equal: int
    """Moments at which nothing moved during a scrape, and the gauges were what the steps said."""
    different: list[str]
    """The other ones of these."""
    statuses: list[str]
    """That steps had at these moments."""
    kills: int
    jobs: dict[str, int]
    """Status → jobs."""
    steps: dict[str, int]
    ledgers: list[LedgerReport]
    counters: dict[str, dict[str, float]]
    """Metric → labels' values, joined → its value in the end."""
    workers: list[str]
    """Names of the series that a worker served."""
    stats: dict[str, Any]
    scale: list[dict[str, Any]]


def scrape(address: str) -> Samples:
    """All values of a process, by name and the values of their labels in the order of the labels' names."""
    with urlopen(f"http://{address}/metrics", timeout=30) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def stored(redis: Any) -> dict[str, dict[str, str]]:
    """The hashes of all steps. What is the same before and after was so all the time: attempts only count up."""
    return {job: redis.hgetall(f"troupe:{{0}}:job:{job}:steps") for job in redis.zrange("troupe:{0}:job:index", 0, -1)}


def in_queues(found: dict[str, dict[str, str]]) -> dict[tuple[str, str], int]:
    """(queue, status) → steps."""
    counts = Counter[tuple[str, str]]()
    for fields in found.values():
        for name, status in fields.items():
            if name.startswith("s:") and status in SHOWN:
                counts[fields[f"Q:{name[2:]}"], status] += 1
    return dict(counts)


class Observation:
    """Looks at gauges and steps while workers die."""

    def __init__(self, troupe: Troupe, redis: Any, jobs: list[JobHandle]) -> None:
        self.troupe, self.redis, self.jobs = troupe, redis, jobs
        self.draw = random.Random(6)
        self.equal, self.kills, self.killed_at = 0, 0, time.monotonic()
        self.different: list[str] = []
        self.statuses = set[str]()

    def run(self, *more: Callable[[], JobHandle]) -> None:
        """Until there are enough moments and kills, and all jobs have ended."""
        end = time.monotonic() + WITHIN_S
        while time.monotonic() < end:
            self._look()
            open_jobs = [job for job in self.jobs if job.status() not in FINAL_JOB]
            if not open_jobs and self.equal >= MOMENTS and self.kills >= 3:
                return
            if self.kills < 6 and time.monotonic() - self.killed_at > KILL_EVERY_S:
                self._kill()
            if len(open_jobs) < 3 and (self.equal < MOMENTS or self.kills < 3):
                self.jobs += [submit() for submit in more]

    def _look(self) -> None:
        address = self.address()
        before = stored(self.redis)
        try:
            found = scrape(address)
        except OSError:
            return
        after = stored(self.redis)
        if before != after or found["troupe_store_up",] != 1:
            return
        gauges = {
            (key[1], key[2]): int(value) for key, value in found.items() if key[0] == "troupe_queue_steps" and value
        }
        expected = in_queues(before)
        self.statuses |= {status for _, status in expected}
        if gauges == expected:
            self.equal += 1
        else:
            self.different.append(f"{gauges} is not {expected}")

    def _kill(self) -> None:
        self.killed_at = time.monotonic()
        alive = [one for one in self.troupe.workers() if Path(f"/proc/{one.pid}").exists()]
        at_work = [one for one in alive if one.running]
        os.kill(self.draw.choice(at_work or alive).pid, signal.SIGKILL)
        self.kills += 1

    def address(self, role: str = "orchestrator") -> str:
        return wait_until(lambda: [one.address for one in self.troupe.metrics() if one.role == role])[-1]


def watch(stages: Stages, fake: FakeMessages) -> dict[str, Any]:
    stage = stages.new(
        TROUPE_AGENTS="actors",
        TROUPE_LEASE_S="3",
        TROUPE_REPUBLISH_S="1",
        TROUPE_STEP_ATTEMPTS="10",
        TROUPE_METRICS_PORT=str(free_port()),
        ANTHROPIC_API_KEY="sk-ant-test",
        ANTHROPIC_BASE_URL=fake.url,
    )
    stage.variables["NAPS"] = str(stage.folder / "naps.txt")
    copy_actors(stage)
    up, url, _ = start_fleet(stage, "--metrics", "--concurrency", "2", flower=False)

    def naps() -> JobHandle:
        steps = [PlannedStep(id=f"nap-{at}", description=f"nap {0.4 + at / 4}", agent="napper") for at in range(8)]
        return troupe.submit("Sleep well.", plan=Plan(steps=steps), model=CLAUDE)

    def question() -> JobHandle:
        return troupe.submit(QUESTION, model=CLAUDE)

    with Troupe(url) as troupe, cast(Any, Redis).from_url(url, decode_responses=True) as redis:
        jobs = [question(), question(), question(), naps(), naps()]
        seen = Observation(troupe, redis, jobs)
        seen.run(naps, question)
        results = [job.wait(60) for job in jobs]
        counters: dict[str, dict[str, float]] = {}
        for (name, *labels), value in scrape(seen.address()).items():
            counters.setdefault(name, {})["|".join(labels)] = value
        found = {
            "equal": seen.equal,
            "different": seen.different,
            "statuses": sorted(seen.statuses),
            "kills": seen.kills,
            "jobs": dict(Counter(one.status.value for one in results)),
            "steps": dict(Counter(step.status.value for one in results for step in one.steps)),
            "ledgers": [job.ledger().model_dump(mode="json") for job in jobs],
            "counters": counters,
            "workers": sorted({name for name, *_ in scrape(seen.address("worker"))}),
            "stats": json.loads(stage.troupe("stats", "--json", "--since", "1h", TROUPE_REDIS_URL=url).stdout),
            "scale": json.loads(stage.troupe("scale", "--json", TROUPE_REDIS_URL=url).stdout),
        }
    up.process.terminate()
    up.wait()
    return found


@pytest.fixture(scope="module")
def watched(once: Once, stages: Stages, fake: FakeMessages) -> Watched:
    found = cast("dict[str, Any]", once("watched", lambda: watch(stages, fake)))
    ledgers = [LedgerReport.model_validate(one) for one in found.pop("ledgers")]
    return Watched(ledgers=ledgers, **found)


def test_queue_gauges_equal_the_store_at_a_hundred_moments_while_workers_die(watched: Watched) -> None:
    assert watched.different == []
    assert watched.equal >= MOMENTS
    assert watched.kills >= 3
    assert watched.statuses == sorted(SHOWN)


def test_counters_equal_the_ledgers_of_all_jobs(watched: Watched) -> None:
    kinds = {"input": "input_tokens", "output": "output_tokens", "cache_read": "cache_read_tokens"}
    kinds["cache_write"] = "cache_write_tokens"
    wanted: dict[str, Counter[str]] = {name: Counter() for name in ("tokens", "cost_microusd", "model_requests")}
    wanted["tool_calls"] = Counter()
    for line in (line for ledger in watched.ledgers for line in ledger.lines):
        pair, usage = f"{line.agent}|{line.model}", line.usage
        wanted["cost_microusd"][pair] += round(usage.cost_usd * 1e6)
        wanted["model_requests"][pair] += usage.requests
        wanted["tool_calls"][pair] += usage.tool_calls
        for kind, name in kinds.items():
            wanted["tokens"][f"{line.agent}|{kind}|{line.model}"] += getattr(usage, name)
    for name, counts in wanted.items():
        found = {labels: value for labels, value in watched.counters.get(f"troupe_{name}_total", {}).items() if value}
        assert found == {labels: count for labels, count in counts.items() if count}, name
    assert sum(wanted["model_requests"].values()) > 0
    assert watched.counters["troupe_unanswered_calls"][""] == sum(one.unanswered for one in watched.ledgers)


def test_jobs_and_steps_are_counted_once(watched: Watched) -> None:
    ended = {status: value for status, value in watched.counters["troupe_jobs_total"].items() if value}
    assert ended.pop("submitted") == sum(watched.jobs.values())
    assert ended == watched.jobs
    steps = Counter[str]()
    for labels, value in watched.counters["troupe_steps_total"].items():
        steps[labels.split("|")[1]] += int(value)
    assert {status: count for status, count in steps.items() if count} == watched.steps


def test_statistics_say_the_same(watched: Watched) -> None:
    usage = UsageReport.model_validate(watched.stats["usage"])
    assert usage.requests == sum(one.total.requests for one in watched.ledgers)
    assert round(usage.cost_usd * 1e6) == sum(round(one.total.cost_usd * 1e6) for one in watched.ledgers)
    assert watched.stats["jobs"]["completed"] == watched.jobs["completed"]
    assert watched.stats["steps"]["succeeded"] == watched.steps["succeeded"]


def test_an_idle_fleet_wants_no_workers(watched: Watched) -> None:
    assert {one["queue"] for one in watched.scale} >= {"napper", "search", "summary"}
    assert {one["wanted"] for one in watched.scale} == {0}


def test_real_processes_serve_what_the_dashboard_asks_for(watched: Watched) -> None:
    """But for what did not happen in this run."""
    served = {*watched.counters, *watched.workers}
    panels = json.loads((ROOT / "deploy/grafana/troupe.json").read_text())["panels"]
    texts = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    rules = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())["groups"][0]["rules"]
    texts += [rule["expr"] for rule in rules]
    metrics = {metric for text in texts for metric in asked(text.replace("$__rate_interval", "5m")).metrics}
    rare = {"troupe_orchestrator_outages_total"}
    by_worker = ("troupe_model_call", "troupe_tool_duration", "troupe_limiter_wait")  # of one worker, perhaps a new one
    assert {one for one in metrics - served - rare if not one.startswith(by_worker)} == set()
