"""What a producer may ask for, checked before anything is sent."""

from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import SecretStr

from orchestrator.client import AsyncTroupe
from orchestrator.request import checked_spec as spec
from orchestrator.request import milliseconds
from tasks.errors import BadTable, ContractError, InvalidId, InvalidTask
from tasks.ids import JobId, partition_of
from tasks.models import JobSpec, Plan, PlannedStep, Step
from tasks.settings import StoreSettings
from tasks.store import JobStore, Store, Turn

JOB = JobId("j0123456789abcdefgh3")


class FakeJobs:
    """Keeps what is submitted."""

    def __init__(self) -> None:
        self.submitted: list[tuple[JobSpec, Step | None]] = []
        self.turns: list[Turn | None] = []

    async def submit(
        self, one: JobSpec, first: Step | None, turn: Turn | None, *, open_jobs: int | None = None
    ) -> JobId:
        self.submitted.append((one, first))
        self.turns.append(turn)
        return one.id


class FakeStore:
    """Keeps the arguments of moves."""

    def __init__(self) -> None:
        self.settings = StoreSettings()
        self.arguments: list[str | int] = []

    async def move(
        self, _script: object, _partition: int, args: list[str | int], *, key: str, accepts: bool
    ) -> list[str]:
        assert accepts
        self.arguments = args
        return [str(args[0]), "1", ""]

    @property
    def keys(self) -> Any:
        from tasks.store.keys import Keys

        return Keys("test")


def client() -> tuple[AsyncTroupe, FakeJobs]:
    troupe, jobs = AsyncTroupe(settings=StoreSettings(redis_url=SecretStr("redis://nowhere"))), FakeJobs()
    troupe._jobs = cast(JobStore, jobs)  # pyright: ignore[reportPrivateUsage]
    return troupe, jobs


@pytest.mark.parametrize("task", ["", " \n\t", "\u00a0"])
def test_an_empty_task_is_refused(task: str) -> None:
    with pytest.raises(InvalidTask, match="the task is empty"):
        spec(JOB, task)


def test_a_task_is_trimmed_before_it_is_measured() -> None:
    assert spec(JOB, f"  {'x' * 100_000}\n").task == "x" * 100_000
    with pytest.raises(InvalidTask, match="100,001 characters; at most 100,000"):
        spec(JOB, "x" * 100_001)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"knowledge": ("No Name",)}, "knowledge: "),
        ({"budget_microusd": -1}, "budget_microusd: "),
        ({"idempotency_key": ""}, "idempotency_key: "),
        ({"idempotency_key": "x" * 201}, "idempotency_key: "),
        ({"plan": 5}, "plan: "),
        ({"model": 5, "knowledge": 5}, "model: .*; knowledge: "),
    ],
)
def test_a_wrong_argument_is_named(values: dict[str, object], words: str) -> None:
    with pytest.raises(ContractError, match=f"the job cannot be accepted: {words}"):
        spec(JOB, "Why?", **values)


def test_a_task_that_is_no_text_is_refused() -> None:
    with pytest.raises(ContractError, match="task: Input should be a valid string"):
        spec(JOB, "half a pair \ud800")


@pytest.mark.parametrize(
    ("timeout", "expected"),
    [(1, 1000), (0.0004, 1), (timedelta(minutes=1), 60_000), (7 * 86_400, 604_800_000), (0.1, 100)],
)
def test_a_timeout_becomes_milliseconds_and_is_never_nothing(timeout: float | timedelta, expected: int) -> None:
    assert milliseconds(timeout) == expected


@pytest.mark.parametrize(
    "timeout",
    [0, -1, 1e-9, 7 * 86_400 + 0.001, 1e300, float("inf"), float("-inf"), float("nan"), timedelta(0), timedelta(8)],
)
def test_a_timeout_that_is_none_is_refused(timeout: float | timedelta) -> None:
    with pytest.raises(ContractError, match="timeout: it must be above 0 and at most 7 days"):
        milliseconds(timeout)


@pytest.mark.parametrize("budget", [float("nan"), float("inf"), 1e303, -0.01])
async def test_a_budget_that_is_no_amount_is_refused(budget: float) -> None:
    troupe, jobs = client()
    with pytest.raises(ContractError, match="budget"):
        await troupe.submit("Why?", budget_usd=budget)
    assert jobs.submitted == []


@pytest.mark.parametrize(("budget", "micro"), [(None, None), (0, 0), (0.5, 500_000), (0.1 + 0.2, 300_000)])
async def test_a_budget_is_kept_in_micro_dollars(budget: float | None, micro: int | None) -> None:
    troupe, jobs = client()
    await troupe.submit("Why?", budget_usd=budget)
    assert jobs.submitted[0][0].budget_microusd == micro


async def test_a_job_begins_with_a_planning_step_unless_it_brings_its_plan() -> None:
    troupe, jobs = client()
    await troupe.submit("Why?")
    await troupe.submit("Why?", plan=Plan(steps=[PlannedStep(id="a", description="x", agent="search")]))
    assert [first.id if first else None for _, first in jobs.submitted] == ["plan", None]


async def test_the_same_key_always_goes_to_the_same_partition() -> None:
    troupe, jobs = client()
    for _ in range(20):
        await troupe.submit("Why?", idempotency_key="order-17")
    assert len({partition_of(one.id) for one, _ in jobs.submitted}) == 1
    assert len({one.id for one, _ in jobs.submitted}) == 20


async def test_data_files_are_looked_at_before_anything_is_sent(tmp_path: Path) -> None:
    troupe, jobs = client()
    with pytest.raises(BadTable):
        await troupe.submit("Why?", data=[tmp_path / "none.csv"])
    assert jobs.submitted == []


async def test_what_is_no_job_id_gets_no_handle() -> None:
    troupe, _ = client()
    with pytest.raises(InvalidId):
        troupe.job("5")
    assert repr(troupe.job(JOB)) == f"<job {JOB}>"


async def test_the_stored_request_carries_its_version() -> None:
    store = FakeStore()
    await JobStore(cast(Store, store)).submit(spec(JOB, "Why?"), None)
    stored = str(store.arguments[1])
    assert '"version":1' in stored
    assert JobSpec.model_validate_json(stored) == spec(JOB, "Why?")
