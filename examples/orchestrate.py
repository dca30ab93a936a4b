"""A model plans, agents work, one sums up; after failures it plans once more.

Needs a stack: `troupe up`.
"""

from orchestrator import Troupe, orchestrate, plan_of, work

TASK = "Compare lists and tuples in Python."
PATTERN = orchestrate(
    "Find what the documents say about the task.",
    rounds=2,
    synthesise=work("Write a short report.", "summary"),
)

if __name__ == "__main__":
    with Troupe() as troupe:
        print(troupe.submit(TASK, plan=plan_of(PATTERN)).result(timeout=120).answer)
