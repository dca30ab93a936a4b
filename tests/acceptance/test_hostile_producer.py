"""Somebody who may write to the broker and the control streams: no code of theirs runs, and the fleet goes on."""

import base64
import bz2
import json
import pickle
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.local.redis_server import RedisServer
from tests.acceptance.hand_made import HandMade, completed, hand_made, log_of
from tests.acceptance.stage import Stage
from tests.support.servers import client

SECRET = "geheim-4711"
OTHER_JOB = "j" + "0" * 19


class Bomb:
    """What a pickle runs when it is loaded."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return (Path.touch, (self.marker,))


def message(body: bytes, *, task: str = "napper", kind: str = "application/json", **headers: object) -> str:
    """A Celery message, as kombu writes it to Redis."""
    said = {"lang": "py", "task": task, "id": f"{OTHER_JOB}:nap-0:1", "root_id": "r", "parent_id": None, "group": None}
    properties = {
        "correlation_id": "c",
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": "napper"},
        "priority": 0,
        "body_encoding": "base64",
        "delivery_tag": "t",
    }
    return json.dumps(
        {
            "body": base64.b64encode(body).decode(),
            "content-encoding": "utf-8",
            "content-type": kind,
            "headers": {**said, **headers},
            "properties": properties,
        }
    )


def arguments(**kwargs: object) -> bytes:
    """The body of a message with these keyword arguments."""
    return json.dumps([[], kwargs, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]).encode()


def hostile(marker: Path, victim: str) -> list[str]:
    """Messages; `victim` is a job of somebody else's, which runs."""
    pickled = pickle.dumps(Bomb(marker))
    forged = {"v": 1, "job": victim, "step": "nap-0", "attempt": 1, "goal": "g"}
    return [
        message(pickled, kind="application/x-python-serialize"),
        message(pickled, kind="application/x-python-serialize", **{"content-encoding": "binary"}),
        message(pickled, kind="application/x-yaml"),
        message(b"!!python/object/apply:os.system ['id']", kind="application/x-yaml"),
        message(pickled, kind="application/data"),
        message(b"[" * 200_000),
        message(b"[[], {}, " + b'{"a":' * 50_000),
        message(arguments(**forged) + b"x" * 100),
        message(arguments(**{**forged, "goal": SECRET * 100_000})),
        message(arguments(v=1, job="../../" + victim, step="nap-0", attempt=1, goal=SECRET)),
        message(arguments(v=1, job=OTHER_JOB, step="nap-0", attempt=1, goal="g")),
        message(arguments(**{**forged, "attempt": 2})),
        message(arguments(**{**forged, "attempt": 10**30})),
        message(arguments(**{**forged, "step": "no-such-step"})),
        message(arguments(**forged)),
        message(arguments(__class__="os.system", args=["id"])),
        message(json.dumps([["positional"], {}, {}]).encode()),
        message(arguments(**forged), task="os.system"),
        message(arguments(**forged), task="celery.map"),
        message(arguments(**forged), task="celery.backend_cleanup"),
        message(arguments(**forged), eta="9999-12-31T00:00:00"),
        message(arguments(**forged), expires="yesterday"),
        message(arguments(**forged), timelimit=["x", "y"]),
        message(arguments(**forged), retries="many"),
        message(zlib.compress(b" " * 400_000_000, 9), compression="application/x-gzip"),
        message(bz2.compress(b" " * 1_000_000), compression="application/x-bz2"),
        message(b"x", compression="no-such"),
    ]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    made = RedisServer.start(tmp_path / "r", append_only=False)
    yield made
    made.stop()


def test_a_hostile_producer_runs_no_code_and_stops_nobody(stage: Stage, server: RedisServer, tmp_path: Path) -> None:
    with hand_made(stage, server.url) as fleet:
        store: Any = client(server.url)
        broker: Any = client(server.url.replace("db=0", "db=1"))
        victim = fleet.naps("1", "0.1")
        fleet.napping(victim)
        for one in hostile(tmp_path / "marker", str(victim.id)):
            broker.lpush("napper", one)
        for control in store.scan_iter("*:control"):
            for fields in ({"x": "y"}, {"kind": "step_ready", "job": "x", "step": "", "attempt": "x", "data": ""}):
                store.xadd(control, fields)
        completed([victim, fleet.naps("0.1")])
        assert broker.llen("napper") == 0
        assert [one.process.poll() for one in (fleet.orchestrator, *fleet.workers)] == [None, None]
        assert not (tmp_path / "marker").exists()
        said = log_of(stage)
        assert "entry_unreadable" in said
        assert SECRET not in said
        assert peak_mb(fleet) < 500
        assert len(fleet.starts()) == len(set(fleet.starts())) == 3


def peak_mb(fleet: HandMade) -> int:
    """The most memory that the worker has had."""
    lines = Path(f"/proc/{fleet.workers[0].pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) // 1024
