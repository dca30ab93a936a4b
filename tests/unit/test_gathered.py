"""The answer without a model: what the steps found, and what is missing."""

from tasks.ids import StepId
from tasks.models import Failure, StepInput, StepKind, StepResult
from tasks.states import StepStatus
from tests.unit.attempts import PASSAGE, make_claim, make_input, make_source
from workers.agents.base import AgentReply
from workers.agents.gathered import gathered
from workers.context import StepContext
from workers.outcomes import finish

SPENT = Failure(code="budget_spent", message="the job may use $0.01")


def missing(name: str, failure: Failure | None, text: str | None = None) -> StepInput:
    result = StepResult(text=text) if text is not None else None
    return StepInput(
        step=StepId(name),
        description=f"Do {name}.",
        agent="search",
        status=StepStatus.FAILED,
        failure=failure,
        result=result,
    )


def test_findings_stand_under_what_was_asked_and_the_reason_before_them() -> None:
    claim = make_claim(StepKind.SYNTHESIS, inputs=[make_input("a", "It is red."), make_input("b", " It is blue.\n")])
    assert gathered(claim, "no money").split("\n\n") == [
        "*This answer was put together without a model: no money.*",
        "**Look first.**",
        "It is red.",
        "**Look first.**",
        "It is blue.",
    ]


def test_what_is_missing_is_named_with_its_reason() -> None:
    claim = make_claim(
        inputs=[make_input(), missing("b", SPENT, "Half of it."), missing("c", SPENT), missing("d", None)]
    )
    text = gathered(claim, "no money")
    assert "**Do b.** (incomplete)\n\nHalf of it." in text
    assert text.endswith(
        "**Missing:**\n- Do b.: the job may use $0.01\n- Do c.: the job may use $0.01\n- Do d.: no result"
    )


def test_where_nothing_was_found_it_says_so() -> None:
    text = gathered(make_claim(inputs=[missing("a", SPENT, "  ")]), "no money")
    assert text.endswith("- Do a.: the job may use $0.01\n\nNo step found anything.")


def test_sources_of_findings_are_numbered_as_in_any_answer() -> None:
    claim = make_claim(StepKind.SYNTHESIS, inputs=[make_input("a", f"It is so [{PASSAGE}].", make_source())])
    result = finish(claim, StepContext(claim=claim), AgentReply(text=gathered(claim, "no money")))
    assert "It is so [1]." in result.text
    assert [(source.id, source.number) for source in result.sources] == [(PASSAGE, 1)]
    assert result.model is None
