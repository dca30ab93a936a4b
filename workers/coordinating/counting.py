"""Votes: what each answer is a vote for, and who wins. Pure."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from tasks.patterns.forms import How

_WORDS = re.compile(r"[^\W_]+")


class Ballot(NamedTuple):
    """One answer."""

    voter: str
    text: str
    weight: float = 1.0


class Result(NamedTuple):
    """How the votes came out."""

    winner: str | None
    """None: nobody has what it takes."""
    first: str
    """Whoever voted for the winner first."""
    votes: dict[str, float]
    """By what was voted for, in the order in which it first was."""
    tied: tuple[str, ...]
    """All that had as much as the winner, if there were several."""


def choice_of(text: str, choices: Sequence[str]) -> str:
    """What an answer is a vote for: the choice that stands in it first, as whole words; else all its words."""
    said = " ".join(_WORDS.findall(text.casefold()))
    if not choices:
        return said
    places = {one: f" {said} ".find(f" {' '.join(_WORDS.findall(one.casefold()))} ") for one in choices}
    found = [(place, one) for one, place in places.items() if place >= 0]
    return min(found)[1] if found else ""


def count(ballots: Sequence[Ballot], how: How) -> Result:
    """The winner by the rules; of equals the one that was voted for first. An answer that is no choice is no vote."""
    votes: dict[str, float] = {}
    first: dict[str, str] = {}
    for ballot in ballots:
        choice = choice_of(ballot.text, how.choices)
        if choice:
            votes[choice] = votes.get(choice, 0) + (ballot.weight if how.rule == "weighted" else 1)
            first.setdefault(choice, ballot.voter)
    if not votes:
        return Result(None, "", votes, ())
    most = max(votes.values())
    best = [one for one, number in votes.items() if number == most]
    if how.rule == "quorum" and most < how.quorum:
        return Result(None, "", votes, tuple(best))
    return Result(best[0], first[best[0]], votes, tuple(best) if len(best) > 1 else ())
