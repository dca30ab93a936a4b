"""`python -m orchestrator.cli`: how a stack starts its processes."""

from orchestrator.start import main

main()
