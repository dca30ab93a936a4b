"""A model plans, agents work, one sums up; after failures it plans once more.

Needs a stack, `troupe up`, and something to read: `troupe kb add FOLDER` with documents on Python's types.
"""

from orchestrator import Troupe, orchestrate, plan_of, work

TASK = "Compare lists and tuples."
PATTERN = orchestrate(
    "Compare lists and tuples.",
    rounds=2,
    synthesise=work("Write a short report on lists and tuples.", "summary"),
)

if __name__ == "__main__":
    with Troupe() as troupe:
        print(troupe.submit(TASK, plan=plan_of(PATTERN)).result(timeout=120).answer)
