"""Flower beside a real stack: what it says of workers and tasks, by API and in a browser; what its buttons do."""

import json
import os
import signal
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest

from orchestrator.blocking import JobHandle
from orchestrator.local.redis_server import free_port
from tasks.errors import JobFailed
from tasks.states import TaskStatus
from tests.acceptance.flower_scene import SHOWN_WITHIN_S, Scene, flower_scene
from tests.acceptance.stage import START_WITHIN_S, Stages, get_json, wait_until
from tests.support.browser import Tab


@pytest.fixture(scope="module")
def scene(stages: Stages) -> Iterator[Scene]:
    with flower_scene(stages.new()) as made:
        made.wait_until_shown()
        yield made


@pytest.fixture(scope="module")
def retried(scene: Scene) -> JobHandle:
    job = scene.retried()
    assert job.wait(60).status is TaskStatus.COMPLETED
    scene.task(job, "synthesis", 1, "SUCCESS")
    return job


def test_it_knows_the_workers_and_their_queues(scene: Scene) -> None:
    worker = scene.worker("napper")
    facts = get_json(f"{scene.flower}/api/workers?refresh=1")[worker]
    assert {one["name"] for one in facts["active_queues"]} == {"napper", "napper@1"}


def post(address: str, password: str = "") -> tuple[int, str]:
    """Status and text of what a button's request is answered."""
    request = Request(address, method="POST", headers={"Authorization": f"Basic {password}"} if password else {})  # noqa: S310
    try:
        with urlopen(request, timeout=30) as answer:  # noqa: S310 - on loopback
            return answer.status, json.load(answer)["message"]
    except HTTPError as error:
        return error.code, error.read().decode()


def press(scene: Scene, action: str) -> tuple[int, str]:
    return post(f"{scene.flower}/api/{action}")


def status_of(scene: Scene, job: JobHandle) -> str:
    """What `troupe show` says."""
    return str(json.loads(scene.stage.troupe("show", str(job.id), "--json").stdout)["status"])


def test_the_search_for_a_job_finds_all_its_tasks_and_no_others(scene: Scene, retried: JobHandle) -> None:
    found = get_json(f"{scene.flower}/api/tasks?limit=1000&search={retried.id}")
    steps = {"trip:1", "trip:2", "rest:1", "synthesis:1"}
    assert set(found) == {f"{retried.id}:{step}" for step in steps}


def test_a_retry_is_a_further_task_that_follows_from_the_failed_one(scene: Scene, retried: JobHandle) -> None:
    failed, again = scene.task(retried, "trip", 1, "FAILURE"), scene.task(retried, "trip", 2, "SUCCESS")
    assert failed["exception"] == "stumbled: stumbled over attempt 1"
    assert (again["parent_id"], again["retries"], again["name"]) == (failed["uuid"], 1, "stumbler")


def test_a_failed_step_shows_its_code(scene: Scene) -> None:
    job = scene.failed()
    with pytest.raises(JobFailed):
        job.result(60)
    assert scene.task(job, "fall", 1, "FAILURE")["exception"] == "step_failed: fell flat"


def test_tasks_of_a_planned_job_have_the_planners_as_their_root(scene: Scene) -> None:
    job = scene.troupe.submit("Compare refunds and returns.")
    assert job.wait(60).status is TaskStatus.COMPLETED
    scene.task(job, "synthesis", 1, "SUCCESS")
    tasks = scene.tasks(job)
    assert len(tasks) >= 3
    assert {task["root_id"] for task in tasks.values()} == {f"{job.id}:plan:1"}
    assert tasks[f"{job.id}:plan:1"]["parent_id"] is None


def test_a_task_says_what_it_is_about_how_long_it_took_and_where(scene: Scene, retried: JobHandle) -> None:
    task = scene.task(retried, "rest", 1, "SUCCESS")
    assert task["args"] == "nap 0.2"
    assert "'step': 'rest'" in task["kwargs"]
    assert 0.2 <= task["runtime"] < 30
    assert task["worker"].startswith("napper-")


@pytest.mark.parametrize("terminate", ["true", "false"])
def test_revoking_a_running_task_cancels_its_job(terminate: str, scene: Scene) -> None:
    job = scene.endless()
    task = scene.task(job, "long", 1, "STARTED")["uuid"]
    code, said = press(scene, f"task/revoke/{task}?terminate={terminate}")
    assert (code, said) == (200, f"job {job.id} is cancelled, with all its steps")
    assert status_of(scene, job) == "cancelled"
    scene.task(job, "long", 1, "REVOKED")


def test_revoking_what_is_over_changes_nothing_and_says_so(scene: Scene, retried: JobHandle) -> None:
    code, said = press(scene, f"task/revoke/{retried.id}:trip:1")
    assert (code, said) == (409, "step 'trip' is succeeded: there is nothing to revoke")
    assert scene.task(retried, "trip", 1, "FAILURE")
    assert status_of(scene, retried) == "completed"


def test_growing_and_shrinking_change_what_is_shown_and_announced(scene: Scene) -> None:
    worker = scene.worker("napper")

    def sizes() -> set[int]:
        shown = get_json(f"{scene.flower}/api/workers?refresh=1&workername={worker}")[worker]["stats"]["pool"]
        announced = next(one for one in scene.troupe.workers() if one.name == worker)
        return {shown["max-concurrency"], announced.concurrency}

    assert press(scene, f"worker/pool/grow/{worker}?n=3")[0] == 200
    wait_until(lambda: sizes() == {11})
    assert press(scene, f"worker/pool/shrink/{worker}?n=3")[0] == 200
    wait_until(lambda: sizes() == {8})
    code, said = press(scene, f"worker/pool/shrink/{worker}?n=8")
    assert (code, "8 attempts at a time cannot become 0" in said) == (403, True)


def test_a_worker_takes_up_another_queue_and_leaves_it(scene: Scene) -> None:
    worker = scene.worker("napper")

    def queues() -> tuple[str, ...]:
        return next(one.queues for one in scene.troupe.workers() if one.name == worker)

    assert press(scene, f"worker/queue/add-consumer/{worker}?queue=stumbler") == (200, "add consumer stumbler")
    wait_until(lambda: queues() == ("napper", "stumbler"))
    assert press(scene, f"worker/queue/cancel-consumer/{worker}?queue=stumbler")[0] == 200
    wait_until(lambda: queues() == ("napper",))
    assert "only queue" in press(scene, f"worker/queue/cancel-consumer/{worker}?queue=napper")[1]
    assert "no agent" in press(scene, f"worker/queue/add-consumer/{worker}?queue=nowhere")[1]


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        ("worker/pool/autoscale/{}?min=1&max=3", "do not scale themselves"),
        ("worker/pool/restart/{}", "cannot be restarted"),
        ("task/rate-limit/napper?workername={}&ratelimit=1/m", "holds back calls, not messages"),
        ("task/timeout/napper?workername={}&soft=1", "times of their own"),
        ("task/send-task/napper", "submit jobs with"),
        ("task/async-apply/napper", "submit jobs with"),
    ],
)
def test_a_button_that_does_nothing_says_why(action: str, reason: str, scene: Scene) -> None:
    code, said = press(scene, action.format(scene.worker("napper")))
    assert code == 403
    assert reason in said


def test_a_worker_that_is_shut_down_ends_as_on_sigterm(scene: Scene) -> None:
    extra = scene.stage.start("worker", "faller", TROUPE_TASK_EVENTS="true", TROUPE_REDIS_URL=scene.url)
    name = f"faller-{extra.pid}@"

    def known() -> str | None:
        return next((one for one in get_json(f"{scene.flower}/api/workers?refresh=1") if one.startswith(name)), None)

    worker = wait_until(known, within=START_WITHIN_S)
    assert press(scene, f"worker/shutdown/{worker}")[0] == 200
    assert extra.wait(60).code == 0
    wait_until(lambda: worker not in {one.name for one in scene.troupe.workers()})


def test_the_task_of_a_killed_worker_does_not_run_for_ever(scene: Scene) -> None:
    extra = scene.stage.start("worker", "napper", TROUPE_TASK_EVENTS="true", TROUPE_REDIS_URL=scene.url)
    worker = f"napper-{extra.pid}@"
    wait_until(lambda: any(one.name.startswith(worker) for one in scene.troupe.workers()), within=START_WITHIN_S)

    def taken() -> JobHandle | None:
        job = scene.endless()
        if scene.task(job, "long", 1, "STARTED")["worker"].startswith(worker):
            return job
        job.cancel()
        return None

    job = wait_until(taken, within=2 * SHOWN_WITHIN_S)
    assert job is not None
    os.kill(extra.pid, signal.SIGKILL)
    assert scene.task(job, "long", 1, "FAILURE")["exception"].startswith("worker_lost: ")
    assert scene.task(job, "long", 2, "STARTED")["parent_id"] == f"{job.id}:long:1"
    job.cancel()
    scene.task(job, "long", 2, "REVOKED")  # else the stack would wait for it at its end


def test_what_flower_missed_while_it_was_off_is_looked_up(scene: Scene) -> None:
    port, home = free_port(), str(scene.stage.folder / "other")
    other = Scene(scene.stage, scene.up, scene.url, f"http://127.0.0.1:{port}", scene.troupe)
    settings = {"TROUPE_HOME": home, "TROUPE_REDIS_URL": scene.url}
    first = scene.stage.start("flower", "--port", str(port), **settings)
    wait_until(lambda: answers(other), within=START_WITHIN_S)
    other.wait_until_shown()
    job = scene.endless()
    other.task(job, "long", 1, "STARTED")
    first.process.terminate()
    assert first.wait(30).code == 0
    job.cancel()
    assert status_of(scene, job) == "cancelled"
    again = scene.stage.start("flower", "--port", str(port), **settings)
    wait_until(lambda: answers(other), within=START_WITHIN_S)
    other.task(job, "long", 1, "REVOKED")
    again.process.terminate()
    assert again.wait(30).code == 0


def answers(scene: Scene) -> bool:
    try:
        return bool(get_json(f"{scene.flower}/api/workers"))
    except OSError:
        return False


@pytest.fixture(scope="module")
def locked(scene: Scene) -> Iterator[str]:
    """A Flower with a password."""
    port = free_port()
    settings = {"TROUPE_REDIS_URL": scene.url, "TROUPE_HOME": str(scene.stage.folder / "locked")}
    flower = scene.stage.start("flower", "--port", str(port), FLOWER_BASIC_AUTH="ann:secret", **settings)
    address = f"http://127.0.0.1:{port}"
    wait_until(lambda: opened(f"{address}/healthcheck") == 200, within=START_WITHIN_S)
    yield address
    flower.process.terminate()
    assert flower.wait(30).code == 0


def opened(address: str, **headers: str) -> int:
    """The status of a page."""
    try:
        with urlopen(Request(address, headers=headers), timeout=10) as answer:  # noqa: S310 - on loopback
            return answer.status
    except HTTPError as error:
        return error.code
    except OSError:
        return 0


PAGES = ("workers", "tasks", "broker", "api/workers", "api/tasks")
RIGHT, WRONG = "Basic YW5uOnNlY3JldA==", "Basic YW5uOndyb25n"


@pytest.mark.parametrize("page", PAGES)
def test_a_flower_with_a_password_asks_for_it_everywhere(page: str, locked: str) -> None:
    assert opened(f"{locked}/{page}") == opened(f"{locked}/{page}", Authorization=WRONG) == 401
    assert opened(f"{locked}/{page}", Authorization=RIGHT) == 200


@pytest.mark.parametrize("button", ["task/revoke/x", "task/rate-limit/x", "task/send-task/x", "worker/shutdown/x"])
def test_its_buttons_too(button: str, locked: str) -> None:
    assert post(f"{locked}/api/{quote(button)}")[0] == 401


@pytest.mark.parametrize("variables", [{"FLOWER_ADDRESS": "0.0.0.0"}, {"FLOWER_UNIX_SOCKET": "/tmp/flower.sock"}])  # noqa: S104
def test_one_without_is_not_opened_to_others(variables: dict[str, Any], scene: Scene) -> None:
    done = scene.stage.troupe("flower", "--port", str(free_port()), **variables)
    assert done.code == 2
    assert "for everybody; set FLOWER_BASIC_AUTH=user:password" in done.complaint


def test_a_password_that_is_none_is_refused(scene: Scene) -> None:
    done = scene.stage.troupe("flower", "--port", str(free_port()), FLOWER_BASIC_AUTH="ann")
    assert (done.code, "must be user:password" in done.complaint) == (2, True)


def test_a_job_that_is_typed_into_the_search_is_found(scene: Scene, retried: JobHandle, page: Tab) -> None:
    page.page.goto(f"{scene.flower}/tasks")
    page.page.fill("input[type=search]", str(retried.id))
    page.page.get_by_text("1 to 4 of 4 tasks").wait_for()
    rows = page.page.locator("#tasks-table tbody tr")
    assert rows.count() == 4
    failed = rows.filter(has_text=f"{retried.id}:trip:1")
    assert "stumbled: stumbled over attempt 1" in failed.inner_text()
    assert "danger" in (failed.get_by_text("FAILURE").get_attribute("class") or "")
    assert page.problems == []


def test_a_retry_leads_back_to_what_failed(scene: Scene, retried: JobHandle, page: Tab) -> None:
    page.page.goto(f"{scene.flower}/task/{retried.id}:trip:2")
    page.page.locator(f'a[title="{retried.id}:trip:1"]').click()
    page.page.locator("dd .badge", has_text="FAILURE").wait_for()
    assert "stumbled: stumbled over attempt 1" in page.page.inner_text("#task-page")
    assert page.page.locator('a[title$=":plan:1"]').count() == 0  # nobody planned this job
    assert page.problems == []


def test_the_button_that_terminates_a_task_cancels_its_job(scene: Scene, page: Tab) -> None:
    job = scene.endless()
    task = scene.task(job, "long", 1, "STARTED")["uuid"]
    page.page.goto(f"{scene.flower}/task/{task}")
    page.page.click("#task-terminate")
    page.page.get_by_text(f"job {job.id} is cancelled, with all its steps").wait_for()
    scene.task(job, "long", 1, "REVOKED")
    page.page.reload()
    page.page.locator("dd .badge", has_text="REVOKED").wait_for()
    assert page.problems == []
    assert status_of(scene, job) == "cancelled"


def test_the_buttons_of_a_worker_say_what_they_did(scene: Scene, page: Tab) -> None:
    worker = scene.worker("napper")
    page.page.goto(f"{scene.flower}/worker/{worker}")
    page.page.click("#worker-pool-grow")
    page.page.get_by_text("pool by 1").wait_for()
    page.page.fill("#min-autoscale", "1")
    page.page.fill("#max-autoscale", "3")
    page.page.click("#worker-pool-autoscale")
    page.page.get_by_text("do not scale themselves").wait_for()
    page.page.click("#worker-pool-shrink")
    page.page.get_by_text("Shrinking").wait_for()
    page.page.click("#worker-tab-limits")
    page.page.locator("[id^=task-rate-limit-napper]").click()
    page.page.get_by_text("holds back calls, not messages").wait_for()
    refused = [said for said in page.problems if "403" not in said]  # Chromium notes each answer that is a refusal
    assert refused == []
