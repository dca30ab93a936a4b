"""Models: one protocol, one file per implementation. The only place that knows the Anthropic SDK."""
