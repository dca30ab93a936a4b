"""A model says who goes next, until it is done.

Needs a stack, `troupe up`, and something to read: `troupe kb add FOLDER` with documents on Python's types.
"""

from orchestrator import Troupe, plan_of, supervise, work

TASK = "What are tuples?"
PATTERN = supervise(
    "Write a short report on lists and tuples.",
    {
        "finder": work("What are tuples?", "search"),
        "writer": work("Summarise what tuples are.", "summary"),
    },
    rounds=4,
)

if __name__ == "__main__":
    with Troupe() as troupe:
        print(troupe.submit(TASK, plan=plan_of(PATTERN)).result(timeout=120).answer)
