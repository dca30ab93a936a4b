"""The compose file starts what is there, the way it wants to be started."""

import re
from functools import cache
from typing import Any, cast

import pytest
import yaml

from tests.unit.command_line import refusal
from tests.unit.pages import ROOT, setting_names

OURS = ("orchestrator", "worker-planner", "worker-search", "worker-analysis", "worker-summary", "flower")
WORKERS = tuple(name for name in OURS if name.startswith("worker-"))
SERVICES = ("redis", *OURS)
SECRETS = ("REDIS_PASSWORD", "FLOWER_BASIC_AUTH")
Service = dict[str, Any]


@cache
def text() -> str:
    return (ROOT / "docker-compose.yml").read_text()


def service(name: str) -> Service:
    compose = cast(dict[str, dict[str, Service]], yaml.safe_load(text()))
    return compose["services"][name]


def test_the_services_are_the_ones_that_people_scale_by_name() -> None:
    compose = cast(dict[str, dict[str, Service]], yaml.safe_load(text()))
    assert set(compose["services"]) == set(SERVICES)


@pytest.mark.parametrize("name", OURS)
def test_the_command_line_takes_the_command(name: str) -> None:
    assert refusal(service(name)["command"]) is None


@pytest.mark.parametrize("name", [name for name in OURS if name != "flower"])
def test_the_command_line_takes_the_health_check(name: str) -> None:
    exec_form, program, *words = service(name)["healthcheck"]["test"]
    assert (exec_form, program) == ("CMD", "troupe")
    assert refusal(words) is None


@pytest.mark.parametrize("name", WORKERS)
def test_each_worker_serves_the_queue_of_its_name(name: str) -> None:
    assert service(name)["command"][:2] == ["worker", name.removeprefix("worker-")]


@pytest.mark.parametrize("name", WORKERS)
def test_workers_can_be_scaled(name: str) -> None:
    assert "ports" not in service(name)
    assert "container_name" not in text()


@pytest.mark.parametrize("name", OURS)
def test_every_variable_of_ours_is_a_setting(name: str) -> None:
    ours = {variable for variable in service(name)["environment"] if variable.startswith("TROUPE_")}
    assert "TROUPE_REDIS_URL" in ours
    assert ours <= setting_names()


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_watched_and_comes_back(name: str) -> None:
    assert service(name)["healthcheck"]["test"]
    assert service(name)["restart"] == "unless-stopped"
    assert service(name)["stop_grace_period"] == "30s"


@pytest.mark.parametrize("name", OURS)
def test_every_process_of_ours_waits_for_redis_and_has_few_rights(name: str) -> None:
    assert service(name)["depends_on"] == {"redis": {"condition": "service_healthy"}}
    assert service(name)["cap_drop"] == ["ALL"]
    assert service(name)["read_only"] is True


def test_redis_keeps_what_it_is_given() -> None:
    command = service("redis")["command"]
    flags = dict(zip(command[1::2], command[2::2], strict=True))
    assert flags["--appendonly"] == "yes"
    assert flags["--maxmemory-policy"] == "noeviction"
    assert flags["--requirepass"].startswith("${REDIS_PASSWORD:?")


def test_only_flower_has_a_port_and_only_on_loopback() -> None:
    published = {name: service(name)["ports"] for name in SERVICES if "ports" in service(name)}
    assert list(published) == ["flower"]
    assert all(port.startswith("127.0.0.1:") for port in published["flower"])


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_has_no_default_and_starting_without_it_is_refused(secret: str) -> None:
    uses = re.findall(rf"\$\{{{secret}([^}}]*)\}}", text())
    assert uses
    assert all(rest.startswith(":?") for rest in uses)


def test_only_workers_get_the_key_of_the_model() -> None:
    holders = {name for name in OURS if "ANTHROPIC_API_KEY" in service(name)["environment"]}
    assert holders == set(WORKERS)


def test_workers_share_the_folder_of_knowledge_bases() -> None:
    home = service("worker-search")["environment"]["TROUPE_HOME"]
    assert all(f"home:{home}" in service(name)["volumes"] for name in WORKERS)


def test_every_interpolated_variable_is_explained_in_the_example() -> None:
    used = set(re.findall(r"\$\{([A-Z_]+)", text()))
    explained = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert used == explained


def test_the_image_runs_as_nobody_in_particular_from_hashed_packages() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert "USER 10001" in dockerfile
    assert "--require-hashes --requirement requirements.lock" in dockerfile
    assert 'ENTRYPOINT ["troupe"]' in dockerfile
