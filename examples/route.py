"""A rule, else a model, says who answers; why is kept.

Needs a stack, `troupe up`, and something to read: `troupe kb add FOLDER` with documents on Python's types.
"""

from orchestrator import Troupe, plan_of, route, work

TASK = "What are tuples?"
PATTERN = route(
    {
        "documents": work("What are tuples?", "search"),
        "words": work("Answer in one sentence from what is given.", "summary"),
    },
    rules=[(r"documents?|manual", "documents")],
    otherwise="words",
)

if __name__ == "__main__":
    with Troupe() as troupe:
        print(troupe.submit(TASK, plan=plan_of(PATTERN)).result(timeout=120).answer)
