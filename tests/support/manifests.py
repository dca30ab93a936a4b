"""The manifests of deploy/kubernetes, as tests look at them."""

import importlib
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol, cast

import yaml

from tasks.queues import QUEUES

HERE: Final = Path(__file__).parents[2] / "deploy" / "kubernetes"
EXAMPLE: Final = "secret.example.yaml"
VERSIONS: Final = ("1.30", "1.37")
"""The oldest Kubernetes that is promised, and the newest whose schemas are installed."""
WORKERS: Final = tuple(f"worker-{queue}" for queue in QUEUES)
OURS: Final = ("orchestrator", *WORKERS, "api", "flower")
PODS: Final = ("redis", *OURS)
Manifest = dict[str, Any]


class Validator(Protocol):
    """kubernetes-validate, which says little about its types."""

    def validate(self, data: Manifest, desired_version: str, strict: bool = False) -> str:
        """Raise what is wrong."""
        ...


class Placed(NamedTuple):
    """A manifest, and the file that it stands in."""

    file: str
    manifest: Manifest

    def __str__(self) -> str:
        return f"{self.file}: {self.manifest['kind']}/{self.manifest['metadata']['name']}"


def read(path: Path) -> list[Manifest]:
    """The documents of a file."""
    return [one for one in yaml.safe_load_all(path.read_text()) if one]


@cache
def kustomization() -> Manifest:
    """What is applied."""
    (one,) = read(HERE / "kustomization.yaml")
    return one


@cache
def manifests() -> list[Placed]:
    """All of them, the example of the Secret too."""
    files = sorted(path for path in HERE.glob("*.yaml") if path.name != "kustomization.yaml")
    return [Placed(path.name, one) for path in files for one in read(path)]


def of_kind(*kinds: str) -> dict[str, Manifest]:
    """Those of some kinds, by their names."""
    return {one.manifest["metadata"]["name"]: one.manifest for one in manifests() if one.manifest["kind"] in kinds}


def workload(name: str) -> Manifest:
    """A Deployment or StatefulSet."""
    return of_kind("Deployment", "StatefulSet")[name]


def template(name: str) -> Manifest:
    """What its pods are made of."""
    return workload(name)["spec"]["template"]


def pod(name: str) -> Manifest:
    """The same without labels."""
    return template(name)["spec"]


def labels(name: str) -> dict[str, str]:
    """Labels of its pods."""
    return template(name)["metadata"]["labels"]


def containers(name: str) -> list[Manifest]:
    """Its containers, those first that run before the others."""
    return [*pod(name).get("initContainers", []), *pod(name)["containers"]]


def container(name: str) -> Manifest:
    """The one that stays."""
    (one,) = pod(name)["containers"]
    return one


def variables(one: Manifest) -> dict[str, Manifest]:
    """What it is given besides the settings that all share."""
    return {each["name"]: each for each in one.get("env", [])}


def settings() -> dict[str, str]:
    """The settings that all share."""
    return of_kind("ConfigMap")["troupe"]["data"]


def ports(name: str) -> dict[str, int]:
    """Named ports of a workload's container."""
    return {one["name"]: one["containerPort"] for one in container(name).get("ports", [])}


def selects(selector: Manifest, found: dict[str, str]) -> bool:
    """What a label selector says of these labels."""
    assert set(selector) <= {"matchLabels", "matchExpressions"}
    for one in selector.get("matchExpressions", []):
        assert one["operator"] == "In"
        if found.get(one["key"]) not in one["values"]:
            return False
    return selector.get("matchLabels", {}).items() <= found.items()


def claims(name: str) -> list[Manifest]:
    """Volumes that each of its pods has for itself."""
    return [one["metadata"] for one in workload(name)["spec"].get("volumeClaimTemplates", [])]


def checked(manifest: Manifest, version: str) -> str:
    """The version of Kubernetes whose schema it has been held to, with no field beyond it.

    Raises:
        kubernetes_validate.ValidationError: it is not valid.
    """
    return cast(Validator, importlib.import_module("kubernetes_validate")).validate(manifest, version, strict=True)
