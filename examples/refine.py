"""Drafts until one meets the criteria, three at most.

Needs a stack, `troupe up`, and something to read: `troupe kb add FOLDER` with documents on Python's types.
"""

from orchestrator import Troupe, plan_of, refine, work

TASK = "What are tuples?"
PATTERN = refine(
    work("What are tuples?", "search"),
    "it names tuples",
    rounds=3,
)

if __name__ == "__main__":
    with Troupe() as troupe:
        print(troupe.submit(TASK, plan=plan_of(PATTERN)).result(timeout=120).answer)
