"""Breadth-first search of every reachable world, with the shortest way to the first that breaks a promise."""

from array import array
from dataclasses import dataclass, field

from tasks.states import FINAL_JOB
from tests.model.actions import Actions, Label
from tests.model.properties import broken
from tests.model.store import StoreState
from tests.model.world import Faults, World


@dataclass(slots=True)
class Explored:
    """What a search has found."""

    states: int = 0
    actions: int = 0
    whole: bool = False
    """Whether there was nothing more to look at."""
    violation: str = ""
    trace: list[str] = field(default_factory=list[str])
    """The shortest way to the violation."""

    def __str__(self) -> str:
        """Lines to read in a failed test."""
        return "\n  ".join([f"{self.violation or 'nothing'} after {self.states} states:", *self.trace])


class Search:
    """One search. Equal stores are kept once."""

    def __init__(self, actions: Actions, faults: Faults, *, at_most: int = 0) -> None:
        self.actions = actions
        self.at_most = at_most
        start = actions.start(faults)
        self.worlds = [start]
        self.numbers = {start: 0}
        self.parents: list[tuple[int, Label]] = [(-1, ("start",))]
        self.fair = (array("l"), array("l"))
        """Actions that are no faults: from, to."""
        self.stores: dict[StoreState, StoreState] = {}

    def run(self) -> Explored:
        """Look at all worlds, or stop at the first that breaks a promise; then look for worlds without a way out."""
        found = Explored()
        at = 0
        while at < len(self.worlds) and not (self.at_most and len(self.worlds) > self.at_most):
            found.actions += self._expand(at, found)
            if found.violation:
                break
            at += 1
        found.states = len(self.worlds)
        found.whole = at == len(self.worlds)
        if found.whole:
            self._find_stuck(found)
        return found

    def _expand(self, at: int, found: Explored) -> int:
        world, count = self.worlds[at], 0
        for label, after in self.actions.following(world):
            count += 1
            number = self.numbers.get(after)
            if number is None:
                number = self._add(after, at, label)
            for violation in broken(self.actions.graph, world, label, after):
                found.violation = violation
                found.trace = [*self._way_to(at), _text(label)]
                return count
            if after.faults == world.faults and number != at:
                self.fair[0].append(at)
                self.fair[1].append(number)
        return count

    def _add(self, world: World, parent: int, label: Label) -> int:
        number = len(self.worlds)
        world = world._replace(store=self.stores.setdefault(world.store, world.store))
        self.worlds.append(world)
        self.numbers[world] = number
        self.parents.append((parent, label))
        return number

    def _find_stuck(self, found: Explored) -> None:
        """From every world a way without further faults leads to a final job of which nothing is left to do."""
        back: list[list[int]] = [[] for _ in self.worlds]
        for source, target in zip(*self.fair, strict=True):
            back[target].append(source)
        work = [at for at, world in enumerate(self.worlds) if is_over(world)]
        reached = bytearray(len(self.worlds))
        for at in work:
            reached[at] = 1
        while work:
            for source in back[work.pop()]:
                if not reached[source]:
                    reached[source] = 1
                    work.append(source)
        stuck = reached.find(0)
        if stuck >= 0:
            found.violation, found.trace = "no way leads to a final job", self._way_to(stuck)

    def _way_to(self, at: int) -> list[str]:
        way: list[str] = []
        while at > 0:
            at, label = self.parents[at]
            way.append(_text(label))
        return way[::-1]


def is_over(world: World) -> bool:
    """The job is final and nobody is left with anything of it."""
    store = world.store
    return store.status in FINAL_JOB and not (store.control or world.messages or world.workers or any(world.replicas))


def _text(label: Label) -> str:
    return " ".join(str(part) for part in label)
