"""What the standard variables of OpenTelemetry ask for. Its SDK reads the others: headers, samplers, limits, intervals.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from typing import Final, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from tasks.errors import BadSetting
from tasks.settings import RoomSettings

Signal = Literal["traces", "metrics"]

OTLP: Final = "otlp"
PROTOCOLS: Final = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}
"""Exporters by protocol, as their packages register them; that of gRPC is a package of its own."""
CONTENT: Final = frozenset({"true", "span_only", "span_and_event"})
"""Values that let spans have content; events are not sent."""


class TelemetrySettings(RoomSettings):
    """OpenTelemetry's own variables, as far as Troupe looks at them. They are read from the environment alone."""

    model_config = SettingsConfigDict(validate_by_name=True, validate_by_alias=True)

    sdk_disabled: str = Field(default="", validation_alias="OTEL_SDK_DISABLED")
    """`true`: nothing is sent, whatever else is set."""
    traces_exporter: str = Field(default="", validation_alias="OTEL_TRACES_EXPORTER")
    """`otlp`, `console`, `none`, or others that are installed, separated by commas. Unset: `otlp`, if there is an
    endpoint for traces."""
    metrics_exporter: str = Field(default="", validation_alias="OTEL_METRICS_EXPORTER")
    """The same for metrics."""
    endpoint: str = Field(default="", validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT")
    """Where an OpenTelemetry collector listens: `http://localhost:4318`. Switches traces and metrics on."""
    traces_endpoint: str = Field(default="", validation_alias="OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    """The whole address for traces alone: `http://localhost:4318/v1/traces`."""
    metrics_endpoint: str = Field(default="", validation_alias="OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")
    """The whole address for metrics alone."""
    protocol: str = Field(default="", validation_alias="OTEL_EXPORTER_OTLP_PROTOCOL")
    """`http/protobuf` (unless set) or `grpc`, for which `opentelemetry-exporter-otlp-proto-grpc` is to be installed."""
    traces_protocol: str = Field(default="", validation_alias="OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
    """The same for traces alone."""
    metrics_protocol: str = Field(default="", validation_alias="OTEL_EXPORTER_OTLP_METRICS_PROTOCOL")
    """The same for metrics alone."""
    schedule_delay: str = Field(default="", validation_alias="OTEL_BSP_SCHEDULE_DELAY")
    """Milliseconds between two batches of spans; unset: 1,000. A process that is killed loses what it has not sent."""
    capture: str = Field(default="", validation_alias="OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT")
    """`SPAN_ONLY`, `SPAN_AND_EVENT` or `true`: spans hold prompts, answers, arguments and results of tools. Otherwise
    they hold none."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment: the SDK does not look into `troupe.toml`."""
        return init_settings, env_settings

    @property
    def content(self) -> bool:
        """Whether spans may hold what was said."""
        return self.capture.strip().lower() in CONTENT

    def exporters(self, signal: Signal) -> tuple[str, ...]:
        """Exporters of traces or metrics, by the names that their packages register; none: it is off.

        Raises:
            BadSetting: there is no such protocol.
        """
        if self.off:
            return ()
        traces = signal == "traces"
        named = self.traces_exporter if traces else self.metrics_exporter
        if not named.strip():
            named = OTLP if self.endpoint or (self.traces_endpoint if traces else self.metrics_endpoint) else ""
        names = [name.strip() for name in named.split(",")]
        if "none" in names:
            return ()
        return tuple(self._otlp(signal) if name == OTLP else name for name in names if name)

    @property
    def asked(self) -> bool:
        """Whether anything may be sent."""
        return not self.off and any(
            (self.traces_exporter, self.metrics_exporter, self.endpoint, self.traces_endpoint, self.metrics_endpoint)
        )

    @property
    def off(self) -> bool:
        """Whether nothing may be."""
        return self.sdk_disabled.strip().lower() == "true"

    def _otlp(self, signal: Signal) -> str:
        own = self.traces_protocol if signal == "traces" else self.metrics_protocol
        protocol = (own or self.protocol or "http/protobuf").strip()
        if protocol not in PROTOCOLS:
            raise BadSetting(f"OTEL_EXPORTER_OTLP_PROTOCOL: {protocol!r} is none of {', '.join(PROTOCOLS)}")
        return PROTOCOLS[protocol]
