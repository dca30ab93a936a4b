"""Who may talk to whom in Kubernetes: each only to whom it needs."""

import ipaddress
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.manifests import OURS, PODS, WORKERS, labels, of_kind, selects

Opened = set[tuple[str, int]]
NOBODY: Opened = set()


def policies(name: str, direction: str) -> Iterator[dict[str, Any]]:
    """Rules of all policies that hold for a pod."""
    for policy in of_kind("NetworkPolicy").values():
        spec = policy["spec"]
        if direction.title() in spec["policyTypes"] and selects(spec["podSelector"], labels(name)):
            yield from spec.get(direction, [])


def opened(name: str, direction: str, key: str) -> Opened:
    """Who may be met at which ports: names of our pods, of namespaces, or `internet`."""
    found: Opened = set()
    for rule in policies(name, direction):
        for peer in rule[key]:
            if "ipBlock" in peer:
                names = ["internet"]
            elif "namespaceSelector" in peer:
                names = [peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]]
            else:
                names = [one for one in PODS if selects(peer["podSelector"], labels(one))]
            found |= {(one, port["port"]) for one in names for port in rule["ports"]}
    return found


def test_what_no_policy_allows_is_refused() -> None:
    everywhere = of_kind("NetworkPolicy")["default-deny"]["spec"]
    assert everywhere == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@pytest.mark.parametrize(
    ("name", "outgoing", "incoming"),
    [
        ("redis", NOBODY, {(name, 6379) for name in OURS}),
        ("orchestrator", {("redis", 6379), ("kube-system", 53)}, {("monitoring", 9464)}),
        *(
            (name, {("redis", 6379), ("kube-system", 53), ("internet", 443)}, {("monitoring", 9464)})
            for name in WORKERS
        ),
        ("api", {("redis", 6379), ("kube-system", 53), ("internet", 443)}, {("traefik", 8080)}),
        ("flower", {("redis", 6379), ("kube-system", 53)}, NOBODY),
    ],
    ids=PODS,
)
def test_every_pod_meets_only_whom_it_needs(name: str, outgoing: Opened, incoming: Opened) -> None:
    assert opened(name, "egress", "to") == outgoing
    assert opened(name, "ingress", "from") == incoming


@pytest.mark.parametrize(
    "address",
    [
        *(
            "10.96.0.1",
            "172.16.3.4",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.1.1",
            "127.0.0.1",
            "224.0.0.1",
        ),
        *("::1", "fd00:ec2::254", "fe80::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "ff02::1", "fc00::1"),
    ],
)
def test_the_internet_is_nothing_inside(address: str) -> None:
    assert not is_let_out(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "2606:4700::1111"])
def test_the_internet_is_what_is_public(address: str) -> None:
    assert is_let_out(address)


def is_let_out(text: str) -> bool:
    address = ipaddress.ip_address(text)
    blocks = [peer["ipBlock"] for rule in policies("api", "egress") for peer in rule["to"] if "ipBlock" in peer]
    assert len(blocks) == 2
    return any(
        address in ipaddress.ip_network(block["cidr"])
        and not any(address in ipaddress.ip_network(one) for one in block["except"])
        for block in blocks
    )
