"""An agent on Claude with a long system prompt. Stages copy this file into their working folder."""

import os

from workers import Agent

RULES = "".join(f"Rule {number}: whatever you say must stand in the text.\n" for number in range(400))

NAME = os.environ.get("READER", "reader")

reader = Agent(
    name=NAME,
    description="Reads one part of a text.",
    instructions=f"You are {NAME} for {os.environ.get('PROVIDER')}. You read one part of a text.\n\n{RULES}",
    model="claude-sonnet-5-5",
)
