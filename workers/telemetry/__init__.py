"""What a worker tells OpenTelemetry of: attempts, model calls, tool calls. Importing the observer loads its SDK."""
