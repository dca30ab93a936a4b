"""`troupe up`: a stack that stays, its commands from another shell, Flower, and its end."""

import json
import sys
import time
from signal import SIGTERM
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from orchestrator import Troupe
from orchestrator.local.ending import TOGETHER_S
from tasks.results import JobResult
from tasks.states import TaskStatus
from tests.acceptance.conftest import CLAUDE, Fleet, start_fleet
from tests.acceptance.stage import Stage, copy_actors, get_json, objects, wait_until

PRODUCER = """
import sys
from orchestrator import Troupe

troupe = Troupe(sys.argv[1])
jobs = [troupe.submit(f"What is said about order {n}?", idempotency_key=f"produced-{n}") for n in range(20)]
jobs[7].cancel()
print(*(job.id for job in jobs), flush=True)
print(*(job.wait(timeout=120).status.value for job in jobs))
"""
DECIDING = {"coordinator", "router", "critic", "supervisor"}
"""Agents that are fed by the queue of the planner."""
AGENTS = DECIDING | {"planner", "search", "analysis", "summary", "napper", "finance"}


@pytest.fixture(scope="module")
def produced(fleet: Fleet) -> Any:
    producer = fleet.stage.start_program([sys.executable, "-c", PRODUCER, fleet.url])
    ids = wait_until(lambda: producer.out.read_text().rpartition("\n")[0]).split("\n")[0].split()
    watched = fleet.stage.troupe("watch", ids[-1])
    done = producer.wait()
    assert done.code == 0, done.stderr
    return ids, done.stdout.splitlines()[1].split(), watched


def test_all_jobs_of_a_producer_end_and_the_cancelled_one_is_cancelled(produced: Any) -> None:
    _, statuses, _ = produced
    assert statuses == ["completed"] * 7 + ["cancelled"] + ["completed"] * 12


def test_a_watched_job_is_followed_to_its_end(produced: Any) -> None:
    _, _, watched = produced
    assert watched.code == 0
    assert watched.stderr.splitlines()[0].endswith("accepted")
    assert watched.stderr.splitlines()[-1] == "job completed"


def test_the_list_of_jobs_has_them_all(fleet: Fleet, produced: Any) -> None:
    listed = objects(fleet.stage.troupe("jobs", "--json", "-n", "1000").stdout)
    assert {one["job_id"] for one in listed} >= set(produced[0])


@pytest.mark.parametrize("command", ["show", "result"])
def test_a_job_is_shown_as_the_published_object(command: str, fleet: Fleet, produced: Any) -> None:
    done = fleet.stage.troupe(command, produced[0][0], "--json")
    assert done.code == 0
    assert JobResult.model_validate_json(done.stdout).job_id == produced[0][0]


def test_the_result_of_a_cancelled_job_is_a_failure(fleet: Fleet, produced: Any) -> None:
    done = fleet.stage.troupe("result", produced[0][7])
    assert done.code == 1
    assert "job_cancelled" in done.complaint


def test_all_agents_are_listed(fleet: Fleet) -> None:
    assert {one["name"] for one in objects(fleet.stage.troupe("agents", "--json").stdout)} == AGENTS


def test_the_calls_of_all_workers_are_counted(fleet: Fleet, produced: Any) -> None:
    def searched() -> int:
        found = json.loads(fleet.stage.troupe("stats", "--json", "--since", "1h").stdout)
        return sum(one["calls"] for one in found["tools"] if one["agent"] == "search")

    wait_until(searched)
    assert "search_passages" in {one["name"] for one in objects(fleet.stage.troupe("tools", "--json").stdout)}


def test_the_doctor_finds_nothing_wrong(fleet: Fleet) -> None:
    done = fleet.stage.troupe("doctor", "--json")
    findings = objects(done.stdout)
    assert done.code == 0, findings
    assert {one["check"] for one in findings} >= {"store", "broker", "orchestrator", "queue search", "queue napper"}


def test_flower_lists_every_worker(fleet: Fleet) -> None:
    def queues() -> bool:
        workers: dict[str, Any] = get_json(f"{fleet.flower}/api/workers?refresh=1")
        return {name.split("-")[0] for name in workers} >= AGENTS - DECIDING

    wait_until(queues, within=20)


def test_flower_names_tasks_by_agent_with_job_and_step_readable(fleet: Fleet) -> None:
    jobs: list[str] = []

    def shown() -> dict[str, str] | None:  # Flower shows nothing from before it listens, and says nowhere that it does
        job = fleet.nap("0.1")
        assert job.wait(30).status is TaskStatus.COMPLETED
        jobs.append(job.id)
        found = get_json(f"{fleet.flower}/api/tasks?limit=1000")
        ours = (found.get(f"{one}:nap-0:1") for one in jobs)
        return next((one for one in ours if one and one.get("kwargs")), None)  # first comes a task, then what it is

    task = wait_until(shown, within=60) or {}
    job_id = task["uuid"].split(":")[0]
    assert (task["name"], task["uuid"]) == ("napper", f"{job_id}:nap-0:1")
    assert job_id in jobs
    assert job_id in task["kwargs"]
    assert "'nap-0'" in task["kwargs"]
    assert "nap 0.1" in task["kwargs"]


def asked(fleet: Fleet, path: str, method: str, **headers: str) -> int:
    """The status that Flower answers with."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    request = Request(f"{fleet.flower}{path}", method=method, headers=names)  # noqa: S310 - on loopback
    try:
        with urlopen(request, timeout=10) as answer:  # noqa: S310
            return answer.status
    except HTTPError as error:
        return error.code


SHUT_DOWN = "/api/worker/shutdown/nobody"


def test_flower_is_open_to_programs_of_this_machine(fleet: Fleet) -> None:
    assert asked(fleet, "/workers", "GET") == 200
    assert asked(fleet, SHUT_DOWN, "POST") == 404  # it looked for that worker


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Sec_Fetch_Site": "cross-site"}]
)
def test_flower_is_shut_to_web_pages_from_elsewhere(headers: dict[str, str], fleet: Fleet) -> None:
    assert asked(fleet, SHUT_DOWN, "POST", **headers) == 403
    assert asked(fleet, "/api/workers", "GET", **headers) == 403


@pytest.mark.parametrize(("pause", "nap"), [(0, "2"), (2 * TOGETHER_S, "60")], ids=["together", "again"])
def test_two_signals_end_it_in_order_when_they_come_together_and_at_once_otherwise(
    stage: Stage, pause: float, nap: str
) -> None:
    """`timeout`, shells and terminals tell a process and its group: it gets the same one twice."""
    copy_actors(stage)
    stage.variables |= {"TROUPE_AGENTS": "actors", "NAPS": str(stage.folder / "naps.txt")}
    up, url, flower = start_fleet(stage, flower=False)
    with Troupe(url) as troupe:
        fleet = Fleet(stage, up, url, flower, troupe)
        fleet.napping(fleet.nap(nap))
        up.signal(SIGTERM)
        time.sleep(pause)
        up.signal(SIGTERM)
        assert up.wait(18).code == 0  # a worker may drain for 20 s
    assert stage.leavings() == []


def test_a_second_stack_on_the_same_home_is_refused(fleet: Fleet) -> None:
    done = fleet.stage.troupe("up", "--no-flower", "--no-api")
    assert done.code == 2
    assert f"process {fleet.up.pid}" in done.complaint


def test_a_second_stack_is_refused_while_the_first_one_starts(stage: Stage) -> None:
    first = stage.start("up", "--no-flower", "--no-api")
    wait_until(lambda: (stage.home / "stack.lock").exists())
    second = stage.troupe("up", "--no-flower", "--no-api")
    assert second.code == 2
    assert "a stack runs here already" in second.complaint
    first.process.terminate()
    assert first.wait(30).code == 0
    assert stage.processes() == {}


def test_a_port_that_is_taken_is_refused(fleet: Fleet, stage: Stage) -> None:
    port = fleet.url.split(":")[2].split("/")[0]
    done = stage.troupe("up", "--no-flower", "--no-api", "--redis-port", port)
    assert (done.code, done.complaint) == (2, f"troupe: port {port} is taken; choose another one with --redis-port")


@pytest.mark.parametrize(("task", "code"), [("Go round in a CIRCLE.", "invalid_plan"), ("NONSENSE.", "invalid_output")])
def test_a_planner_that_cannot_be_helped_fails_its_job(task: str, code: str, fleet: Fleet) -> None:
    submitted = fleet.stage.troupe("submit", task, "--model", CLAUDE)
    assert submitted.code == 0
    done = fleet.stage.troupe("result", submitted.stdout.strip(), "--wait", "40")
    assert done.code == 1
    assert code in done.complaint


def test_a_job_that_runs_out_of_time_has_failed(fleet: Fleet) -> None:
    submitted = fleet.stage.troupe("submit", "HANG until it is late.", "--timeout", "1", "--model", CLAUDE)
    done = fleet.stage.troupe("result", submitted.stdout.strip(), "--wait", "20")
    assert done.code == 1
    assert "deadline_passed" in done.complaint
