"""A rule, else a model, says who answers; why is kept.

Needs a stack: `troupe up`.
"""

from orchestrator import Troupe, plan_of, route, work

TASK = "Compare lists and tuples in Python."
PATTERN = route(
    {
        "documents": work("Find what the documents say.", "search"),
        "words": work("Answer in one sentence from what is given.", "summary"),
    },
    rules=[(r"documents?|manual", "documents")],
    otherwise="words",
)

if __name__ == "__main__":
    with Troupe() as troupe:
        print(troupe.submit(TASK, plan=plan_of(PATTERN)).result(timeout=120).answer)
