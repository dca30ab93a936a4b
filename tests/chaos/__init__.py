"""Chaos: real processes, seeded faults, and a checker that judges from the outside. `python -m tests.chaos --help`."""
