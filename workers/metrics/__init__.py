"""Figures for Prometheus that a worker process has of its own work."""
