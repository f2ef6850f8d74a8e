"""Network policies from the model: each pod reaches what it needs, and is reached by those that need it."""

from typing import Any

import pytest
from tests.chart.objects import Object, Render, of_kind, pod_labels
from tests.chart.test_modes import EXTERNAL, only

DNS = {("UDP", 53, "anywhere"), ("TCP", 53, "anywhere")}
METRICS_READERS = "app.kubernetes.io/name=prometheus in any namespace"


def peer(found: Object) -> str:
    """Return a peer as text: component and alias of pods of the release, else its selectors or its network."""
    if "ipBlock" in found:
        return str(found["ipBlock"]["cidr"])
    labels = found.get("podSelector", {}).get("matchLabels", {})
    if "app.kubernetes.io/instance" in labels:
        alias = labels.get("switchyard/alias", "")
        return f"{labels['app.kubernetes.io/component']} {alias}".strip()
    text = ",".join(f"{key}={value}" for key, value in labels.items())
    return f"{text} in any namespace" if "namespaceSelector" in found else text


def allowed(policy: Object, direction: str) -> set[tuple[str, int, str]]:
    """Return what a policy allows in a direction: protocol, port and peer."""
    peers = "from" if direction == "ingress" else "to"
    return {
        (port["protocol"], port["port"], found)
        for rule in policy["spec"].get(direction, [])
        for port in rule["ports"]
        for found in [peer(each) for each in rule.get(peers, [])] or ["anywhere"]
    }


OTHER_PODS, WORKERS = ("TCP", 9464, "service"), ("TCP", 9464, "crossdb-worker")


def policies(objects: list[Object]) -> dict[str, Object]:
    """Return the policies by the pods that they select."""
    return {peer(found["spec"]): found for found in of_kind(objects, "NetworkPolicy").values()}


def selects(policy: Object, labels: Object) -> bool:
    """Tell whether a policy selects a pod with these labels."""
    selected: dict[str, Any] = policy["spec"]["podSelector"]["matchLabels"]
    return selected.items() <= labels.items()


def test_policies__of_every_pod(render: Render) -> None:
    """Exactly one policy selects each pod of the release, and isolates it in both directions."""
    objects = render({"databases": {"far": {"replicaOf": "analytics"}}})
    found = of_kind(objects, "NetworkPolicy").values()

    pods = pod_labels(objects)
    assert len(pods) == 2 + 5 + 3 + 2
    for name, labels in pods.items():
        assert [policy["spec"]["policyTypes"] for policy in found if selects(policy, labels)] == [
            ["Ingress", "Egress"]
        ], name


def test_policies__switched_off(render: Render) -> None:
    """With the value there are none."""
    assert not of_kind(render({"networkPolicy": {"enabled": False}}), "NetworkPolicy")


def test_service__by_default(render: Render) -> None:
    """Everyone reaches its port; Prometheus, the tests and other pods its metrics. It reaches these and databases."""
    service = policies(render())["service"]

    assert allowed(service, "ingress") == {
        ("TCP", 8000, "anywhere"),
        ("TCP", 9464, METRICS_READERS),
        ("TCP", 9464, "test"),
        OTHER_PODS,
    }
    assert allowed(service, "egress") == DNS | {
        OTHER_PODS,
        WORKERS,
        ("TCP", 5432, "database default"),
        ("TCP", 5432, "database replica"),
        ("TCP", 5432, "database analytics"),
        ("TCP", 3306, "database legacy"),
    }


def test_service__for_peers_of_values(render: Render) -> None:
    """Values name who may open its ports, and where it may go besides; the tests may always come."""
    given = {
        "httpFrom": [{"podSelector": {"matchLabels": {"app": "proxy"}}}],
        "metricsFrom": [],
        "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"protocol": "TCP", "port": 6379}]}],
    }
    found = policies(render({"networkPolicy": given}))

    assert allowed(found["service"], "ingress") == {
        ("TCP", 8000, "app=proxy"),
        ("TCP", 8000, "test"),
        ("TCP", 9464, "anywhere"),
        OTHER_PODS,
    }
    redis = ("TCP", 6379, "10.0.0.0/8")
    assert redis in allowed(found["service"], "egress")
    assert redis in allowed(found["migration legacy"], "egress")
    assert redis not in allowed(found["database default"], "egress")


def test_service__of_another_port(render: Render) -> None:
    """The port of the pods counts, not the port of their Service."""
    found = policies(render({"service": {"port": 80, "containerPort": 8080}}))

    assert ("TCP", 8080, "anywhere") in allowed(found["service"], "ingress")
    assert ("TCP", 8080, "service") in allowed(found["test"], "egress")


def test_policies__without_metrics_and_tests(render: Render) -> None:
    """Without metrics nobody reaches their port, and without tests there is no policy for tests."""
    found = policies(render({"metrics": {"enabled": False}, "tests": {"enabled": False}}))

    assert allowed(found["service"], "ingress") == {("TCP", 8000, "anywhere")}
    assert "test" not in found


@pytest.mark.parametrize("given", [{"replicaCount": 1}, {"metrics": {"enabled": False}}])
def test_policies__of_one_pod(render: Render, given: Object) -> None:
    """A pod that has no others, or cannot ask them, is not allowed to."""
    service = policies(render(given))["service"]

    assert OTHER_PODS not in allowed(service, "ingress") | allowed(service, "egress")


def test_jobs__of_each_owner(render: Render) -> None:
    """A Job reaches the database of its own alias alone, and nobody reaches it."""
    found = policies(render())

    for alias, port in {"default": 5432, "analytics": 5432, "legacy": 3306}.items():
        policy = found[f"migration {alias}"]
        assert allowed(policy, "egress") == DNS | {("TCP", port, f"database {alias}")}
        assert allowed(policy, "ingress") == set()


def test_servers__of_bundled_aliases(render: Render) -> None:
    """The service, its worker, the tests, the alias' own Job and its standbys reach a server; a standby its primary."""
    found = policies(render({"databases": {"far": {"replicaOf": "default"}}}))

    clients = {("TCP", 5432, "service"), ("TCP", 5432, "crossdb-worker"), ("TCP", 5432, "test")}
    assert allowed(found["database default"], "ingress") == clients | {
        ("TCP", 5432, "migration default"),
        ("TCP", 5432, "database replica"),
        ("TCP", 5432, "database far"),
    }
    assert allowed(found["database analytics"], "ingress") == clients | {("TCP", 5432, "migration analytics")}
    assert allowed(found["database replica"], "ingress") == clients
    assert allowed(found["database default"], "egress") == DNS
    assert allowed(found["database replica"], "egress") == DNS | {("TCP", 5432, "database default")}


def test_tests__of_the_release(render: Render) -> None:
    """The tests reach the service, its metrics and each database."""
    policy = policies(render(only()))["test"]

    assert allowed(policy, "egress") == DNS | {
        ("TCP", 8000, "service"),
        ("TCP", 9464, "service"),
        ("TCP", 5432, "database default"),
    }
    assert allowed(policy, "ingress") == set()


@pytest.mark.parametrize(
    ("given", "reached"),
    [
        ({}, {("TCP", 5432, "anywhere")}),
        ({"cidrs": ["10.1.0.0/16", "2001:db8::/32"]}, {("TCP", 5432, "10.1.0.0/16"), ("TCP", 5432, "2001:db8::/32")}),
        ({"port": 6432, "directHost": "primary"}, {("TCP", 6432, "anywhere"), ("TCP", 5432, "anywhere")}),
    ],
)
def test_external__by_port_and_network(render: Render, given: Object, reached: set[tuple[str, int, str]]) -> None:
    """A server outside the release is reached at its ports, in its networks if values name them."""
    found = policies(render(only(default=EXTERNAL | given)))

    assert allowed(found["service"], "egress") - {OTHER_PODS, WORKERS} == DNS | reached
    assert allowed(found["migration default"], "egress") == DNS | reached


def test_external__replica_in_the_networks_of_its_owner(render: Render) -> None:
    """A replica is in the networks of its owner, unless its values name others."""
    owner = EXTERNAL | {"cidrs": ["10.1.0.0/16"]}
    far = {"replicaOf": "default", "host": "far", "cidrs": ["10.2.0.0/16"]}
    found = policies(render(only(default=owner, replica={"enabled": True, "host": "ro"}, far=far)))

    assert allowed(found["service"], "egress") - DNS - {OTHER_PODS, WORKERS} == {
        ("TCP", 5432, "10.1.0.0/16"),
        ("TCP", 5432, "10.2.0.0/16"),
    }


def test_cloudnativepg__by_its_pods(render: Render) -> None:
    """The instances of a Cluster are reached by their label."""
    found = policies(render(only(default={"mode": "cloudnativepg", "cluster": "pg"}, replica={"enabled": True})))

    assert allowed(found["service"], "egress") - {OTHER_PODS, WORKERS} == DNS | {("TCP", 5432, "cnpg.io/cluster=pg")}
    assert allowed(found["migration default"], "egress") == DNS | {("TCP", 5432, "cnpg.io/cluster=pg")}
