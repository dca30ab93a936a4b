"""The routes, a file for each kind of thing. All stand under `/v1`, but those of `health`."""
