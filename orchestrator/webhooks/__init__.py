"""Webhooks: whoever asked for it is told when a job has ended. What receivers need is `verify`."""

from orchestrator.webhooks.hooks import Hooks, Webhook
from orchestrator.webhooks.signature import secret_of_job, verify

__all__ = ["Hooks", "Webhook", "secret_of_job", "verify"]
