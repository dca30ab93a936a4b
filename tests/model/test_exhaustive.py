"""Every state that one job can get into while processes die, messages are lost and workers freeze.

`MODEL_FAULTS=more` adds one fault to each setting (minutes, gigabytes); `-rP` shows the number of states.
"""

import os
from typing import Final, NamedTuple

import pytest

from tasks.models import Join
from tasks.states import StepStatus
from tests.model.actions import Actions
from tests.model.explore import Explored, Search
from tests.model.store import Graph, graph_of
from tests.model.world import Faults
from tests.support.builders import a_graph

CHAIN: Final = graph_of(a_graph({"a": ()}))
"""One step, and the synthesis that depends on it."""
LONGER: Final = graph_of(a_graph({"a": (), "b": ("a",)}))
PAIR: Final = graph_of(a_graph({"a": (), "b": ()}))
"""Two steps side by side, and the synthesis that joins them."""
ANY: Final = graph_of(a_graph({"a": (), "b": (), "c": ("a", "b")}, joins={"c": Join.ANY}))
QUORUM: Final = graph_of(
    a_graph({"a": (), "b": (), "c": ("a", "b")}, joins={"c": Join.QUORUM}, each={"c": {"quorum": 2}})
)
OPTIONAL: Final = graph_of(a_graph({"a": (), "b": (), "c": ("a", "b")}, each={"a": {"optional": True}}))
LATE: Final = graph_of(a_graph({"a": (), "b": (), "c": ("a", "b")}, each={"c": {"join_ms": 1000}}))

MORE: Final = os.environ.get("MODEL_FAULTS") == "more"


class Setting(NamedTuple):
    """A plan, the faults that may happen, and how many states that has at least."""

    graph: Graph
    faults: Faults
    states: int
    busy: int = 1
    window: int = 0
    fallbacks: int = 0


SETTINGS: Final = {
    "two crashes, a loss, a duplicate": Setting(CHAIN, Faults(crashes=2, losses=1, duplicates=1), 63_000),
    "a frozen worker, a slow replica, a crash": Setting(CHAIN, Faults(freezes=1, take_overs=1, crashes=1), 30_000),
    "failures, a frozen worker, a slow replica": Setting(CHAIN, Faults(failures=1, freezes=1, take_overs=1), 10_000),
    "the end of the job, a frozen worker, a crash": Setting(CHAIN, Faults(ends=1, freezes=1, crashes=1), 15_000),
    "a drain, lost answers, a flushed broker": Setting(CHAIN, Faults(drains=1, answers=1, flushes=1, losses=1), 4_000),
    "nobody listens, a long queue, a crash": Setting(CHAIN, Faults(absences=1, waits=1, crashes=1), 7_500),
    "replicas that do much at once": Setting(CHAIN, Faults(crashes=1), 1_000, 2),
    "a longer chain": Setting(LONGER, Faults(crashes=1, failures=1), 5_000),
    "a join, a crash, a loss": Setting(PAIR, Faults(crashes=1, losses=1), 9_000),
    "a join that is cancelled": Setting(PAIR, Faults(freezes=1, ends=1), 9_000),
    "a queue with one slot": Setting(PAIR, Faults(crashes=1, freezes=1), 5_000, 1, 1),
    "a fallback, a crash, a loss": Setting(CHAIN, Faults(failures=1, crashes=1, losses=1), 5_000, fallbacks=1),
    "a fallback, a wait too long, a slow replica": Setting(
        CHAIN, Faults(overdues=1, take_overs=1, crashes=1), 18_000, fallbacks=1
    ),
    "a fallback in a line": Setting(PAIR, Faults(overdues=1, failures=1), 5_000, 1, 1, 1),
    "a retry by hand, a frozen worker": Setting(CHAIN, Faults(failures=1, freezes=1, retries=1), 3_000),
    "a retry by hand, a slow replica": Setting(CHAIN, Faults(failures=1, take_overs=1, retries=1), 2_500),
    "a retry by hand in a join": Setting(PAIR, Faults(failures=1, retries=1), 2_000),
    "a retry by hand after the deadline": Setting(PAIR, Faults(failures=1, ends=1, retries=1), 2_000),
    "a retry by hand behind a join of any": Setting(ANY, Faults(failures=1, retries=1), 2_000),
    "a join of any, a failure": Setting(ANY, Faults(failures=1), 10_000),
    "a join of any, a frozen worker": Setting(ANY, Faults(freezes=1), 13_000),
    "a quorum, a failure": Setting(QUORUM, Faults(failures=1), 2_000),
    "a quorum, a retry by hand": Setting(QUORUM, Faults(failures=1, retries=1), 1_000),
    "an optional step, a failure": Setting(OPTIONAL, Faults(failures=1), 2_000),
    "an optional step, a retry by hand": Setting(OPTIONAL, Faults(failures=1, retries=1), 1_000),
    "a join with a deadline, a failure": Setting(LATE, Faults(failures=1), 5_000),
    "a join with a deadline, the end of the job": Setting(LATE, Faults(ends=1), 5_000),
    "a join with a deadline, a retry by hand": Setting(LATE, Faults(failures=1, retries=1), 1_000),
}

GUARDS: Final = {
    "claim.status": (Faults(waits=1, crashes=1), "two workers run one attempt"),
    "claim.attempt": (Faults(waits=1, crashes=1), "a stale attempt was heard: claim"),
    "settle.status": (Faults(freezes=1), "no move leads from delayed to succeeded"),
    "settle.attempt": (Faults(freezes=1), "a stale attempt was heard: settle"),
    "postpone.status": (Faults(freezes=1, ends=1), "a final job changed"),
    "postpone.attempt": (Faults(crashes=2, take_overs=1), "a stale attempt was heard: postpone"),
    "give_up.status": (Faults(failures=1, take_overs=1), "a final job changed"),
    "give_up.attempt": (Faults(absences=1, waits=1, crashes=1), "a stale attempt was heard: give_up"),
    "fall_back.status": (Faults(overdues=1), "no move leads from succeeded to ready"),
    "fall_back.attempt": (Faults(absences=1, waits=1, crashes=1), "a stale attempt was heard: fall_back"),
    "reopen.status": (Faults(retries=1), "a retry changed a step"),
    "left_out": (Faults(failures=1, take_overs=1, retries=1), "not stale"),
    "dispatch.status": (Faults(ends=1), "a final job changed"),
    "dispatch.attempt": (Faults(freezes=1, take_overs=1), "a stale attempt was heard: dispatch"),
    "extend.revision": (Faults(take_overs=1), "the counters of the job are wrong"),
    "end_job.status": (Faults(ends=2), "a final job changed"),
    "release": (Faults(crashes=1), "a slot is lost"),
    "delete.after": (Faults(crashes=1), "is forgotten"),
    "republish": (Faults(losses=1), "no way leads to a final job"),
}
"""What happens without each guard, and the faults that it takes."""


def explore(setting: Setting) -> Explored:
    faults = setting.faults
    if MORE:
        faults = faults._replace(crashes=faults.crashes + 1, waits=faults.waits + 1)
    return Search(
        Actions(setting.graph, busy=setting.busy, window=setting.window, fallbacks=setting.fallbacks), faults
    ).run()


@pytest.mark.timeout(0 if MORE else 300)
@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_no_reachable_state_breaks_a_promise_and_each_has_a_way_to_the_end(setting: Setting) -> None:
    found = explore(setting)
    print(f"{found.states} states, {found.actions} actions")
    assert not found.violation, found
    assert found.whole
    assert found.states >= setting.states


def test_the_settings_together_have_many_states() -> None:
    assert sum(setting.states for setting in SETTINGS.values()) > 150_000


@pytest.mark.timeout(300)
@pytest.mark.parametrize("guard", GUARDS)
def test_without_a_guard_a_promise_is_broken(guard: str) -> None:
    """The check can fail: it finds what each guard is there for."""
    faults, violation = GUARDS[guard]
    found = Search(Actions(CHAIN, off=(guard,), fallbacks=guard.startswith("fall_back")), faults).run()
    assert violation in found.violation, found


def test_the_search_meets_every_status_and_every_script() -> None:
    search = Search(Actions(LONGER), Faults(failures=1, ends=1))
    assert not search.run().violation
    statuses = {step.status for world in search.worlds for step in world.store.steps}
    assert statuses == set(StepStatus) - {StepStatus.PARKED}
    done = {str(label[0]) for world in search.worlds for label, _ in search.actions.following(world)}
    scripts = {"submit", "extend", "dispatch", "claim", "heartbeat", "settle", "postpone", "give_up", "end_job"}
    assert done >= scripts | {"sweep", "publish", "done"}
