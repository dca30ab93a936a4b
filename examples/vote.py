"""Three answers; what most say wins, of equals the first.

Needs a stack, `troupe up`, and something to read: `troupe kb add FOLDER` with documents on Python's types.
"""

from orchestrator import Troupe, plan_of, vote, work

TASK = "Compare lists and tuples."
PATTERN = vote(
    work("May a tuple be changed? Say yes or no, and why.", "search"),
    work("May a tuple be changed? Say yes or no, and why.", "summary"),
    work("May a tuple be changed? Say yes or no, and why.", "search"),
)

if __name__ == "__main__":
    with Troupe() as troupe:
        print(troupe.submit(TASK, plan=plan_of(PATTERN)).result(timeout=120).answer)
