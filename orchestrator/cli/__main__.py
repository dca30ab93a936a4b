"""`python -m orchestrator.cli`: how a stack starts its processes."""

from orchestrator.cli import main

main()
