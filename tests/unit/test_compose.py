"""The compose file starts what is there, the way it wants to be started, by the rules of the compose specification."""

import re
import subprocess
from functools import cache
from typing import Any, cast

import pytest
import yaml

from orchestrator.api.settings import ApiSettings
from orchestrator.settings import OrchestratorSettings
from tests.support.users import ROLES, USERS
from tests.unit.command_line import refusal
from tests.unit.pages import ROOT, setting_names
from workers.settings import WorkerSettings

WORKERS = ("worker-planner", "worker-search", "worker-analysis", "worker-summary")
OURS = ("orchestrator", *WORKERS, "api", "flower")
MONITORING = ("prometheus", "grafana")
SERVICES = ("redis", *OURS, *MONITORING)
ROLE_OF = {"orchestrator": "orchestrator", "api": "api", "flower": "flower"} | dict.fromkeys(WORKERS, "worker")
PASSWORDS = tuple(f"REDIS_PASSWORD_{user.upper()}" for user in USERS)
SECRETS = (*PASSWORDS, "TROUPE_SECRET", "FLOWER_BASIC_AUTH", "GRAFANA_PASSWORD")
TOP = {"name", "services", "networks", "volumes"}
SERVICE = {
    *("image", "build", "command", "entrypoint", "environment", "depends_on", "restart", "init", "stop_grace_period"),
    *("user", "security_opt", "cap_drop", "read_only", "tmpfs", "volumes", "networks", "ports", "deploy"),
    *("healthcheck", "profiles"),
}
"""Attributes of the specification that this file uses. `privileged`, `network_mode`, `pid`, `devices` are not."""
DURATION = re.compile(r"(\d+)s")
Service = dict[str, Any]


@cache
def text() -> str:
    return (ROOT / "docker-compose.yml").read_text()


@cache
def compose() -> dict[str, Any]:
    return cast("dict[str, Any]", yaml.safe_load(text()))


def service(name: str) -> Service:
    return compose()["services"][name]


def seconds(duration: str) -> int:
    found = DURATION.fullmatch(duration)
    assert found is not None, duration
    return int(found[1])


def healthcheck(name: str) -> list[str]:
    return service(name)["healthcheck"]["test"]


def test_the_services_are_the_ones_that_people_scale_by_name() -> None:
    assert set(compose()["services"]) == set(SERVICES)


def test_the_file_has_what_the_specification_knows_and_nothing_that_opens_the_host() -> None:
    assert {key for key in compose() if not key.startswith("x-")} == TOP
    for name in SERVICES:
        assert set(service(name)) <= SERVICE, name


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_names_is_there(name: str) -> None:
    one = service(name)
    assert set(one["networks"]) <= set(compose()["networks"])
    for other, wanted in one.get("depends_on", {}).items():
        assert wanted == {"condition": "service_healthy"}
        assert "healthcheck" in service(other)
    for volume in one.get("volumes", []):
        source = re.sub(r"\$\{[^}]*\}", "./data", volume).partition(":")[0]
        assert source in compose()["volumes"] or source == "./data" or (ROOT / source).is_dir(), volume


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_bounded(name: str) -> None:
    limits = service(name)["deploy"]["resources"]["limits"]
    assert re.fullmatch(r"[\d.]+", limits["cpus"])
    assert re.fullmatch(r"\d+[mg]|\$\{REDIS_MEMORY_LIMIT:-2g\}", limits["memory"])


@pytest.mark.parametrize("name", OURS)
def test_the_command_line_takes_the_command(name: str) -> None:
    assert refusal(service(name)["command"]) is None


@pytest.mark.parametrize("name", ["orchestrator", *WORKERS])
def test_the_command_line_takes_the_health_check(name: str) -> None:
    exec_form, program, *words = healthcheck(name)
    assert (exec_form, program) == ("CMD", "troupe")
    assert refusal(words) is None
    assert words[-1] == ROLE_OF[name]


@pytest.mark.parametrize("name", ["api", "flower"])
def test_the_health_check_asks_the_port_that_is_listened_on(name: str) -> None:
    *before, code = healthcheck(name)
    assert before == ["CMD", "python", "-c"]
    assert compile(code, name, "exec")
    (port,) = service(name)["ports"]
    assert f"http://127.0.0.1:{port.rpartition(':')[2]}/" in code


def test_the_health_check_of_redis_is_the_user_that_may_only_that() -> None:
    exec_form, line = healthcheck("redis")
    assert exec_form == "CMD-SHELL"
    assert subprocess.run(["sh", "-n", "-c", line.replace("$$", "$")], check=False).returncode == 0
    assert "--user metrics" in line
    assert "$$REDIS_PASSWORD_METRICS" in line


@pytest.mark.parametrize("name", WORKERS)
def test_each_worker_serves_the_queue_of_its_name(name: str) -> None:
    assert service(name)["command"][:2] == ["worker", name.removeprefix("worker-")]


@pytest.mark.parametrize("name", ["orchestrator", *WORKERS])
def test_what_scales_has_no_port_and_no_name_of_its_own(name: str) -> None:
    assert "ports" not in service(name)
    assert "container_name" not in text()


def test_there_are_two_orchestrators() -> None:
    assert service("orchestrator")["deploy"]["replicas"] == 2


@pytest.mark.parametrize("name", OURS)
def test_every_variable_of_ours_is_a_setting(name: str) -> None:
    ours = {variable for variable in service(name)["environment"] if variable.startswith("TROUPE_")}
    assert "TROUPE_REDIS_URL" in ours
    assert ours <= setting_names()


@pytest.mark.parametrize("name", OURS)
def test_every_process_is_the_redis_user_of_its_role_and_knows_no_other_password(name: str) -> None:
    url = service(name)["environment"]["TROUPE_REDIS_URL"]
    role = ROLE_OF[name]
    assert role in ROLES
    assert url.startswith(f"redis://{role}:${{REDIS_PASSWORD_{role.upper()}:?")
    assert url.endswith("@redis:6379/0")
    assert len(re.findall("REDIS_PASSWORD_[A-Z]+:", str(service(name)["environment"]))) == 1


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_watched_and_comes_back(name: str) -> None:
    assert healthcheck(name)
    assert service(name)["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", SERVICES)
def test_a_stop_waits_for_longer_than_any_drain(name: str) -> None:
    drains = [WorkerSettings().drain_s, OrchestratorSettings().orchestrator_drain_s, ApiSettings().api_drain_s]
    assert seconds(service(name)["stop_grace_period"]) > max(drains)


@pytest.mark.parametrize("name", SERVICES)
def test_every_process_has_few_rights(name: str) -> None:
    one = service(name)
    assert one["cap_drop"] == ["ALL"]
    assert one["read_only"] is True
    assert one["security_opt"] == ["no-new-privileges:true"]
    if name not in MONITORING:  # whose images have a user of their own
        assert int(one["user"].partition(":")[0]) > 0


@pytest.mark.parametrize("name", OURS)
def test_every_process_of_ours_waits_for_redis(name: str) -> None:
    assert set(service(name)["depends_on"]) == {"redis"}


def test_redis_keeps_what_it_is_given_and_knows_its_users() -> None:
    one = service("redis")
    command = one["command"]
    flags = dict(zip(command[1::2], command[2::2], strict=True))
    assert flags["--appendonly"] == "yes"
    assert flags["--maxmemory-policy"] == "noeviction"
    assert one["entrypoint"] == ["sh", "/etc/troupe/start.sh"]
    assert "./deploy/redis:/etc/troupe:ro" in one["volumes"]
    assert any(place.startswith("/run/redis:") for place in one["tmpfs"])
    assert set(PASSWORDS) <= set(one["environment"])


def test_ports_are_on_loopback_and_only_of_those_that_people_open() -> None:
    published = {name: service(name)["ports"] for name in SERVICES if "ports" in service(name)}
    assert set(published) == {"api", "flower", *MONITORING}
    assert all(re.fullmatch(r"127\.0\.0\.1:\$\{\w+:-\d+\}:\d+", port) for ports in published.values() for port in ports)


def test_redis_and_the_orchestrators_have_no_way_out() -> None:
    assert compose()["networks"]["store"] == {"internal": True}
    assert [name for name in SERVICES if service(name)["networks"] == ["store"]] == ["redis", "orchestrator"]


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_has_no_default_and_starting_without_it_is_refused(secret: str) -> None:
    uses = re.findall(rf"\$\{{{secret}([^}}]*)\}}", text())
    assert uses
    assert all(rest.startswith(":?") for rest in uses)


def test_only_workers_get_the_key_of_the_model() -> None:
    holders = {name for name in SERVICES if "ANTHROPIC_API_KEY" in service(name).get("environment", {})}
    assert holders == set(WORKERS)


def test_those_who_sign_and_check_decisions_share_the_secret() -> None:
    holders = {name for name in SERVICES if "TROUPE_SECRET" in service(name).get("environment", {})}
    assert holders == {*WORKERS, "api"}


@pytest.mark.parametrize("name", [*WORKERS, "api"])
def test_knowledge_bases_are_in_a_folder_that_their_users_share(name: str) -> None:
    home = service(name)["environment"]["TROUPE_HOME"]
    assert f"home:{home}" in service(name)["volumes"]


def test_what_flower_has_seen_is_written_by_nobody_else() -> None:
    assert [name for name in SERVICES if "flower:/var/lib/troupe" in service(name).get("volumes", [])] == ["flower"]


def test_monitoring_starts_only_when_it_is_asked_for() -> None:
    assert {name for name in SERVICES if service(name).get("profiles") == ["monitoring"]} == set(MONITORING)
    assert all("profiles" not in service(name) for name in SERVICES if name not in MONITORING)


def test_prometheus_asks_every_process_that_serves_figures() -> None:
    scrapes = yaml.safe_load((ROOT / "deploy/prometheus/compose.yml").read_text())
    (found,) = scrapes["scrape_configs"][0]["dns_sd_configs"]
    serving = {name for name in OURS if "TROUPE_METRICS_PORT" in service(name)["environment"]}
    assert set(found["names"]) == serving == {"orchestrator", *WORKERS}
    assert str(found["port"]) == service("orchestrator")["environment"]["TROUPE_METRICS_PORT"]
    assert scrapes["rule_files"] == ["alerts.yml"]
    assert "--config.file=/etc/prometheus/compose.yml" in service("prometheus")["command"]


def test_grafana_finds_its_data_and_its_dashboard() -> None:
    folder = ROOT / "deploy/grafana/provisioning"
    (source,) = yaml.safe_load((folder / "datasources/troupe.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((folder / "dashboards/troupe.yml").read_text())["providers"]
    assert source["url"] == f"http://{MONITORING[0]}:9090"
    assert "./deploy/grafana:/etc/troupe:ro" in service("grafana")["volumes"]
    assert provider["options"]["path"] == "/etc/troupe"
    assert service("grafana")["environment"]["GF_PATHS_PROVISIONING"] == "/etc/troupe/provisioning"


def test_every_interpolated_variable_is_explained_in_the_example() -> None:
    used = set(re.findall(r"\$\{([A-Z_]+)", text()))
    explained = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert used == explained


def test_passwords_are_made_up_anew_each_time_and_are_all_that_is_required() -> None:
    made = [
        subprocess.run(["sh", str(ROOT / "deploy/new-env.sh")], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    first, second = (dict(re.findall(r"^([A-Z_]+)=(.+)$", one, re.MULTILINE)) for one in made)
    assert set(SECRETS) <= set(first)
    assert all(first[name] != second[name] and len(first[name]) >= 40 for name in SECRETS)
    assert len({first[name] for name in SECRETS}) == len(SECRETS)


def test_the_example_holds_no_password() -> None:
    example = (ROOT / ".env.example").read_text()
    assert all(f"\n{name}=\n" in example for name in SECRETS)


def test_the_image_runs_as_nobody_in_particular_from_hashed_packages() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert "USER 10001" in dockerfile
    assert "--require-hashes --requirement requirements.lock" in dockerfile
    assert 'ENTRYPOINT ["troupe"]' in dockerfile


def test_what_builds_the_image_is_not_in_it() -> None:
    stages = (ROOT / "Dockerfile").read_text().split("\nFROM ")[1:]
    assert len(stages) == 2
    assert stages[0].splitlines()[0].endswith(" AS build")
    assert "pip install" not in stages[1]
    assert re.findall(r"^COPY .*", stages[1], re.MULTILINE) == ["COPY --from=build /opt/troupe /opt/troupe"]


def test_the_image_gets_the_sources_and_nothing_else() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    copied = {
        path
        for line in re.findall(r"^COPY (?!--)(.*)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
        for path in line.split()[:-1]
    }
    assert ignored[0] == "*"
    assert {line[1:] for line in ignored if line.startswith("!")} == copied
