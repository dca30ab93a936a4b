"""A whole stack on one machine: own Redis, orchestrator, workers; started, watched and ended as processes."""
