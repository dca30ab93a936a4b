"""The diamond in other frameworks, each in a venv of its own: `python -m benchmarks.peers`."""
