"""What docs/deployment.md names beyond commands and paths is there: test_readme.py looks at those."""

import re

import yaml

from tests.support.manifests import kustomization, manifests, of_kind, settings
from tests.unit import pages
from tests.unit.pages import ROOT

PAGE = "docs/deployment.md"
TEXT = (ROOT / PAGE).read_text()
WRITTEN = [one.text for one in (*pages.spans(), *pages.shell_lines()) if one.place == PAGE]


def compose() -> set[str]:
    return set(yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"])


def test_every_object_of_the_cluster_exists() -> None:
    named = {one for text in WRITTEN for one in re.findall(r"\b(deployment|statefulset|service)/([a-z-]+)", text)}
    assert {kind for kind, _ in named} == {"deployment", "statefulset", "service"}
    there = {(one.manifest["kind"].lower(), one.manifest["metadata"]["name"]) for one in manifests()}
    assert named <= there
    namespaces = {one for text in WRITTEN for one in re.findall(r"--namespace (\S+)", text)}
    assert namespaces == set(of_kind("Namespace"))


def test_every_service_of_compose_exists() -> None:
    lines = [text for text in WRITTEN if text.startswith("docker compose ")]
    named = {one for text in lines for one in re.findall(r"--scale (\S+)=|run --rm (\S+)|--no-deps (\S+)", text)}
    assert {"".join(one) for one in named} == {"api", "redis", "worker-search"} & compose()


def test_the_image_is_the_one_of_the_manifests() -> None:
    (image,) = kustomization()["images"]
    assert {f"{image['newName']}:{image['newTag']}"} == set(re.findall(r"registry\.example\.org/\S+", TEXT))


def test_every_anchor_of_the_page_leads_to_a_heading() -> None:
    leading = re.findall(r"\]\(([\w./-]*)#([\w-]+)\)", TEXT)
    assert len(leading) >= 10
    missing = [(page, anchor) for page, anchor in leading if anchor not in headings(page or "deployment.md")]
    assert missing == []


def headings(page: str) -> set[str]:
    found = re.findall(r"^#+ (.+)$", (ROOT / "docs" / page).read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in found}


def test_every_alert_is_on_the_page_and_no_other() -> None:
    (group,) = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())["groups"]
    assert {one["alert"] for one in group["rules"]} == set(re.findall(r"`(Troupe[A-Z]\w+)`", TEXT))


def test_what_the_page_says_of_the_drain_is_what_is_set() -> None:
    assert f"`TROUPE_DRAIN_S` (Kubernetes: {settings()['TROUPE_DRAIN_S']})" in TEXT


def test_figures_of_the_page_are_those_that_were_measured() -> None:
    measured = (ROOT / "docs/benchmarks.md").read_text()
    sizing = TEXT.partition("## Sizing")[2].partition("\n## ")[0]
    for figure in ("108 MB", "95 %", "2.0 ms", "0.36 ms", "6.6 commands"):
        assert figure in sizing
        assert figure in measured
