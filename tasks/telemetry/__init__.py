"""OpenTelemetry, for both sides: off unless the standard variables configure it, and then nothing of its SDK is loaded.

`environment` says whether it is on, `propagation` carries W3C trace context, `conventions` names spans, attributes and
metrics, `setup` makes the providers, `tracing` makes spans with derived identifiers. Only the last two import the SDK.
"""
