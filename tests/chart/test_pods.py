"""What the chart makes so that each console adds up all pods."""

import pytest
from tests.chart.objects import Object, RefusedError, Render, of_kind, service_environment

AUTOSCALED = {"replicaCount": 1, "autoscaling": {"enabled": True}}


PODS, WORKER = "sy-switchyard-pods:9464", "sy-switchyard-crossdb-worker-metrics:9464"
WITHOUT_WORKER = {"crossdbWorker": {"enabled": False}}


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, [PODS, WORKER]),
        ({"replicaCount": 3}, [PODS, WORKER]),
        (AUTOSCALED, [PODS, WORKER]),
        (WITHOUT_WORKER, [PODS]),
        ({"replicaCount": 1}, [WORKER]),
        ({"replicaCount": 1, **WITHOUT_WORKER}, []),
        ({"metrics": {"enabled": False}}, []),
    ],
)
def test_peers__named(render: Render, given: Object, named: list[str]) -> None:
    """The service is told of its pods if there are several, and of its worker; of nobody without exporters."""
    assert service_environment(render(given)).get("CONSOLE_PEERS", "").split(",") == (named or [""])


@pytest.mark.parametrize(("address", "component"), [(PODS, "service"), (WORKER, "crossdb-worker")])
def test_peers__addresses(render: Render, address: str, component: str) -> None:
    """Each name is a headless Service with the addresses of all pods, ready or not, and with the port of the name."""
    objects = render()
    name, port = address.split(":")
    spec = of_kind(objects, "Service")[name]["spec"]
    (deployment,) = of_kind(objects, "Deployment", component).values()

    assert spec["clusterIP"] == "None"
    assert spec["publishNotReadyAddresses"] is True
    assert [each["port"] for each in spec["ports"]] == [int(port)] == [9464]
    assert spec["selector"].items() <= deployment["spec"]["template"]["metadata"]["labels"].items()


@pytest.mark.parametrize("given", [{"replicaCount": 1}, {"metrics": {"enabled": False}}])
def test_pods__one(render: Render, given: Object) -> None:
    """One pod, and pods without an exporter, have no such Service."""
    assert [name for name in of_kind(render(given), "Service", "service") if name.endswith("-pods")] == []


def test_pods__not_scraped_twice(render: Render) -> None:
    """The monitor of the metrics asks for a port that one Service has, and each pod is scraped once."""
    objects = render({"metrics": {"serviceMonitor": {"enabled": True}}})
    (monitor,) = of_kind(objects, "ServiceMonitor").values()
    (endpoint,) = monitor["spec"]["endpoints"]
    scraped = [
        name
        for name, service in of_kind(objects, "Service", "service").items()
        if endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    ]

    assert len(scraped) == 1
    assert scraped[0].endswith("-metrics")


@pytest.mark.parametrize(
    "values", [{"env": {"CONSOLE_PEERS": "x:1"}}, {"extraEnv": [{"name": "CONSOLE_PEERS", "value": "x:1"}]}]
)
def test_pods__named_by_the_chart_alone(render: Render, values: Object) -> None:
    """The variable belongs to the chart, and values may not set it."""
    with pytest.raises(RefusedError, match="CONSOLE_PEERS"):
        render(values)
