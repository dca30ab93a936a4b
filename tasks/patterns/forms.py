"""What patterns say. They nest: wherever a part is wanted, any of them may stand."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue, model_validator

from tasks.models import Join, Name, RetryPolicy
from tasks.wire import Wire

MAX_ROUNDS = 20
"""Most rounds of a pattern that goes round; the coordinator's step is begun anew for each."""

Rounds = Annotated[int, Field(ge=1, le=MAX_ROUNDS)]


class Work(Wire):
    """One step of one agent."""

    kind: Literal["work"] = "work"
    task: str
    """What to do, complete in itself."""
    agent: Name | None = None
    capability: str | None = None
    """What the agent must be able to do, if no name is given; of several the one with the shortest queue."""
    id: str | None = None
    """Id of the step; made from the agent's name unless given."""
    fallback: Name | tuple[Name, ...] | None = None
    """Agents that take it over when it would be given up, one after the other."""
    optional: bool = False
    """Whether those that depend on it do without it when it does not succeed."""
    timeout_ms: int = Field(default=0, ge=0)
    retry: RetryPolicy | None = None
    input: JsonValue = None
    """What an agent that is code is told beside the task."""


class Chain(Wire):
    """One part after the other; each gets the result of the one before."""

    kind: Literal["chain"] = "chain"
    parts: tuple["Part", ...] = Field(min_length=1)


class Parallel(Wire):
    """All parts at the same time."""

    kind: Literal["parallel"] = "parallel"
    parts: tuple["Part", ...] = Field(min_length=1)
    join: Join = Join.BEST_EFFORT
    """When that which comes behind may begin."""
    quorum: int = Field(default=0, ge=0)
    """How many must succeed, with `join` quorum; 0: more than half."""
    within_ms: int = Field(default=0, ge=0)
    """How long the parts are waited for; 0: without limit."""
    merge: Work | None = None
    """A step that makes one result of theirs."""


class Rule(Wire):
    """Chooses a part when a regular expression is found in the text, whatever the case of its letters."""

    pattern: str
    choice: str


class Route(Wire):
    """One of several parts, chosen by rules, else by a model."""

    kind: Literal["route"] = "route"
    choices: dict[str, "Part"] = Field(min_length=1)
    about: dict[str, str] = Field(default_factory=dict)
    """What each choice is for, for a model that chooses; made from the part unless given."""
    rules: tuple[Rule, ...] = ()
    """Tried in their order, before any model is asked."""
    by_model: bool = True
    otherwise: str | None = None
    """The choice when no rule fits and no model is asked, or it names none that there is, twice."""

    @model_validator(mode="after")
    def _names_there_are(self) -> "Route":
        named = [rule.choice for rule in self.rules] + ([self.otherwise] if self.otherwise else [])
        unknown = sorted({*named, *self.about} - set(self.choices))
        if unknown:
            raise ValueError(f"no such choice: {', '.join(unknown)}; there are: {', '.join(self.choices)}")
        return self


class How(Wire):
    """How votes are counted."""

    rule: Literal["majority", "quorum", "weighted", "judge"] = "majority"
    quorum: int = Field(default=0, ge=0)
    """Votes that the winner needs, with `rule` quorum."""
    weights: tuple[float, ...] = ()
    """Weight of each candidate's vote, with `rule` weighted."""
    choices: tuple[str, ...] = ()
    """What may be voted for: the first of them that stands in an answer is its vote. Empty: the whole answer is."""
    judge_ties: bool = False
    """Whether a model decides between equals; else the one that was voted for first wins."""


class Vote(Wire):
    """Several answers to the same question, and the one that wins."""

    kind: Literal["vote"] = "vote"
    candidates: tuple["Part", ...] = Field(min_length=1)
    how: How = How()

    @model_validator(mode="after")
    def _weighed(self) -> "Vote":
        if self.how.rule == "weighted" and len(self.how.weights) != len(self.candidates):
            raise ValueError(f"{len(self.how.weights)} weights for {len(self.candidates)} candidates")
        if self.how.rule == "quorum" and not 0 < self.how.quorum <= len(self.candidates):
            raise ValueError(f"a quorum of {self.how.quorum} among {len(self.candidates)} candidates")
        return self


class Orchestrate(Wire):
    """A model plans, agents work, and one of them makes one result of it; after failures it may plan again."""

    kind: Literal["orchestrate"] = "orchestrate"
    task: str
    synthesise: Work | None = None
    rounds: Rounds = 1
    """Plans at most. What succeeded is kept: a later plan may build on it and does only what is missing."""
    check: bool = False
    """Whether a model says if the results suffice; else a further plan is made only after failures."""


class Supervise(Wire):
    """A model says who does what next, sees what came of it, and goes on until it is done."""

    kind: Literal["supervise"] = "supervise"
    task: str
    workers: dict[str, "Part"] = Field(min_length=1)
    """Parts by names that the supervisor uses; their own tasks say what they are for."""
    rounds: Rounds = 5


class Refine(Wire):
    """One makes a draft, another says what is wrong with it, until it is good or the rounds are over."""

    kind: Literal["refine"] = "refine"
    draft: "Part"
    criteria: str
    """What makes a draft good."""
    rounds: Rounds = 3
    """Drafts at most."""


class Debate(Wire):
    """Several agents take positions, hear each other, and answer, round after round; then one of them sums up."""

    kind: Literal["debate"] = "debate"
    question: str
    debaters: tuple[Work, ...] = Field(min_length=2)
    rounds: Rounds = 2
    verdict: Work


Part = Annotated[
    Work | Chain | Parallel | Route | Vote | Orchestrate | Supervise | Refine | Debate, Field(discriminator="kind")
]
Pattern = Work | Chain | Parallel | Route | Vote | Orchestrate | Supervise | Refine | Debate

for _form in (Chain, Parallel, Route, Vote, Supervise, Refine):
    _form.model_rebuild()


class Gather(Wire):
    """Waits for several and hands on what they found, as one result."""

    kind: Literal["gather"] = "gather"


class Replan(Wire):
    """Plans again for a job whose plan has ended without all of its results, and has that done."""

    kind: Literal["replan"] = "replan"
    rounds: Rounds = 1
    check: bool = False
    """Whether a model says if the results suffice; else only what failed is planned again."""
    refused: str = ""
    """Why there is no room for that; empty: there is."""


class Tally(Wire):
    """Counts the votes of the steps that it depends on, in their order."""

    kind: Literal["tally"] = "tally"
    how: How


Coordinated = Annotated[Route | Orchestrate | Supervise | Refine | Replan | Gather | Tally, Field(discriminator="kind")]
"""What the coordinating agent does itself; it stands in its step's input."""
