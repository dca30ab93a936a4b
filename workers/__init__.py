"""The doing side: agents, tools, models, and the Celery workers that run them.

`Agent` and `tool` are all that a module of own agents needs.
"""

from tasks.board import AgentMessage, Mail
from tasks.models import RetryPolicy
from tasks.usage import Budget
from workers.agents.base import Agent, AgentReply
from workers.context import StepContext, current_step
from workers.tools.base import ToolError, tool
from workers.tools.current import current_call

__all__ = [
    "Agent",
    "AgentMessage",
    "AgentReply",
    "Budget",
    "Mail",
    "RetryPolicy",
    "StepContext",
    "ToolError",
    "current_call",
    "current_step",
    "tool",
]
