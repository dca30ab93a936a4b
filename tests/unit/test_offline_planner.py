"""The offline planner: what it makes of tasks, and what holds for every plan."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.ids import STEP_ID
from tasks.models import AgentDefinition, Join, Plan, StepKind
from tasks.states import StepStatus
from tests.unit.offline_requests import USUAL, failed, finding, job, plan_request, planned, request
from workers.llm.offline.model import respond

PREFIX = "Find what the documents say about: "
PIECES = (
    "compare|and|or|,|;|?|.|vs|lists|tuples|the|of|between|differ|how|what|explain|then|in terms of|\n-|it|how many"
)
FINANCE = AgentDefinition(
    name="finance", description="Looks up share prices.", capabilities=("quotes", "prices"), queue="finance"
)


def searched(plan: Plan) -> list[str]:
    return [step.description.removeprefix(PREFIX) for step in plan.steps if step.agent == "search"]


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("Compare lists and tuples", ["lists", "tuples"]),
        ("Compare lists, tuples and dictionaries", ["lists", "tuples", "dictionaries"]),
        (
            "Compare lists and tuples in terms of speed and memory.",
            ["lists, regarding speed and memory", "tuples, regarding speed and memory"],
        ),
        (
            "Compare Redis with RabbitMQ regarding durability",
            ["Redis, regarding durability", "RabbitMQ, regarding durability"],
        ),
        ("What is the difference between a process and a thread?", ["process", "thread"]),
        ("What are the differences between Kafka, Redis and NATS?", ["Kafka", "Redis", "NATS"]),
        ("How does Redis differ from Memcached?", ["Redis", "Memcached"]),
        (
            "How do lists and tuples differ in memory use?",
            ["lists, regarding memory use", "tuples, regarding memory use"],
        ),
        ("Redis vs Memcached", ["Redis", "Memcached"]),
        ("Redis versus Memcached vs. Valkey", ["Redis", "Memcached", "Valkey"]),
        ("Which is better, Kafka or RabbitMQ?", ["Kafka", "RabbitMQ"]),
        ("Should I use Postgres or MySQL for reports?", ["Postgres, regarding reports", "MySQL, regarding reports"]),
        ("Compare synchronous and asynchronous replication", ["synchronous replication", "asynchronous replication"]),
        ("Compare the pricing of AWS to Azure", ["pricing of AWS", "pricing of Azure"]),
        (
            "Please write a comparison of Python and Go by speed.",
            ["Python, regarding speed", "Go, regarding speed"],
        ),
        ("Explain generators and decorators", ["generators", "decorators"]),
        (
            "Explain generators and decorators and show how context managers work",
            ["generators", "decorators", "how context managers work"],
        ),
        ("Give me an overview of iterators, generators, and coroutines", ["iterators", "generators", "coroutines"]),
        ("Explain the law of supply and demand", ["the law of supply and demand"]),
        ("What are lists and tuples?", ["lists", "tuples"]),
        ("What is a tuple?", ["What is a tuple"]),
        ("How are exceptions raised and handled?", ["How are exceptions raised and handled"]),
        (
            "How are names bound? Why do scopes nest?",
            ["How are names bound", "Why do scopes nest"],
        ),
        ("- Explain X rays\n- Explain gamma rays", ["X rays", "gamma rays"]),
        ("1. Find the revenue\n2. Find the costs", ["the revenue", "the costs"]),
        (
            "Compare lists and tuples; how does hashing treat them?",
            ["lists, regarding how does hashing treat them", "tuples, regarding how does hashing treat them"],
        ),
        (
            "Summarise the effects of frost on wheat, and list the main causes.",
            ["the effects of frost on wheat", "the main causes (the effects of frost on wheat)"],
        ),
        ("We sell shoes. Sales fell in May. Why did demand fall?", ["Why did demand fall"]),
        (
            "What are names, and is the scope fixed?",
            ["What are names", "is the scope fixed"],
        ),
        ("Research the history of the Roman Empire", ["the history of the Roman Empire"]),
        ("Can you tell me what a finder is?", ["what a finder is"]),
        ("Compare a1, b1, c1, d1, e1, f1 and g1", ["a1", "b1", "c1", "d1", "e1; also f1; also g1"]),
        ("???", ["???"]),
    ],
)
def test_a_task_becomes_one_search_for_each_thing_asked_about(task: str, expected: list[str]) -> None:
    assert searched(planned(task, knowledge=["docs"])) == expected


def test_compared_things_are_joined_in_a_step_of_their_own() -> None:
    plan = planned("Compare lists and tuples, and explain how names are bound", knowledge=["docs"])
    join = plan.steps[-1]
    assert (join.agent, join.depends_on, join.join) == ("summary", ["search-1", "search-2"], Join.BEST_EFFORT)
    assert len(searched(plan)) == 3


def test_searches_do_not_wait_for_each_other() -> None:
    plan = planned("Explain lists, tuples and sets; how many rows are there?", knowledge=["docs"], tables=["sales"])
    assert [step.depends_on for step in plan.steps] == [[], [], [], []]


@pytest.mark.parametrize(
    ("task", "data", "documents"),
    [
        (
            "How do lists work, and which modules are the largest?",
            "which modules are the largest",
            ["how do lists work"],
        ),
        ("Average fare by class and explain what a fare is", "Average fare by class", ["what a fare is"]),
        ("How many passengers survived?", "How many passengers survived", None),
        ("What do the documents say about the average fare?", None, ["the average fare"]),
    ],
)
def test_what_concerns_the_data_goes_to_the_tables(task: str, data: str | None, documents: list[str] | None) -> None:
    plan = planned(task, knowledge=["docs"], tables=["modules"])
    analysis = [step.description for step in plan.steps if step.agent == "analysis"]
    assert len(analysis) == 1
    assert data is None or analysis[0].endswith(f"modules: {data}")
    assert documents is None or [one.lower() for one in searched(plan)] == documents


MODULES = ["module", "package", "lines", "functions", "documented", "doc_coverage"]


@pytest.mark.parametrize(
    ("task", "measured", "documents"),
    [
        (
            "Which modules of the library are the largest, and how well are they documented?",
            "Which modules of the library are the largest; how well are the modules documented",
            [],
        ),
        ("Which files have poor documentation and coverage?", "Which files have poor documentation and coverage", []),
        ("Explain how functions are called", None, ["how functions are called"]),
        (
            "Which packages have the most functions, and how do functions get their default values?",
            "Which packages have the most functions",
            ["how do functions get their default values"],
        ),
        ("Why do functions need a name?", None, ["Why do functions need a name"]),
        ("How do I sort a list?", None, ["How do I sort a list"]),
        ("Explain the average of lines", "the average of lines", ["the average of lines"]),
        (
            "List the packages and their purpose",
            "List the packages and their purpose",
            ["packages", "their purpose"],
        ),
    ],
)
def test_columns_tell_which_parts_concern_the_data(task: str, measured: str | None, documents: list[str]) -> None:
    plan = planned(task, knowledge=["docs"], tables=["facts"], columns=MODULES)
    analysis = [step.description.partition(": ")[2] for step in plan.steps if step.agent == "analysis"]
    assert [one.endswith(measured) if measured else "bears on" in one for one in analysis] == [True]
    assert searched(plan) == documents


def test_a_question_about_all_compared_things_becomes_an_aspect_of_each() -> None:
    plan = planned("Compare lists and tuples: what may change, and how are they compared?", knowledge=["docs"])
    aspects = "regarding what may change; and how they are compared"
    assert searched(plan) == [f"lists, {aspects}", f"tuples, {aspects}"]
    assert plan.steps[-1].description == f"Compare what was found about lists and tuples, {aspects}"


def test_a_pronoun_that_is_compared_stands_for_what_was_asked_before() -> None:
    plan = planned("What is a generator and how does it differ from a coroutine?", knowledge=["docs"])
    assert searched(plan) == ["generator", "coroutine"]


def test_with_every_kind_of_step_there_are_no_more_than_eight() -> None:
    poet = AgentDefinition(name="poet", description="Rhymes poems.", capabilities=("rhymes", "poems"), queue="poet")
    task = (
        "Compare a1, b1, c1, d1, e1, f1 and g1; how many rows are there; what is the share price quote; "
        "write rhymes and poems"
    )
    plan = planned(task, knowledge=["docs"], tables=["sales"], agents=[*USUAL, FINANCE, poet])
    assert len(plan.steps) == 8
    assert {step.agent for step in plan.steps} == {"search", "analysis", "finance", "poet", "summary"}


def test_without_documents_a_question_about_data_needs_no_search() -> None:
    plan = planned("Which region has the highest total?", tables=["sales"])
    assert [step.agent for step in plan.steps] == ["analysis"]


def test_tables_that_the_task_does_not_speak_of_are_still_looked_at() -> None:
    plan = planned("Explain lists", knowledge=["docs"], tables=["sales"])
    assert plan.steps[-1].description == "Answer from the tables sales: what they hold that bears on: Explain lists"


def test_a_users_agent_gets_what_fits_its_description() -> None:
    plan = planned("What is the share price of ACME, and how do lists work?", agents=[*USUAL, FINANCE])
    assert [(step.agent, step.description) for step in plan.steps] == [
        ("search", f"{PREFIX}how do lists work"),
        ("finance", "What is the share price of ACME"),
    ]


def test_agents_of_other_names_are_found_by_what_they_can_do() -> None:
    finder = AgentDefinition(name="finder", description="x", capabilities=("document_search",), queue="finder")
    assert [step.agent for step in planned("Explain lists", agents=[finder]).steps] == ["finder"]


def test_when_nothing_fits_the_first_agent_gets_the_task() -> None:
    poet = AgentDefinition(name="poet", description="Rhymes.", queue="poet")
    plan = planned("Explain lists", agents=[poet])
    assert [(step.agent, step.description) for step in plan.steps] == [("poet", "Explain lists")]


@pytest.mark.parametrize(("tables", "agents"), [([], ["search"]), (["sales"], ["search", "analysis"])])
def test_faults_lead_to_the_plainest_plan(tables: list[str], agents: list[str]) -> None:
    spec = job("Compare lists and tuples", knowledge=["docs"], tables=tables)
    plan = Plan.model_validate_json(respond(plan_request(spec, faults=["steps.3: cycle"])).text)
    assert [step.agent for step in plan.steps] == agents
    assert all(not step.depends_on for step in plan.steps)


@settings(max_examples=150, deadline=None)
@given(
    task=st.one_of(
        st.text(min_size=1, max_size=300),
        st.lists(
            st.sampled_from(PIECES.split("|")),
            min_size=1,
            max_size=40,
        ).map(" ".join),
    ),
    knowledge=st.sampled_from([[], ["docs"]]),
    tables=st.sampled_from([[], ["sales"], ["a", "b"]]),
    agents=st.sampled_from([[], USUAL, [FINANCE], [*USUAL, FINANCE]]),
    faults=st.booleans(),
)
def test_any_task_gets_a_plan_that_may_run(
    task: str, knowledge: list[str], tables: list[str], agents: list[AgentDefinition], *, faults: bool
) -> None:
    asked = plan_request(job(task, knowledge=knowledge, tables=tables), agents=agents, faults=["x"] if faults else [])
    plan = Plan.model_validate_json(respond(asked).text)
    ids = [step.id for step in plan.steps]
    assert 1 <= len(ids) <= 8
    assert len(set(ids)) == len(ids)
    assert all(STEP_ID.fullmatch(one) for one in ids)
    known = {agent.name for agent in agents or USUAL}
    for place, step in enumerate(plan.steps):
        assert step.agent in known
        assert step.description.strip()
        assert set(step.depends_on) <= set(ids[:place])


@pytest.mark.parametrize(
    "piece", ["and ", "compare a, ", "a", "(", "x; ", "。", "which is a, ", "ünï ", "how do a differ "]
)
def test_a_huge_task_is_planned_in_a_second(piece: str) -> None:
    task = (piece * 100_000)[:100_000]
    start = time.process_time()
    planned(task, knowledge=["docs"], tables=["sales"])
    assert time.process_time() - start < 1


def test_a_number_that_no_table_is_about_is_looked_for_in_the_documents_too() -> None:
    plan = planned("How many refunds are allowed?", knowledge=["docs"], tables=["orders"], columns=["region", "amount"])
    assert [step.agent for step in plan.steps] == ["search", "analysis"]


def test_a_simple_task_gets_one_step_and_the_reason_is_said() -> None:
    plan = planned("What is a tuple?", knowledge=["docs"])
    assert [step.agent for step in plan.steps] == ["search"]
    assert plan.rationale == "One step of search answers it: nothing in the task is to be looked up or done apart."


def test_what_has_no_result_is_tried_once_more_and_what_was_found_is_kept() -> None:
    skipped = failed("Compare them.", "it was not run", step="summary-1")
    skipped = skipped.model_copy(update={"status": StepStatus.SKIPPED, "agent": "summary"})
    inputs = [finding("Find lists.", "A list."), failed("Find tuples.", "no answer", step="search-2"), skipped]
    asked = request(job("Compare lists and tuples"), kind=StepKind.WORK, inputs=inputs, agents=USUAL, output=Plan)
    plan = Plan.model_validate_json(respond(asked).text)
    assert [(step.description, step.agent) for step in plan.steps] == [
        ("Find tuples.", "search"),
        ("Compare them.", "summary"),
    ]
    assert plan.steps[1].depends_on == [plan.steps[0].id, "search-1"]
