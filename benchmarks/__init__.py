"""Benchmarks: every side in one run, on one server, with the same number of worker processes. One JSON line a case."""
