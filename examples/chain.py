"""Find, then condense, then weigh.

Needs a stack: `troupe up`.
"""

from orchestrator import Troupe, chain, plan_of, work

TASK = "Compare lists and tuples in Python."
PATTERN = chain(
    work("Find what the documents say about the task.", "search"),
    work("Condense the findings to what matters.", "summary"),
)

if __name__ == "__main__":
    with Troupe() as troupe:
        print(troupe.submit(TASK, plan=plan_of(PATTERN)).result(timeout=120).answer)
