"""Three answers; what most say wins, of equals the first.

Needs a stack: `troupe up`.
"""

from orchestrator import Troupe, plan_of, vote, work

TASK = "Compare lists and tuples in Python."
PATTERN = vote(
    work("Say yes or no, and why.", "search"),
    work("Say yes or no, and why.", "summary"),
    work("Say yes or no, and why.", "search"),
)

if __name__ == "__main__":
    with Troupe() as troupe:
        print(troupe.submit(TASK, plan=plan_of(PATTERN)).result(timeout=120).answer)
