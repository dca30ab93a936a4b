"""Remote control commands of a worker: what they change, and what they answer."""

import signal
import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest
from celery.worker.control import Panel

from tasks.errors import StoreUnavailable
from tests.unit.attempts import REF
from workers import controls
from workers.agents.base import Agent
from workers.agents.registry import AgentRegistry
from workers.controls import MAX_THREADS, REFUSED, Controls
from workers.pool import ThreadPool


class FakeProcess:
    """A worker process that keeps what it is told."""

    def __init__(self) -> None:
        self.agents = AgentRegistry(
            [
                Agent(name="search", description="Looks."),
                Agent(name="critic", description="Doubts.", queue="search", version="2"),
                Agent(name="finance", description="Prices."),
            ]
        )
        self.presence = SimpleNamespace(queues=("search",))
        self.sizes: list[int] = []
        self.answers: list[tuple[bool, str] | Exception] = []
        self.loop = SimpleNamespace(run=self._run)
        self.store = None
        self.running_told = 0
        self.shown = SimpleNamespace(tell_running=self._tell)

    def resize(self, concurrency: int) -> None:
        self.sizes.append(concurrency)

    def listen(self, queues: list[str]) -> None:
        self.presence = SimpleNamespace(queues=tuple(queues))

    def _run(self, work: Any) -> tuple[bool, str]:
        work.close()
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _tell(self) -> None:
        self.running_told += 1


class Consumer:
    """Celery's consumer, as far as the commands use it."""

    def __init__(self) -> None:
        self.pool = ThreadPool(4)
        self.listening: list[str] = []
        self.prefetch = 0
        self.queues = SimpleNamespace(select_add=lambda queue: queue)  # pyright: ignore[reportUnknownLambdaType]

    @property
    def size(self) -> int:
        return cast(Any, self.pool).num_processes

    def add_task_queue(self, name: str) -> None:
        self.listening.append(name)

    def cancel_task_queue(self, name: str) -> None:
        self.listening.remove(name)

    def _update_prefetch_count(self, change: int) -> None:
        self.prefetch += change


class Scene:
    """Commands of a worker on the queue `search`."""

    def __init__(self) -> None:
        self.process = FakeProcess()
        self.consumer = Consumer()
        amqp = SimpleNamespace(queues=self.consumer.queues)
        self.state = SimpleNamespace(consumer=self.consumer, app=SimpleNamespace(amqp=amqp))
        self.controls = Controls(cast(Any, self.process), lambda name: name)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_growing_lets_more_attempts_run_at_a_time(scene: Scene) -> None:
    assert scene.controls.pool_grow(scene.state, 3) == {"ok": "7 attempts at a time"}
    assert (scene.consumer.size, scene.consumer.prefetch, scene.process.sizes) == (7, 3, [7])
    assert scene.consumer.pool.info["max-concurrency"] == 7


def test_shrinking_lets_fewer(scene: Scene) -> None:
    assert scene.controls.pool_shrink(scene.state, 3) == {"ok": "1 attempts at a time"}
    assert (scene.consumer.size, scene.consumer.prefetch, scene.process.sizes) == (1, -3, [1])


@pytest.mark.parametrize("change", [-4, -40, MAX_THREADS])
def test_a_pool_has_at_least_one_thread_and_not_too_many(change: int, scene: Scene) -> None:
    assert "cannot become" in scene.controls.pool_grow(scene.state, change)["error"]
    assert (scene.consumer.size, scene.consumer.prefetch, scene.process.sizes) == (4, 0, [])


def test_a_pool_that_has_grown_has_threads_for_it() -> None:
    pool, meeting = ThreadPool(1), threading.Barrier(3, timeout=10)
    pool.grow(2)
    waiting = [pool.on_apply(meeting.wait, (), {}, print).f for _ in range(3)]  # for each other
    assert [one.exception() for one in waiting] == [None, None, None]
    pool.shrink(2)
    assert pool.info == {**pool.info, "max-concurrency": 1, "threads": 3}
    pool.on_stop()


def test_a_further_queue_is_consumed_with_those_of_its_agents_versions(scene: Scene) -> None:
    assert scene.controls.add_consumer(scene.state, "finance") == {"ok": "add consumer finance"}
    assert scene.consumer.listening == ["finance", "finance@1"]
    assert scene.process.presence.queues == ("search", "finance")
    assert scene.controls.add_consumer(scene.state, "finance") == {"ok": "already consuming from finance"}
    assert scene.consumer.listening == ["finance", "finance@1"]


def test_a_queue_that_feeds_no_agent_here_is_not_consumed(scene: Scene) -> None:
    assert scene.controls.add_consumer(scene.state, "typo") == {
        "error": "no agent of this worker is fed by queue 'typo'; there are: finance, search"
    }
    assert scene.consumer.listening == []


def test_a_queue_is_left_with_those_of_its_agents_versions(scene: Scene) -> None:
    scene.controls.add_consumer(scene.state, "finance")
    scene.consumer.listening += ["search", "search@1", "search@2"]
    assert scene.controls.cancel_consumer(scene.state, "search") == {"ok": "no longer consuming from search"}
    assert scene.consumer.listening == ["finance", "finance@1"]
    assert scene.process.presence.queues == ("finance",)


def test_the_last_queue_and_a_foreign_one_are_not_left(scene: Scene) -> None:
    assert "only queue" in scene.controls.cancel_consumer(scene.state, "search")["error"]
    assert "does not consume" in scene.controls.cancel_consumer(scene.state, "finance")["error"]
    assert scene.process.presence.queues == ("search",)


def test_one_task_is_revoked_or_many(scene: Scene) -> None:
    scene.process.answers = [(True, "cancelled"), (True, "cancelled"), (False, "it is over")]
    assert scene.controls.revoke(scene.state, REF.task_id, terminate=True, signal="TERM") == {"ok": "cancelled"}
    assert scene.controls.revoke(scene.state, [REF.task_id, REF.task_id]) == {"ok": "cancelled; it is over"}


def test_terminating_is_the_same(scene: Scene) -> None:
    scene.process.answers = [(True, "cancelled")]
    assert scene.controls.terminate(scene.state, "KILL", REF.task_id) == {"ok": "cancelled"}


def test_what_cannot_be_revoked_is_said(scene: Scene) -> None:
    scene.process.answers = [(False, "it is over"), StoreUnavailable("it is away")]
    assert scene.controls.revoke(scene.state, REF.task_id) == {"error": "it is over"}
    assert scene.controls.revoke(scene.state, REF.task_id) == {"error": f"{REF.task_id}: it is away"}
    assert scene.controls.revoke(scene.state, "abc") == {"error": "'abc' is no task of Troupe"}
    assert scene.controls.revoke(scene.state, []) == {"error": "no task was named"}


def test_shutting_down_is_a_sigterm_to_itself(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    monkeypatch.setattr(controls.os, "kill", lambda _, number: sent.append(number))  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    scene.controls.shutdown(scene.state)
    assert sent == [signal.SIGTERM]


@pytest.fixture
def panel(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    known: dict[str, Any] = dict(cast(Any, Panel).data)
    monkeypatch.setattr(Panel, "data", known)
    monkeypatch.setattr(Panel, "meta", dict(cast(Any, Panel).meta))
    return known


def test_celerys_commands_are_replaced(scene: Scene, panel: dict[str, Any]) -> None:
    """What Celery does by itself would leave the store untold of it."""
    before = dict(panel)
    scene.controls.install()
    changed = {name for name in panel if panel[name] is not before.get(name)}
    assert changed >= {"revoke", "terminate", "shutdown", "pool_grow", "pool_shrink", "add_consumer"} | set(REFUSED)
    for name, reason in REFUSED.items():
        assert panel[name](scene.state, anything=1) == {"error": reason}


def test_who_asks_for_events_is_told_of_what_runs(scene: Scene, panel: dict[str, Any]) -> None:
    scene.controls.install()
    scene.state.consumer.event_dispatcher = SimpleNamespace(groups={"worker"})  # pyright: ignore[reportAttributeAccessIssue]
    assert panel["enable_events"](scene.state) == {"ok": "task events enabled"}
    assert scene.process.running_told == 1
