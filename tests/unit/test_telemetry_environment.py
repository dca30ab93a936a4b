"""OpenTelemetry is off unless the standard variables ask for it."""

import subprocess
import sys

import pytest

from tasks.errors import BadSetting
from tasks.settings import read_settings
from tasks.telemetry import switch
from tasks.telemetry.environment import Signal, TelemetrySettings

HTTP, GRPC = "otlp_proto_http", "otlp_proto_grpc"
BOTH = "OTEL_EXPORTER_OTLP_ENDPOINT"


def exporters(monkeypatch: pytest.MonkeyPatch, **variables: str) -> dict[Signal, tuple[str, ...]]:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings = read_settings(TelemetrySettings)
    return {"traces": settings.exporters("traces"), "metrics": settings.exporters("metrics")}


@pytest.mark.parametrize(
    ("variables", "traces", "metrics"),
    [
        ({}, (), ()),
        ({BOTH: "http://c:4318"}, (HTTP,), (HTTP,)),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, (HTTP,), ()),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://c:4318/v1/metrics"}, (), (HTTP,)),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, (HTTP,), ()),
        ({"OTEL_METRICS_EXPORTER": "console, otlp"}, (), ("console", HTTP)),
        ({BOTH: "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, (), (HTTP,)),
        ({BOTH: "http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, (GRPC,), (GRPC,)),
        (
            {BOTH: "http://c:4317", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "grpc"},
            (HTTP,),
            (GRPC,),
        ),
        ({BOTH: "http://c:4318", "OTEL_SDK_DISABLED": "TRUE"}, (), ()),
        ({BOTH: "http://c:4318", "OTEL_SDK_DISABLED": "no"}, (HTTP,), (HTTP,)),
    ],
)
def test_the_standard_variables_say_what_is_sent(
    variables: dict[str, str], traces: tuple[str, ...], metrics: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert exporters(monkeypatch, **variables) == {"traces": traces, "metrics": metrics}


def test_a_protocol_that_there_is_not_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadSetting, match="OTEL_EXPORTER_OTLP_PROTOCOL: 'carrier pigeon' is none of"):
        exporters(monkeypatch, **{BOTH: "http://c:4318", "OTEL_EXPORTER_OTLP_PROTOCOL": "carrier pigeon"})


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("", False),
        ("NO_CONTENT", False),
        ("EVENT_ONLY", False),
        ("false", False),
        ("SPAN_ONLY", True),
        ("SPAN_AND_EVENT", True),
        ("true", True),
    ],
)
def test_content_is_sent_only_when_it_is_asked_for(value: str, wanted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", value)
    assert read_settings(TelemetrySettings).content is wanted


def test_nothing_is_begun_unless_it_is_asked_for() -> None:
    assert switch.begin("troupe-worker", "w1") is None


def test_an_exporter_that_is_not_installed_is_logged_and_costs_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "nosuch")
    assert switch.begin("troupe-worker", "w1") is None


ABSENT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "opentelemetry":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
from tasks.telemetry.switch import begin
"""


@pytest.mark.parametrize(
    "code",
    [
        "import orchestrator.process, tasks.telemetry.propagation as here; print(here.current_traceparent())",
        "import workers.process; print(begin('s', 'i'))",
        "import os; os.environ['OTEL_TRACES_EXPORTER'] = 'otlp'; print(begin('s', 'i'))",
    ],
    ids=["orchestrator", "worker", "where it is asked for"],
)
def test_it_needs_not_be_installed(code: str) -> None:
    words = [sys.executable, "-c", ABSENT + code]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "None"
    assert ("pip install 'troupe[otel]'" in done.stdout + done.stderr) is ("OTEL" in code)


def test_where_it_is_off_nothing_of_ours_loads_its_sdk() -> None:
    """redis-py loads the metrics of the SDK, wherever that is installed."""
    code = """if True:
        import sys, redis.asyncio
        before = set(sys.modules)
        import orchestrator.process, workers.process
        from tasks.telemetry.switch import begin
        begin("s", "i")
        print([name for name in set(sys.modules) - before if name.startswith("opentelemetry.")])"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert not done.returncode, done.stderr
    assert done.stdout.strip() == "[]"
