"""What the chart makes so that each console adds up all pods."""

import pytest
from tests.chart.objects import Object, RefusedError, Render, of_kind, service_environment

AUTOSCALED = {"replicaCount": 1, "autoscaling": {"enabled": True}}


@pytest.mark.parametrize("given", [{}, {"replicaCount": 3}, AUTOSCALED])
def test_pods__several(render: Render, given: Object) -> None:
    """A headless Service has the addresses of all pods, ready or not, and the service is told its name and port."""
    objects = render(given)
    address = service_environment(objects)["CONSOLE_PEERS"]
    name, port = address.split(":")
    spec = of_kind(objects, "Service")[name]["spec"]
    (deployment,) = of_kind(objects, "Deployment", "service").values()

    assert spec["clusterIP"] == "None"
    assert spec["publishNotReadyAddresses"] is True
    assert [each["port"] for each in spec["ports"]] == [int(port)] == [9464]
    assert spec["selector"].items() <= deployment["spec"]["template"]["metadata"]["labels"].items()


@pytest.mark.parametrize("given", [{"replicaCount": 1}, {"metrics": {"enabled": False}}])
def test_pods__one(render: Render, given: Object) -> None:
    """One pod, and pods without an exporter, have no such Service."""
    objects = render(given)

    assert "CONSOLE_PEERS" not in service_environment(objects)
    assert [name for name in of_kind(objects, "Service", "service") if name.endswith("-pods")] == []


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
