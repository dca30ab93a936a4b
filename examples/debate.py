"""Two agents argue before the others hear them, and one judges. Made for models: rules have no opinions.

Needs a stack, `troupe up`, and something to read: `troupe kb add FOLDER` with documents on Python's types.
"""

from orchestrator import Troupe, debate, plan_of, work

TASK = "Compare lists and tuples."
PATTERN = debate(
    "Lists or tuples?",
    work("What are tuples?", "search"),
    work("What are lists?", "summary"),
    verdict=work("Say who has the better reasons.", "summary"),
)

if __name__ == "__main__":
    with Troupe() as troupe:
        print(troupe.submit(TASK, plan=plan_of(PATTERN)).result(timeout=120).answer)
