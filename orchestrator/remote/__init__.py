"""The producer's client over HTTP: the same methods as over Redis. `AsyncTroupe("https://…")` chooses it."""
