"""Everything around the store that can differ: messages, workers, replicas, and how many faults are still to come."""

from typing import NamedTuple

from tests.model.store import Entry, StoreState


class Faults(NamedTuple):
    """How often each may still happen. What is not here may happen at any time, as often as it can."""

    crashes: int = 0
    """A worker or a replica dies, between any two of its atomic actions, and a new one stands in for it."""
    losses: int = 0
    """A message is lost."""
    flushes: int = 0
    """All messages are lost."""
    duplicates: int = 0
    """A message is delivered once more."""
    freezes: int = 0
    """A lease runs out while its worker lives, which wakes up later and settles."""
    waits: int = 0
    """A message is looked for although it is only slow."""
    take_overs: int = 0
    """An entry is taken over from a replica that is slow, not dead."""
    answers: int = 0
    """The answer to a claim or a settle is lost, after it was made."""
    drains: int = 0
    """A worker hands its attempt back."""
    failures: int = 0
    """An attempt fails, for good or in a way that may pass."""
    absences: int = 0
    """Nobody has listened on the queue for too long."""
    ends: int = 0
    """The job is cancelled, or its deadline passes."""
    overdues: int = 0
    """A step waits for a worker for longer than it may."""
    retries: int = 0
    """A step that was given up is retried by hand."""


class Worker(NamedTuple):
    """What a worker is at: an attempt that it has received, or (claimed) works on."""

    claimed: bool
    step: int
    attempt: int


class Handler(NamedTuple):
    """What a replica has still to do about an entry that it has begun."""

    todo: str
    entry: Entry


class World(NamedTuple):
    """One state of everything. Workers are alike, and so are replicas: their order means nothing."""

    store: StoreState
    messages: tuple[tuple[int, int], ...]
    workers: tuple[Worker, ...]
    """Those that are busy."""
    replicas: tuple[tuple[Handler, ...], ...]
    """The entries that each has begun."""
    commits: tuple[int, ...]
    """How often a result of each step was accepted."""
    faults: Faults
