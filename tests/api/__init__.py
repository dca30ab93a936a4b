"""The HTTP API, in this process, on a real store."""
