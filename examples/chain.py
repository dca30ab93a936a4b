"""Find, then condense, then weigh.

Needs a stack, `troupe up`, and something to read: `troupe kb add FOLDER` with documents on Python's types.
"""

from orchestrator import Troupe, chain, plan_of, work

TASK = "What are tuples?"
PATTERN = chain(
    work("What are tuples?", "search"),
    work("Summarise what tuples are.", "summary"),
)

if __name__ == "__main__":
    with Troupe() as troupe:
        print(troupe.submit(TASK, plan=plan_of(PATTERN)).result(timeout=120).answer)
