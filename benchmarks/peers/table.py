"""The peers: what is installed for each, and what it keeps when it dies."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Peer:
    """One other framework."""

    name: str
    packages: tuple[str, ...]
    processes: int
    durable: str
    """What survives the death of its process."""
    jobs: int
    window: int


PEERS: Final = (
    Peer(
        "langgraph",
        ("langgraph>=1.2,<2", "langgraph-checkpoint-sqlite>=3.1,<4"),
        1,
        "a checkpoint after each superstep, in a SQLite file; another call has to resume it",
        120,
        8,
    ),
    Peer(
        "dbos",
        ("dbos>=3.4,<4",),
        1,
        "each step's result, in a SQLite file; a new process on it resumes workflows",
        120,
        8,
    ),
    Peer(
        "prefect",
        ("prefect>=3.8,<4", "fastapi>=0.139,<0.141"),
        2,
        "states of flows and tasks, on a local server; flows are started again by hand",
        10,
        2,
    ),
)
