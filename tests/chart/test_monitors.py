"""Monitors of the Prometheus Operator: they find each exporter of the release once, and nothing else."""

import pytest
from tests.chart.objects import Object, Render, of_kind, pod_labels

MONITORS = {"serviceMonitor": ("ServiceMonitor", "endpoints"), "podMonitor": ("PodMonitor", "podMetricsEndpoints")}


def monitored(render: Render, value: str, **more: Object) -> tuple[Object, list[Object]]:
    """Return the monitor that a value turns on, and all objects."""
    metrics = {value: {"enabled": True, "labels": {"release": "prometheus"}, "interval": "15s"}}
    objects = render({"metrics": metrics, **more})
    (monitor,) = of_kind(objects, MONITORS[value][0]).values()
    return monitor, objects


def selects(monitor: Object, labels: Object) -> bool:
    """Tell whether the selector of a monitor matches labels."""
    selector = monitor["spec"]["selector"]
    (expression,) = selector["matchExpressions"]
    assert expression["operator"] == "In"
    return bool(selector["matchLabels"].items() <= labels.items()) and labels[expression["key"]] in expression["values"]


@pytest.mark.parametrize("value", MONITORS)
def test_monitor__of_values(render: Render, value: str) -> None:
    """The monitor has the labels and the interval of values, and asks for the port of the metrics."""
    monitor, _ = monitored(render, value)

    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert monitor["spec"][MONITORS[value][1]] == [{"port": "metrics", "interval": "15s"}]


def test_service_monitor__services(render: Render) -> None:
    """It selects one Service with the port of the metrics for the service, and one for its worker."""
    monitor, objects = monitored(render, "serviceMonitor")

    found = {
        name
        for name, service in of_kind(objects, "Service").items()
        if selects(monitor, service["metadata"]["labels"])
        and "metrics" in {port["name"] for port in service["spec"]["ports"]}
    }
    assert found == {"sy-switchyard-metrics", "sy-switchyard-crossdb-worker-metrics"}


def test_pod_monitor__pods(render: Render) -> None:
    """It selects the pods of the service and of its worker, and no pod of a server, a Job or a test."""
    monitor, objects = monitored(render, "podMonitor")

    assert {name for name, labels in pod_labels(objects).items() if selects(monitor, labels)} == {
        "Deployment/sy-switchyard",
        "Deployment/sy-switchyard-crossdb-worker",
    }


@pytest.mark.parametrize("value", MONITORS)
def test_monitor__without_the_worker(render: Render, value: str) -> None:
    """Without the worker it selects the component of the service alone."""
    monitor, _ = monitored(render, value, crossdbWorker={"enabled": False})

    assert monitor["spec"]["selector"]["matchExpressions"][0]["values"] == ["service"]
