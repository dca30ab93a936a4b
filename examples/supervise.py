"""A model says who goes next, until it is done.

Needs a stack: `troupe up`.
"""

from orchestrator import Troupe, plan_of, supervise, work

TASK = "Compare lists and tuples in Python."
PATTERN = supervise(
    "Write a short report.",
    {
        "finder": work("Find what the documents say.", "search"),
        "writer": work("Write it down.", "summary"),
    },
    rounds=4,
)

if __name__ == "__main__":
    with Troupe() as troupe:
        print(troupe.submit(TASK, plan=plan_of(PATTERN)).result(timeout=120).answer)
