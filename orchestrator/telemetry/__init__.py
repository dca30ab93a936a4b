"""What an orchestrator tells OpenTelemetry of: jobs that have ended, and messages."""
