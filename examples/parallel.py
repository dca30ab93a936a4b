"""Look in two places at once; one result is enough after 60 seconds.

Needs a stack, `troupe up`, and something to read: `troupe kb add FOLDER` with documents on Python's types.
"""

from orchestrator import Troupe, parallel, plan_of, work

TASK = "Compare lists and tuples."
PATTERN = parallel(
    work("Find what lists are.", "search"),
    work("Find what tuples are.", capability="search", optional=True),
    within=60,
    merge=work("Compare lists and tuples.", "summary"),
)

if __name__ == "__main__":
    with Troupe() as troupe:
        print(troupe.submit(TASK, plan=plan_of(PATTERN)).result(timeout=120).answer)
