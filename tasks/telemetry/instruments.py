"""The metrics of the conventions for generative AI, with the buckets that these prescribe."""

from importlib.metadata import version

from opentelemetry.metrics import Histogram, MeterProvider

from tasks.telemetry import conventions as names
from tasks.telemetry.conventions import Attributes
from tasks.usage import Usage


class Instruments:
    """Histograms of one process. Durations are in seconds and equal those of the spans."""

    def __init__(self, provider: MeterProvider) -> None:
        meter = provider.get_meter(names.SCOPE, version("troupe"))

        def histogram(name: str, unit: str, about: str, buckets: tuple[float, ...]) -> Histogram:
            return meter.create_histogram(name, unit, about, explicit_bucket_boundaries_advisory=buckets)

        calls, agents = names.CALL_BUCKETS, names.AGENT_BUCKETS
        self.tokens = histogram("gen_ai.client.token.usage", "{token}", "Tokens of a model call.", names.TOKEN_BUCKETS)
        self.calls = histogram("gen_ai.client.operation.duration", "s", "Duration of a model call.", calls)
        self.first_chunks = histogram(
            "gen_ai.client.operation.time_to_first_chunk", "s", "Until a streamed answer begins.", calls
        )
        self.agents = histogram("gen_ai.invoke_agent.duration", "s", "Duration of one attempt at a step.", agents)
        self.tools = histogram("gen_ai.execute_tool.duration", "s", "Duration of a tool call.", calls)
        self.workflows = histogram(
            "gen_ai.workflow.duration", "s", "From the submit of a job to its end.", names.WORKFLOW_BUCKETS
        )

    def count_tokens(self, usage: Usage, attributes: Attributes) -> None:
        """Note what a model call consumed."""
        self.tokens.record(names.all_input(usage), {**attributes, names.TOKEN_TYPE: "input"})
        self.tokens.record(usage.output_tokens, {**attributes, names.TOKEN_TYPE: "output"})
