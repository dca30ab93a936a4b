"""Names of spans, attributes and metrics, as OpenTelemetry's conventions for generative AI have them.

https://github.com/open-telemetry/semantic-conventions-genai, all "Development". Names are of low cardinality: never a
task's, a goal's or a model's words. What begins with `troupe.` is our own.
"""

from collections.abc import Mapping
from typing import Final

from tasks.usage import Usage

SCOPE: Final = "troupe"
"""Instrumentation scope of our spans and metrics."""
WORKFLOW: Final = "troupe.job"
"""`gen_ai.workflow.name` of every job: a job has no name of its own, and its task is no name."""
OTHER: Final = "_OTHER"
"""Stands for a name or an error that is not one of a few."""
LOST: Final = "worker_lost"

INVOKE_WORKFLOW: Final = "invoke_workflow"
INVOKE_AGENT: Final = "invoke_agent"
PLAN: Final = "plan"
CHAT: Final = "chat"
EXECUTE_TOOL: Final = "execute_tool"

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
AGENT: Final = "gen_ai.agent.name"
AGENT_VERSION: Final = "gen_ai.agent.version"
WORKFLOW_NAME: Final = "gen_ai.workflow.name"
CONVERSATION: Final = "gen_ai.conversation.id"
REQUEST_MODEL: Final = "gen_ai.request.model"
MAX_TOKENS: Final = "gen_ai.request.max_tokens"
STREAM: Final = "gen_ai.request.stream"
OUTPUT_TYPE: Final = "gen_ai.output.type"
RESPONSE_ID: Final = "gen_ai.response.id"
RESPONSE_MODEL: Final = "gen_ai.response.model"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
TOOL: Final = "gen_ai.tool.name"
TOOL_TYPE: Final = "gen_ai.tool.type"
TOOL_CALL: Final = "gen_ai.tool.call.id"
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105 - no password
ERROR: Final = "error.type"

INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
INSTRUCTIONS: Final = "gen_ai.system_instructions"
ARGUMENTS: Final = "gen_ai.tool.call.arguments"
RESULT: Final = "gen_ai.tool.call.result"

JOB: Final = "troupe.job.id"
JOB_STATUS: Final = "troupe.job.status"
TENANT: Final = "troupe.tenant"
STEP: Final = "troupe.step.id"
ATTEMPT: Final = "troupe.attempt"
QUEUE: Final = "troupe.queue"
STEPS: Final = "troupe.steps"
OUTCOME: Final = "troupe.outcome"
WORKER: Final = "troupe.worker"
TRIES: Final = "troupe.tool.tries"
COST: Final = "troupe.cost_microusd"

TOKEN_BUCKETS: Final = tuple(4.0**power for power in range(14))
"""1 … 4¹³ tokens."""
CALL_BUCKETS: Final = tuple(0.01 * 2**power for power in range(14))
"""10 ms … 82 s: model and tool calls."""
AGENT_BUCKETS: Final = tuple(0.1 * 2**power for power in range(13))
"""100 ms … 410 s."""
WORKFLOW_BUCKETS: Final = (1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0)
"""1 s … 2 h."""

Value = str | bool | int | float | tuple[str, ...]
Attributes = Mapping[str, Value]


def usage_attributes(usage: Usage) -> dict[str, Value]:
    """What one model call consumed. Input tokens include cached ones, as the conventions ask.

    What was written to the cache stands under its older and its newer name.
    """
    return {
        "gen_ai.usage.input_tokens": all_input(usage),
        "gen_ai.usage.output_tokens": usage.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage.cache_read_tokens,
        "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_tokens,
        "gen_ai.usage.cache_write.input_tokens": usage.cache_write_tokens,
        COST: usage.cost_microusd,
    }


def sum_attributes(usage: Usage) -> dict[str, Value]:
    """What an attempt or a job consumed. Not under the names of single calls: whoever adds those up counts once."""
    return {
        "gen_ai.aggregated_usage.input_tokens": all_input(usage),
        "gen_ai.aggregated_usage.output_tokens": usage.output_tokens,
        "troupe.model_calls": usage.requests,
        "troupe.tool_calls": usage.tool_calls,
        COST: usage.cost_microusd,
    }


def all_input(usage: Usage) -> int:
    """Tokens of a prompt, those included that came from the cache or went into it."""
    return usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
