"""What attempts and calls are called, and what is said of them. Nothing here holds what a task, model or tool said."""

from typing import Final

from tasks.models import Claim, StepKind
from tasks.telemetry import conventions as names
from tasks.telemetry.conventions import Value, usage_attributes
from tasks.trace_ids import span_id_of
from workers.agents.base import Agent
from workers.llm.base import ModelReply, ModelRequest
from workers.llm.names import ModelName, Platform
from workers.llm.payload import STREAM_ABOVE
from workers.llm.settings import OFFLINE
from workers.tools.base import ToolCall
from workers.tools.codes import Code

OWN: Final = "troupe"
"""Provider where nobody else is asked: plain code, and the model that works by rules."""
PROVIDERS: Final = {
    Platform.ANTHROPIC: "anthropic",
    Platform.BEDROCK: "aws.bedrock",
    Platform.VERTEX: "gcp.vertex_ai",
    Platform.FOUNDRY: "azure.ai.inference",
}


def provider_of(model: str | None) -> str:
    """Who answers for a model; None: no model is asked."""
    return OWN if model is None or model == OFFLINE else PROVIDERS[ModelName.parse(model).platform]


def model_id(model: str) -> str:
    """The model as its provider knows it."""
    return ModelName.parse(model).id


def attempt_id(claim: Claim) -> str:
    """Its span."""
    return span_id_of(claim.job.id, claim.step.id, str(claim.attempt))


def parent_id(claim: Claim) -> str:
    """The span that an attempt is a child of: that of the attempt that delegated its step, else that of the job."""
    if claim.step.parent is not None and claim.parent_attempt:
        return span_id_of(claim.job.id, claim.step.parent, str(claim.parent_attempt))
    return span_id_of(claim.job.id)


def link_ids(claim: Claim) -> list[str]:
    """The attempts whose results it builds on."""
    return [
        span_id_of(claim.job.id, item.step, str(item.attempt))
        for item in claim.inputs
        if item.result is not None and item.attempt
    ]


def operation_of(kind: StepKind) -> str:
    """`plan` or `invoke_agent`."""
    return names.PLAN if kind is StepKind.PLAN else names.INVOKE_AGENT


def attempt_attributes(claim: Claim, agent: Agent | None, model: str | None, worker: str) -> dict[str, Value]:
    """What is known when an attempt begins.

    Args:
        agent: None when this process does not have it.
        model: The model that it asks; None: it is plain code.
    """
    step, job = claim.step, claim.job
    attributes: dict[str, Value] = {
        names.OPERATION: operation_of(step.kind),
        names.PROVIDER: provider_of(model),
        names.AGENT: step.agent,
        names.AGENT_VERSION: step.version if agent is None else agent.version,
        names.JOB: job.id,
        names.STEP: step.id,
        names.ATTEMPT: claim.attempt,
        names.QUEUE: step.queue,
        names.TENANT: job.tenant,
        names.WORKER: worker,
    }
    if model is not None:
        attributes[names.REQUEST_MODEL] = model_id(model)
    if job.session is not None:
        attributes[names.CONVERSATION] = job.session
    return attributes


def request_attributes(request: ModelRequest, claim: Claim) -> dict[str, Value]:
    """What is known when a model is asked."""
    attributes: dict[str, Value] = {
        names.OPERATION: names.CHAT,
        names.PROVIDER: provider_of(request.model),
        names.REQUEST_MODEL: model_id(request.model),
        names.MAX_TOKENS: request.max_tokens,
        names.AGENT: request.agent,
    }
    if is_streamed(request):
        attributes[names.STREAM] = True
    if request.output is not None:
        attributes[names.OUTPUT_TYPE] = "json"
    if claim.job.session is not None:
        attributes[names.CONVERSATION] = claim.job.session
    return attributes


def is_streamed(request: ModelRequest) -> bool:
    """Whether the answer comes in pieces, as far as the request shows it."""
    watched = request.on_text is not None or request.on_begin is not None or request.max_tokens > STREAM_ABOVE
    own = request.model == OFFLINE or ModelName.parse(request.model).platform is Platform.BEDROCK
    return watched and not own


def reply_attributes(reply: ModelReply) -> dict[str, Value]:
    """What is known when it has answered."""
    return {
        names.RESPONSE_ID: reply.id,
        names.RESPONSE_MODEL: reply.model,
        names.FINISH_REASONS: (reply.stop_reason,),
        **usage_attributes(reply.usage),
    }


def tool_attributes(name: str, call: str, agent: str) -> dict[str, Value]:
    """What is known when a tool is called."""
    return {
        names.OPERATION: names.EXECUTE_TOOL,
        names.TOOL: name,
        names.TOOL_TYPE: "function",
        names.TOOL_CALL: call,
        names.AGENT: agent,
    }


def tool_name(call: ToolCall) -> str:
    """The tool's name; of one that there is not, which a model may have made up of anything, none."""
    return names.OTHER if call.code == Code.UNKNOWN_TOOL else call.tool
