"""Look in two places at once; one result is enough after 60 seconds.

Needs a stack: `troupe up`.
"""

from orchestrator import Troupe, parallel, plan_of, work

TASK = "Compare lists and tuples in Python."
PATTERN = parallel(
    work("Find what the documents say about the task.", "search"),
    work("Find what stands against it.", capability="search", optional=True),
    within=60,
    merge=work("Compare the findings.", "summary"),
)

if __name__ == "__main__":
    with Troupe() as troupe:
        print(troupe.submit(TASK, plan=plan_of(PATTERN)).result(timeout=120).answer)
