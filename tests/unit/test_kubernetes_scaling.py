"""What makes Kubernetes start and stop workers: the figure that is exported, and time to drain."""

import pytest

from orchestrator.metrics.families import fleet_families
from tasks.queues import QUEUES
from tests.support.figures import fleet_reading
from tests.support.manifests import VERSIONS, WORKERS, checked, of_kind, settings, workload

SCALED = {
    *("scaleTargetRef", "pollingInterval", "cooldownPeriod", "initialCooldownPeriod", "idleReplicaCount"),
    *("minReplicaCount", "maxReplicaCount", "fallback", "advanced", "triggers"),
}
"""Fields of a ScaledObject's spec, as KEDA documents them."""
ASKED = {
    *("serverAddress", "query", "threshold", "activationThreshold", "namespace", "customHeaders", "ignoreNullValues"),
    *("queryParameters", "unsafeSsl", "timeout", "authModes"),
}
"""Fields of its prometheus trigger."""


@pytest.mark.parametrize("queue", QUEUES)
def test_each_worker_is_scaled_by_what_is_wanted_of_its_queue(queue: str) -> None:
    one = of_kind("ScaledObject")[f"worker-{queue}"]
    spec = one["spec"]
    assert one["apiVersion"] == "keda.sh/v1alpha1"
    assert set(spec) <= SCALED
    assert spec["scaleTargetRef"] == {"name": f"worker-{queue}"}
    assert 1 <= spec["minReplicaCount"] < spec["maxReplicaCount"] <= 100
    assert "replicas" not in workload(f"worker-{queue}")["spec"], "an apply would set it back"
    (trigger,) = spec["triggers"]
    assert (trigger["type"], trigger["metricType"]) == ("prometheus", "AverageValue")
    told = trigger["metadata"]
    assert set(told) <= ASKED
    assert all(isinstance(value, str) for value in told.values())
    assert told["query"] == f'max(troupe_queue_workers_wanted{{queue="{queue}"}})'
    assert (told["threshold"], told["ignoreNullValues"]) == ("1", "false")


def test_what_scales_is_exported_for_every_queue() -> None:
    (wanted,) = [one for one in fleet_families(fleet_reading()) if one.name == "troupe_queue_workers_wanted"]
    assert set(QUEUES) <= {sample.labels["queue"] for sample in wanted.samples}


@pytest.mark.parametrize("name", WORKERS)
def test_workers_go_one_by_one_and_each_has_time_to_drain(name: str) -> None:
    spec = of_kind("ScaledObject")[name]["spec"]
    behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    (policy,) = behavior["scaleDown"]["policies"]
    drain = float(settings()["TROUPE_DRAIN_S"])
    assert (policy["type"], policy["value"]) == ("Pods", 1)
    assert policy["periodSeconds"] >= drain
    assert min(behavior["scaleDown"]["stabilizationWindowSeconds"], spec["cooldownPeriod"]) > drain
    scaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name},
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": name}, "maxReplicas": 1, "behavior": behavior},
    }
    assert checked(scaler, VERSIONS[-1]) == VERSIONS[-1]
