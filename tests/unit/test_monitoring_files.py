"""Dashboard, alert rules and documentation name what processes really export, and all of it."""

import json
import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, cast

import pytest
import yaml
from prometheus_client import Metric
from prometheus_client.registry import CollectorRegistry

from orchestrator.metrics.collector import FleetCollector
from orchestrator.metrics.own import OrchestratorFigures
from tasks.ids import AttemptRef, JobId, StepId
from tasks.metrics.own import OwnFigures
from tasks.store import Entry, Notice
from tests.support.figures import fleet_reading
from tests.support.promql import Asked, NotPromQL, asked
from tests.unit.pages import ROOT
from workers.metrics.figures import WorkerFigures

DASHBOARD = ROOT / "deploy/grafana/troupe.json"
RULES = ROOT / "deploy/prometheus/alerts.yml"
SCRAPES = ROOT / "deploy/prometheus/prometheus.yml"
PAGE = ROOT / "docs/observability.md"
TARGET = frozenset({"job", "instance"})
"""Labels that Prometheus adds."""
ENTRY = Entry("1-0", Notice.STEP_READY, AttemptRef(JobId("j0123456789abcdefgh3"), StepId("a"), 1), "")


def one_each(queues: Iterable[str]) -> dict[str, int]:
    return dict.fromkeys(queues, 1)


def wanted(expression: str) -> Asked:
    """What an expression asks for, with Grafana's own variable filled in."""
    return asked(expression.replace("$__rate_interval", "5m"))


def registries() -> Iterator[CollectorRegistry]:
    """Those of an orchestrator and of a worker in which everything that is counted has happened."""
    orchestrator, worker = OwnFigures("orchestrator", "o1"), OwnFigures("worker", "w1")
    orchestrator.registry.register(FleetCollector(fleet_reading, one_each))
    figures = OrchestratorFigures(orchestrator.registry)
    figures.acted([ENTRY])
    figures.swept(0.001, 1)
    figures.failed("read")
    doing = WorkerFigures(worker.registry, lambda: 1, lambda: 50)
    doing.model_call("search", "claude", None, 1.0, 0.5)
    doing.tool_call("look", None, 1.0)
    doing.attempt("search", "succeeded")
    yield from (orchestrator.registry, worker.registry)


@cache
def families() -> dict[str, Metric]:
    """Every metric by its name: counters with `_total`, as they are asked for."""
    found = [metric for registry in registries() for metric in registry.collect()]
    return {metric.name + ("_total" if metric.type == "counter" else ""): metric for metric in found}


@cache
def exported() -> dict[str, frozenset[str]]:
    """Every series by its name, with its labels."""
    found: dict[str, frozenset[str]] = {}
    for metric in families().values():
        for sample in metric.samples:
            found[sample.name] = found.get(sample.name, frozenset()) | frozenset(sample.labels)
    return found


def panels() -> list[dict[str, Any]]:
    return [one for one in json.loads(DASHBOARD.read_text())["panels"] if one["type"] != "row"]


def rules() -> list[dict[str, Any]]:
    groups = cast("list[dict[str, Any]]", yaml.safe_load(RULES.read_text())["groups"])
    return [rule for group in groups for rule in group["rules"]]


def expressions() -> dict[str, str]:
    found = {f"panel {one['title']} {target['refId']}": target["expr"] for one in panels() for target in one["targets"]}
    return found | {f"alert {rule['alert']}": rule["expr"] for rule in rules()}


@pytest.mark.parametrize("where", expressions())
def test_an_expression_names_metrics_and_labels_that_there_are(where: str) -> None:
    found = wanted(expressions()[where])
    assert found.metrics
    assert found.metrics <= set(exported())
    assert {(metric, label) for metric, label in found.selected if label not in exported()[metric] | TARGET} == set()
    for metrics, labels in found.grouped:
        assert [metric for metric in metrics if not labels <= exported()[metric] | TARGET] == []


@pytest.mark.parametrize("where", expressions())
def test_figures_of_the_fleet_are_taken_once_and_by_all_their_labels(where: str) -> None:
    """Each orchestrator gives all of them: a sum would count them once for each, and a `max` that leaves a label out
    would take one series for all."""
    text = expressions()[where]
    for metric in wanted(text).metrics & fleet():
        for match in re.finditer(rf"\b{metric}\b(?:{{([^}}]*)}})?", text):
            inner = re.search(r"(\w+)(?: by \(([^)]*)\))? ?\((?:(?:rate|increase)\()?$", text[: match.start()])
            assert inner is not None, f"{metric} is not aggregated"
            assert inner[1] in {"max", "min", "absent"}
            fixed = re.findall(r'(\w+)="', match[1] or "")
            assert {*(inner[2] or "").split(", "), *fixed} >= exported()[metric]


@cache
def fleet() -> frozenset[str]:
    collector = FleetCollector(fleet_reading, one_each)
    return frozenset(sample.name for metric in collector.collect() for sample in metric.samples)


def test_every_metric_of_ours_is_on_the_dashboard_or_watched() -> None:
    used = {metric for text in expressions().values() for metric in wanted(text).metrics}
    families_used = {re.sub(r"_(bucket|count|sum)$", "", name) for name in used}
    ours = {name for name in families() if name.startswith("troupe_")}
    aside = {"troupe_attempts_total", "troupe_worker_attempts_total", "troupe_worker_slots"}
    assert ours - families_used == aside


def test_every_metric_is_documented_with_its_labels() -> None:
    rows = dict(re.findall(r"^\| `(troupe_\w+)` \|([^|]*)\|", PAGE.read_text(), re.MULTILINE))
    ours = {name for name in families() if name.startswith("troupe_")}
    assert set(rows) == ours
    for name in ours:
        labels = {label for sample in families()[name].samples for label in sample.labels} - {"le"}
        assert set(re.findall(r"`(\w+)`", rows[name])) == labels, name


def test_names_and_units_are_as_prometheus_wants_them() -> None:
    for name, metric in families().items():
        assert metric.documentation
        if metric.type == "histogram":
            assert name.endswith("_seconds"), name
        assert "milli" not in name


def test_every_alert_says_what_to_do() -> None:
    for rule in rules():
        assert set(rule["annotations"]) == {"summary", "description"}
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert len({rule["alert"] for rule in rules()}) == len(rules())


def test_panels_are_in_a_grid_without_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for one in json.loads(DASHBOARD.read_text())["panels"]:
        at = one["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, one["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_the_scrape_configuration_loads_the_rules_that_there_are() -> None:
    scrapes = yaml.safe_load(SCRAPES.read_text())
    assert scrapes["rule_files"] == [RULES.name]
    assert [one["job_name"] for one in scrapes["scrape_configs"]] == ["troupe"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sum(",
        "rate(a)",
        "sum(a[5m])",
        "a{b}",
        'a{b="c"',
        "a b",
        "nothing(a)",
        "a[soon]",
        "histogram_quantile(a)",
        "a §",
    ],
)
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(NotPromQL):
        asked(text)


def test_an_expression_is_read() -> None:
    found = asked('histogram_quantile(0.9, sum(rate(a_bucket{x!="y", z=~"."}[5m])) by (le, x)) > -1 and on (x) b * 2e3')
    assert found.metrics == {"a_bucket", "b"}
    assert found.selected == {("a_bucket", "x"), ("a_bucket", "z")}
    assert found.grouped[0] == (frozenset({"a_bucket"}), frozenset({"le", "x"}))
