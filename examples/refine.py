"""Drafts until one meets the criteria, three at most.

Needs a stack: `troupe up`.
"""

from orchestrator import Troupe, plan_of, refine, work

TASK = "Compare lists and tuples in Python."
PATTERN = refine(
    work("Write a paragraph about the task.", "summary"),
    "it names lists and tuples",
    rounds=3,
)

if __name__ == "__main__":
    with Troupe() as troupe:
        print(troupe.submit(TASK, plan=plan_of(PATTERN)).result(timeout=120).answer)
