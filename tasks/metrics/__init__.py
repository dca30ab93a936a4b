"""Figures for Prometheus: where a process serves them, and what every process says of itself."""
