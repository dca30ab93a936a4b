"""Two positions, two rounds, one verdict.

Needs a stack: `troupe up`.
"""

from orchestrator import Troupe, debate, plan_of, work

TASK = "Compare lists and tuples in Python."
PATTERN = debate(
    "May it be changed?",
    work("Speak for it.", "search"),
    work("Speak against it.", "summary"),
    verdict=work("Say who has the better reasons.", "summary"),
)

if __name__ == "__main__":
    with Troupe() as troupe:
        print(troupe.submit(TASK, plan=plan_of(PATTERN)).result(timeout=120).answer)
