"""What a doctor says of what it found."""

from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest
from pydantic import SecretStr

from orchestrator import doctor
from orchestrator.findings import Finding, Verdict
from tasks.ids import WorkerName
from tasks.presence import WorkerPresence
from tasks.queues import QUEUES
from tasks.settings import StoreSettings
from tasks.store.server import ServerFacts

# pyright: reportPrivateUsage=false
SETTINGS = StoreSettings(redis_url=SecretStr("redis://:geheim@host/0"))


def facts(*, policy: str = "noeviction", persistent: bool = True) -> ServerFacts:
    return ServerFacts(version="redis 7.4", policy=policy, persistent=persistent, used_memory=1, unix_ms=1)


def worker(*queues: str) -> WorkerPresence:
    return WorkerPresence(
        name=WorkerName("w"), pid=1, host="h", queues=queues, agents=(), concurrency=1, model="offline", version="1"
    )


def bad(findings: list[Finding]) -> dict[str, Verdict]:
    return {one.check: one.verdict for one in findings if one.verdict is not Verdict.OK}


def test_a_good_server_is_good_and_its_password_stays_hidden() -> None:
    findings = doctor._server_findings(SETTINGS, facts())
    assert bad(findings) == {}
    assert findings[0].message == "redis 7.4 at redis://:***@host/0"


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_a_server_that_forgets_under_pressure_is_a_problem(policy: str) -> None:
    assert bad(doctor._server_findings(SETTINGS, facts(policy=policy))) == {"eviction": Verdict.PROBLEM}


def test_a_server_that_forgets_at_a_restart_is_a_risk() -> None:
    assert bad(doctor._server_findings(SETTINGS, facts(persistent=False))) == {"persistence": Verdict.WARNING}


def test_a_server_that_does_not_tell_is_not_blamed() -> None:
    assert bad(doctor._server_findings(SETTINGS, facts(policy=""))) == {}


def test_without_an_orchestrator_no_job_goes_on() -> None:
    assert doctor._orchestrators(0).verdict is Verdict.PROBLEM
    assert doctor._orchestrators(2).message == "2 alive"


def test_every_queue_that_nobody_listens_on_is_named_with_the_command_for_it() -> None:
    findings = doctor._queues([worker("search", "own"), worker("search")])
    assert [one.check for one in findings] == sorted(f"queue {name}" for name in {*QUEUES, "own"})
    assert set(bad(findings)) == {"queue analysis", "queue planner", "queue summary"}
    assert next(one for one in findings if one.check == "queue analysis").advice == "start one: troupe worker analysis"


def test_several_releases_at_once_are_a_risk() -> None:
    ours = version("troupe")
    assert doctor._versions({ours}).verdict is Verdict.OK
    assert doctor._versions(set()).verdict is Verdict.OK
    assert doctor._versions({ours, "99"}).verdict is Verdict.WARNING
    assert doctor._versions({"99"}).message == f"{', '.join(sorted({ours, '99'}))} at once"


def test_a_home_is_good_when_it_can_be_made(tmp_path: Path) -> None:
    assert doctor._home(tmp_path / "a" / "b").verdict is Verdict.OK


def test_a_home_that_is_or_lies_in_a_file_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert doctor._home(tmp_path / "file").verdict is Verdict.PROBLEM
    assert doctor._home(tmp_path / "file" / "below").verdict is Verdict.PROBLEM


def test_a_cluster_without_a_broker_is_a_problem() -> None:
    finding = doctor._broker(StoreSettings(redis_url=SecretStr("redis+cluster://h")))
    assert (finding.check, finding.verdict) == ("broker", Verdict.PROBLEM)
    assert "TROUPE_BROKER_URL" in finding.message


def test_a_broker_that_is_not_there_is_a_problem_and_its_password_stays_hidden() -> None:
    away = StoreSettings(broker_url=SecretStr("redis+socket://u:geheim@/nonexistent/redis.sock"), store_timeout_s=0.5)
    finding = doctor._broker(away)
    assert finding.verdict is Verdict.PROBLEM
    assert finding.message.startswith("redis+socket://u:***@/nonexistent/redis.sock")
    assert doctor._broker(StoreSettings(broker_url=SecretStr("memory://"))).verdict is Verdict.OK


@pytest.mark.parametrize(
    ("used", "limit", "verdict"),
    [(10, 0, Verdict.OK), (79, 100, Verdict.OK), (80, 100, Verdict.WARNING), (95, 100, Verdict.PROBLEM)],
)
def test_memory_near_its_limit_is_said_before_it_is_full(used: int, limit: int, verdict: Verdict) -> None:
    assert doctor._memory(replace(facts(), used_memory=used * 2**20, maxmemory=limit * 2**20)).verdict is verdict


def test_a_server_that_is_too_old_or_follows_another_is_a_problem() -> None:
    assert doctor._server("here", replace(facts(), release=(6, 2))).verdict is Verdict.PROBLEM
    assert doctor._server("here", replace(facts(), replica=True)).verdict is Verdict.PROBLEM
    assert doctor._server("here", facts()).message == "redis 7.4 at here"


@pytest.mark.parametrize(
    ("skew_ms", "verdict", "words"),
    [(10, Verdict.OK, "0.0 s ahead of"), (-6000, Verdict.WARNING, "6.0 s behind"), (5000, Verdict.OK, "5.0 s ahead")],
)
def test_a_clock_that_differs_is_a_risk(skew_ms: int, verdict: Verdict, words: str) -> None:
    finding = doctor._clock(skew_ms)
    assert finding.verdict is verdict
    assert words in finding.message


@pytest.mark.parametrize(
    ("ours", "theirs", "verdict"),
    [
        (4, {4}, Verdict.OK),
        (4, set[int](), Verdict.OK),
        (4, {1, 4}, Verdict.PROBLEM),
        (1, {4}, Verdict.WARNING),
    ],
)
def test_partitions_that_an_orchestrator_does_not_serve_are_a_problem(
    ours: int, theirs: set[int], verdict: Verdict
) -> None:
    assert doctor._partitions(ours, theirs).verdict is verdict


@pytest.mark.parametrize(("alive", "verdict"), [(True, Verdict.OK), (False, Verdict.PROBLEM)])
def test_a_health_check_is_about_one_process(alive: bool, verdict: Verdict) -> None:
    assert doctor._alive("worker", alive).verdict is verdict


def test_every_bad_finding_comes_with_advice() -> None:
    findings = [*doctor._server_findings(SETTINGS, facts(policy="x", persistent=False)), *doctor._queues([])]
    assert all(one.advice for one in findings if one.verdict is not Verdict.OK)
