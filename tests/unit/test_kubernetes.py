"""The manifests are valid by the published schemas, agree with one another, and start what is there."""

import ipaddress
import re
import subprocess

import pytest
from jsonschema import ValidationError

from orchestrator.api.settings import ApiSettings
from orchestrator.settings import OrchestratorSettings
from tasks.access import ApiKey
from tasks.outbound.settings import OutboundSettings
from tasks.queues import QUEUES
from tests.support.manifests import (
    EXAMPLE,
    HERE,
    OURS,
    PODS,
    VERSIONS,
    WORKERS,
    Placed,
    checked,
    claims,
    container,
    containers,
    kustomization,
    labels,
    manifests,
    of_kind,
    pod,
    ports,
    read,
    selects,
    settings,
    variables,
    workload,
)
from tests.support.users import FOLDER, ROLES, USERS
from tests.unit.command_line import refusal
from tests.unit.pages import ROOT, setting_names
from workers.settings import WorkerSettings

ROLE_OF = {"orchestrator": "orchestrator", "api": "api", "flower": "flower"} | dict.fromkeys(WORKERS, "worker")
NAME, PART_OF = "app.kubernetes.io/name", "app.kubernetes.io/part-of"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("one", [one for one in manifests() if one.manifest["kind"] != "ScaledObject"], ids=str)
def test_every_manifest_is_valid_by_the_schema_of_kubernetes(one: Placed, version: str) -> None:
    assert checked(one.manifest, version) == version


def test_a_field_that_there_is_not_would_be_found() -> None:
    wrong = workload("api") | {"spec": workload("api")["spec"] | {"replica": 2}}
    with pytest.raises(ValidationError, match="replica"):
        checked(wrong, VERSIONS[-1])


def test_the_kustomization_lists_every_file_but_the_example_of_the_secret() -> None:
    listed = [one for one in kustomization()["resources"] if not one.startswith("../")]
    assert sorted(listed) == sorted({one.file for one in manifests()} - {EXAMPLE})
    assert [one for one in kustomization()["resources"] if one.startswith("../")] == ["../redis"]


def test_the_users_of_redis_are_those_of_compose() -> None:
    (users,) = read(FOLDER / "kustomization.yaml")
    (generated,) = users["configMapGenerator"]
    assert users["generatorOptions"]["disableNameSuffixHash"] is True
    assert all((FOLDER / file).is_file() for file in generated["files"])
    assert set(generated["files"]) == {"start.sh", "users.acl"}
    mounts = {one["name"]: one["mountPath"] for one in container("redis")["volumeMounts"]}
    assert container("redis")["command"] == ["sh", f"{mounts['users']}/start.sh"]
    assert mounts["run"] == "/run/redis"


def test_everything_is_in_the_one_namespace() -> None:
    assert set(of_kind("Namespace")) == {kustomization()["namespace"]} == {"troupe"}
    assert {one.manifest["metadata"].get("namespace") for one in manifests() if one.file != EXAMPLE} == {None}


@pytest.mark.parametrize("one", manifests(), ids=str)
def test_everything_says_what_it_is_a_part_of(one: Placed) -> None:
    found = one.manifest["metadata"]["labels"]
    assert found[PART_OF] == "troupe"
    assert found[NAME] == one.manifest["metadata"]["name"]


def test_these_are_the_workloads() -> None:
    assert set(of_kind("Deployment", "StatefulSet")) == set(PODS)
    assert [workload(name)["spec"].get("replicas") for name in ("orchestrator", "api", "flower")] == [2, 2, 1]


@pytest.mark.parametrize("name", PODS)
def test_a_workload_selects_its_own_pods_and_no_others(name: str) -> None:
    selector = workload(name)["spec"]["selector"]
    assert [one for one in PODS if selects(selector, labels(one))] == [name]
    for spread in pod(name).get("topologySpreadConstraints", []):
        assert spread["labelSelector"] == selector


@pytest.mark.parametrize("name", of_kind("Service"))
def test_a_service_leads_to_a_port_of_its_pods(name: str) -> None:
    spec = of_kind("Service")[name]["spec"]
    (target,) = [one for one in PODS if spec["selector"].items() <= labels(one).items()]
    assert {one["targetPort"] for one in spec["ports"]} <= set(ports(target))
    assert spec.get("type", "ClusterIP") == "ClusterIP"


def test_the_ingress_leads_to_the_api_by_tls_only() -> None:
    ((name, ingress),) = of_kind("Ingress").items()
    (rule,) = ingress["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    backend = path["backend"]["service"]
    assert name == backend["name"] == "api"
    assert backend["port"]["name"] in {one["name"] for one in of_kind("Service")["api"]["spec"]["ports"]}
    (tls,) = ingress["spec"]["tls"]
    assert tls["hosts"] == [rule["host"]]


@pytest.mark.parametrize("name", PODS)
def test_what_a_pod_refers_to_is_there(name: str) -> None:
    secret, maps = of_kind("Secret")["troupe"]["stringData"], of_kind("ConfigMap")
    for one in containers(name):
        assert all(each["configMapRef"]["name"] in maps for each in one.get("envFrom", []))
        for source in [each["valueFrom"]["secretKeyRef"] for each in one["env"] if "valueFrom" in each]:
            assert source["name"] == "troupe"
            assert source["key"] in secret
        volumes = {each["name"] for each in [*pod(name)["volumes"], *claims(name)]}
        assert {each["name"] for each in one["volumeMounts"]} <= volumes
    for volume in pod(name)["volumes"]:
        if "persistentVolumeClaim" in volume:
            assert volume["persistentVolumeClaim"]["claimName"] in of_kind("PersistentVolumeClaim")
        assert volume.get("configMap", {"name": "redis-users"})["name"] == "redis-users"


def test_the_example_of_the_secret_holds_names_and_no_values() -> None:
    secret = of_kind("Secret")["troupe"]["stringData"]
    assert set(secret.values()) == {""}
    assert {f"REDIS_PASSWORD_{user.upper()}" for user in USERS} <= set(secret)
    asked = {
        each["valueFrom"]["secretKeyRef"]["key"]
        for name in PODS
        for one in containers(name)
        for each in one["env"]
        if "valueFrom" in each
    }
    assert set(secret) == asked
    assert set(secret) <= set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))


@pytest.mark.parametrize("name", OURS)
def test_the_command_line_takes_the_command(name: str) -> None:
    assert "command" not in container(name)
    assert refusal(container(name)["args"]) is None


def test_variables_are_settings_of_ours() -> None:
    given = {each for name in OURS for one in containers(name) for each in variables(one)} | set(settings())
    ours = {each for each in given if each.startswith("TROUPE_")}
    assert "TROUPE_REDIS_URL" in ours
    assert ours <= setting_names()


def test_what_the_settings_say_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in settings().items():
        monkeypatch.setenv(name, value)
    assert WorkerSettings().drain_s == float(settings()["TROUPE_DRAIN_S"])
    assert OutboundSettings().outbound_ports == "443", "what network.yaml lets out"
    assert ipaddress.ip_network(ApiSettings().api_proxies).is_private


@pytest.mark.parametrize("name", OURS)
def test_every_process_is_the_redis_user_of_its_role_and_knows_no_other_password(name: str) -> None:
    role, port = ROLE_OF[name], of_kind("Service")["redis"]["spec"]["ports"][0]["port"]
    assert role in ROLES
    for one in containers(name):
        names = [each["name"] for each in one["env"]]
        assert names.index("REDIS_PASSWORD") < names.index("TROUPE_REDIS_URL"), "it would not be filled in"
        assert variables(one)["TROUPE_REDIS_URL"]["value"] == f"redis://{role}:$(REDIS_PASSWORD)@redis:{port}/0"
        keys = [each["valueFrom"]["secretKeyRef"]["key"] for each in one["env"] if "valueFrom" in each]
        assert [key for key in keys if key.startswith("REDIS_")] == [f"REDIS_PASSWORD_{role.upper()}"]


def test_secrets_go_to_those_who_need_them() -> None:
    holders = {
        key: {name for name in OURS if any(key in variables(one) for one in containers(name))}
        for key in ("ANTHROPIC_API_KEY", "TROUPE_SECRET", "FLOWER_BASIC_AUTH")
    }
    assert holders == {
        "ANTHROPIC_API_KEY": set(WORKERS),
        "TROUPE_SECRET": {*WORKERS, "api"},
        "FLOWER_BASIC_AUTH": {"flower"},
    }


@pytest.mark.parametrize("name", PODS)
def test_no_service_becomes_a_variable_that_is_a_setting(name: str) -> None:
    """A Service `flower` would be FLOWER_PORT=tcp://…, which Flower refuses."""
    assert pod(name)["enableServiceLinks"] is False


def test_there_is_a_worker_for_every_queue_and_they_differ_in_nothing_else() -> None:
    texts: set[str] = set()
    for queue in QUEUES:
        assert container(f"worker-{queue}")["args"][:2] == ["worker", queue]
        text = (HERE / f"worker-{queue}.yaml").read_text()
        texts.add(re.sub(r'"--concurrency", "\d+"', "", text.replace(queue, "QUEUE")))
    assert len(texts) == 1


@pytest.mark.parametrize("name", PODS)
def test_every_container_has_few_rights_and_bounds(name: str) -> None:
    context = pod(name)["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["runAsUser"] == (999 if name == "redis" else 10001)
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod(name)["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod(name))
    for one in containers(name):
        assert one["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert set(one["resources"]["limits"]) == set(one["resources"]["requests"]) == {"cpu", "memory"}
        assert {"/tmp"} <= {each["mountPath"] for each in one["volumeMounts"]}
    assert all("hostPath" not in volume for volume in pod(name)["volumes"])


def test_images_are_of_one_version() -> None:
    (image,) = kustomization()["images"]
    version = re.findall(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert [image["newTag"]] == version
    assert {one["image"] for name in OURS for one in containers(name)} == {f"{image['name']}:{version[0]}"}
    assert re.fullmatch(r"redis:[7-9]\.\d+-alpine", container("redis")["image"])


@pytest.mark.parametrize("name", PODS)
def test_the_end_of_a_pod_waits_for_longer_than_its_drain(name: str) -> None:
    drain = float(settings()["TROUPE_DRAIN_S"])
    needed = {
        "redis": 30.0,
        "flower": 5.0,
        "orchestrator": OrchestratorSettings().orchestrator_drain_s,
        "api": ApiSettings().api_drain_s + pause("api"),
    } | dict.fromkeys(WORKERS, drain + WorkerSettings().settle_s)
    assert pod(name)["terminationGracePeriodSeconds"] > needed[name] + 5


def pause(name: str) -> float:
    return container(name)["lifecycle"]["preStop"]["sleep"]["seconds"]


def test_requests_go_elsewhere_before_the_api_stops_to_listen() -> None:
    assert pause("api") >= 3


@pytest.mark.parametrize("name", ["orchestrator", *WORKERS])
def test_a_store_that_is_away_makes_nobody_start_anew(name: str) -> None:
    one = container(name)
    for probe in ("startupProbe", "livenessProbe"):
        assert one[probe]["tcpSocket"] == {"port": "metrics"}
    assert str(ports(name)["metrics"]) == settings()["TROUPE_METRICS_PORT"]
    program, *words = one["readinessProbe"]["exec"]["command"]
    assert (program, words) == ("troupe", ["doctor", "--role", ROLE_OF[name]])
    assert refusal(words) is None


def test_the_api_is_asked_whether_it_lives_and_whether_it_is_ready() -> None:
    one, told = container("api"), container("api")["args"]
    assert one["livenessProbe"]["httpGet"] == one["startupProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    assert one["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
    assert told[told.index("--port") + 1] == str(ports("api")["http"])
    assert {
        container("flower")[f"{each}Probe"]["httpGet"]["path"] for each in ("startup", "liveness", "readiness")
    } == {"/healthcheck"}
    assert ports("flower") == {"http": 5555}


def test_the_probe_of_redis_is_a_user_that_may_only_that() -> None:
    shell, flag, line = container("redis")["readinessProbe"]["exec"]["command"]
    assert (shell, flag) == ("sh", "-c")
    assert subprocess.run(["sh", "-n", "-c", line], check=False).returncode == 0
    assert "--user metrics" in line
    assert "exec" not in container("redis")["livenessProbe"]


def test_the_api_waits_for_its_first_key() -> None:
    (waiting,) = pod("api")["initContainers"]
    shell, flag, line = waiting["command"]
    assert (shell, flag) == ("sh", "-c")
    assert subprocess.run(["sh", "-n", "-c", line], check=False).returncode == 0
    (asked,) = re.findall(r"until troupe (.*) \| grep -q '\"(\w+)\"'", line)
    assert refusal(asked[0].split()) is None
    assert asked[1] in ApiKey.model_fields
    (told,) = re.findall(r"-- troupe (keys create .*)", (HERE / "api.yaml").read_text())
    assert refusal(told.split()) is None
    assert f"--container {waiting['name']} " in (HERE / "api.yaml").read_text()


@pytest.mark.parametrize("name", OURS)
def test_an_update_takes_nobody_away_before_another_is_ready(name: str) -> None:
    update = workload(name)["spec"]["strategy"]["rollingUpdate"]
    assert update["maxUnavailable"] == (1 if name == "flower" else 0)
    assert update["maxSurge"] == {"flower": 0, "orchestrator": 1, "api": 1}.get(name, "25%")


@pytest.mark.parametrize("name", ["orchestrator", *WORKERS, "api"])
def test_nodes_are_emptied_one_pod_at_a_time_and_never_held_up(name: str) -> None:
    spec = of_kind("PodDisruptionBudget")[name]["spec"]
    assert spec["selector"] == workload(name)["spec"]["selector"]
    assert (spec["maxUnavailable"], spec["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")


@pytest.mark.parametrize("name", PODS)
def test_knowledge_is_shared_by_those_who_read_and_write_it(name: str) -> None:
    shared = [one for one in pod(name)["volumes"] if "persistentVolumeClaim" in one]
    assert bool(shared) == (name in {*WORKERS, "api"})
    assert of_kind("PersistentVolumeClaim")["home"]["spec"]["accessModes"] == ["ReadWriteMany"]
    if name != "redis":
        places = {one["mountPath"] for one in container(name)["volumeMounts"]}
        assert settings()["TROUPE_HOME"] in places
