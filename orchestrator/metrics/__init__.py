"""Figures for Prometheus: those of the whole fleet, read from the store at each scrape, and an orchestrator's own."""
