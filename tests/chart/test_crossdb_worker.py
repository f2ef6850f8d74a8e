"""The worker of references across databases: a Deployment beside the service's, with what the service's pods have."""

from pathlib import Path

import pytest
import yaml
from tests.chart.objects import CHART, Object, Render, containers, environment, of_kind, pod_annotations, pod_labels
from tests.chart.test_modes import EXTERNAL, only
from tests.chart.test_network import DNS, METRICS_READERS, OTHER_PODS, WORKERS, allowed, policies

SERVICE, WORKER = "sy-switchyard", "sy-switchyard-crossdb-worker"
SETS = [*sorted((CHART / "ci").glob("*-values.yaml")), CHART / "values.yaml"]
HEALTH = ("TCP", 8001, "anywhere")


def pod(objects: list[Object], name: str) -> Object:
    """Return the spec of the pods of a Deployment."""
    spec: Object = of_kind(objects, "Deployment")[name]["spec"]["template"]["spec"]
    return spec


def container(objects: list[Object], name: str) -> Object:
    """Return a container of the worker's pods."""
    (found,) = (each for each in containers(pod(objects, WORKER)) if each["name"] == name)
    return found


def without(container: Object, *fields: str) -> Object:
    """Return a container without some fields."""
    return {key: value for key, value in container.items() if key not in fields}


def test_objects__of_the_worker(render: Render) -> None:
    """The worker has a Deployment, a budget, a policy, and a Service for its metrics."""
    found = {(each["kind"], each["metadata"]["name"]) for each in render() if "crossdb-worker" in str(each["metadata"])}

    assert found == {
        ("Deployment", WORKER),
        ("PodDisruptionBudget", WORKER),
        ("NetworkPolicy", WORKER),
        ("Service", f"{WORKER}-metrics"),
    }


@pytest.mark.parametrize("values", SETS, ids=lambda path: path.stem)
def test_objects__without_the_worker(render: Render, values: Path) -> None:
    """With `enabled: false` no object is the worker's or names it, and all other objects are there.

    The rules of the alerts are the same for all releases.
    """
    given = yaml.safe_load(values.read_text())

    after = render(given | {"crossdbWorker": {"enabled": False}})

    assert "crossdb" not in str([each for each in after if each["kind"] != "PrometheusRule"])
    assert [(each["kind"], each["metadata"]["name"]) for each in after] == [
        (each["kind"], each["metadata"]["name"]) for each in render(given) if WORKER not in each["metadata"]["name"]
    ]


def test_command__of_the_worker(render: Render) -> None:
    """The container runs the command of the package, with the port of its probes."""
    worker = container(render(), "worker")

    assert worker["command"] == ["python", "manage.py", "crossdb_worker", "--health-port", "8001"]
    assert "args" not in worker
    assert worker["ports"] == [{"name": "health", "containerPort": 8001}]


def test_values__of_the_worker(render: Render) -> None:
    """The values set the number of pods, and the resources of the worker and of its gate."""
    resources = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}
    objects = render({"replicaCount": 5, "crossdbWorker": {"replicaCount": 3, "resources": resources}})

    assert of_kind(objects, "Deployment")[WORKER]["spec"]["replicas"] == 3
    assert container(objects, "worker")["resources"] == container(objects, "gate")["resources"] == resources


def test_replicas__with_an_autoscaler(render: Render) -> None:
    """The autoscaler is the service's: the worker keeps the number of its values."""
    deployment = of_kind(render({"autoscaling": {"enabled": True}}), "Deployment")[WORKER]

    assert deployment["spec"]["replicas"] == 1


@pytest.mark.parametrize("values", SETS, ids=lambda path: path.stem)
def test_pods__as_those_of_the_service(render: Render, values: Path) -> None:
    """In each mode a pod of the worker has the fields, volumes, labels and checksum of a pod of the service."""
    objects = render(yaml.safe_load(values.read_text()))
    own = {"affinity", "topologySpreadConstraints", "terminationGracePeriodSeconds", "initContainers", "containers"}
    service, worker = (
        {key: value for key, value in pod(objects, name).items() if key not in own} for name in (SERVICE, WORKER)
    )

    assert worker == service
    labels, annotations = pod_labels(objects), pod_annotations(objects)
    assert labels[f"Deployment/{WORKER}"] == labels[f"Deployment/{SERVICE}"] | {
        "app.kubernetes.io/component": "crossdb-worker"
    }
    assert annotations[f"Deployment/{WORKER}"] == annotations[f"Deployment/{SERVICE}"]


@pytest.mark.parametrize("values", SETS, ids=lambda path: path.stem)
def test_containers__as_those_of_the_service(render: Render, values: Path) -> None:
    """In each mode the worker and its gate have the image, variables, files and rights of the service and its gate."""
    objects = render(yaml.safe_load(values.read_text()))
    gate, service, *metrics = containers(pod(objects, SERVICE))
    own = ("name", "command", "ports", "resources", "startupProbe", "readinessProbe", "livenessProbe", "lifecycle")

    assert without(container(objects, "worker"), *own) == without(service, *own)
    assert without(container(objects, "gate"), "resources") == without(gate, "resources")
    assert [container(objects, "metrics")] == metrics


@pytest.mark.parametrize("replicas", [1, 2])
def test_environment__of_peers(render: Render, replicas: int) -> None:
    """The worker gets CONSOLE_PEERS of the service, so that its exporter accepts the token of the consoles."""
    objects = render({"replicaCount": replicas})
    peers = environment(containers(pod(objects, SERVICE))[1])["CONSOLE_PEERS"]

    assert environment(container(objects, "worker"))["CONSOLE_PEERS"] == peers


def test_probes__of_the_worker(render: Render) -> None:
    """The start and the life of a pod hang on its loop alone; a pod is ready once it has reached the owners."""
    worker = container(render(), "worker")

    asked = {name: worker[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness", "liveness")}
    assert {name: get["path"] for name, get in asked.items()} == {
        "startup": "/livez",
        "readiness": "/readyz",
        "liveness": "/livez",
    }
    for get in asked.values():
        assert (get["port"], get["httpHeaders"]) == ("health", [{"name": "Host", "value": "localhost"}])


def test_rollout__of_the_worker(render: Render) -> None:
    """The old pod works until the new one is ready, however long the migrations take, and ends by SIGTERM alone."""
    objects = render({"migrations": {"activeDeadlineSeconds": 900}})
    spec = of_kind(objects, "Deployment")[WORKER]["spec"]

    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    assert spec["progressDeadlineSeconds"] == 900 + 600
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] == 30
    assert "lifecycle" not in container(objects, "worker")


def test_services__of_the_worker(render: Render) -> None:
    """Only the Service of its metrics selects its pods, and it selects no others."""
    objects = render()
    labels = pod_labels(objects)
    selected = {
        name: {pod for pod in labels if service["spec"]["selector"].items() <= labels[pod].items()}
        for name, service in of_kind(objects, "Service").items()
    }

    assert [name for name, pods in selected.items() if f"Deployment/{WORKER}" in pods] == [f"{WORKER}-metrics"]
    assert selected[f"{WORKER}-metrics"] == {f"Deployment/{WORKER}"}
    assert of_kind(objects, "Service")[f"{WORKER}-metrics"]["spec"]["clusterIP"] == "None"


def test_selectors__of_deployments(render: Render) -> None:
    """Each Deployment selects its own pods alone."""
    objects = render()
    labels = pod_labels(objects)

    for name, deployment in of_kind(objects, "Deployment").items():
        selector = deployment["spec"]["selector"]["matchLabels"]
        assert [pod for pod in labels if selector.items() <= labels[pod].items()] == [f"Deployment/{name}"]


def test_metrics__disabled(render: Render) -> None:
    """Without metrics the worker has no exporter, no Service, no directory and no open port for them."""
    objects = render({"metrics": {"enabled": False}})

    assert [each["name"] for each in containers(pod(objects, WORKER))] == ["gate", "worker"]
    assert of_kind(objects, "Service", "crossdb-worker") == {}
    assert "METRICS_DIR" not in environment(container(objects, "worker"))
    assert {volume["name"] for volume in pod(objects, WORKER)["volumes"]} == {"secrets", "tmp"}
    assert allowed(policies(objects)["crossdb-worker"], "ingress") == {HEALTH}


@pytest.mark.parametrize("pods", [0, "25%"])
def test_disruption_budget__of_the_worker(render: Render, pods: int | str) -> None:
    """One pod of the worker may be evicted at a time, whatever the values say of the service's pods."""
    objects = render({"podDisruptionBudget": {"maxUnavailable": pods}})
    spec = of_kind(objects, "PodDisruptionBudget")[WORKER]["spec"]

    assert spec["maxUnavailable"] == 1
    assert spec["selector"] == of_kind(objects, "Deployment")[WORKER]["spec"]["selector"]


def test_policy__by_default(render: Render) -> None:
    """Prometheus and consoles reach the metrics, the node the probes. The worker reaches DNS and databases, no pod."""
    found = policies(render())

    assert allowed(found["crossdb-worker"], "ingress") == {HEALTH, ("TCP", 9464, METRICS_READERS), OTHER_PODS}
    assert allowed(found["crossdb-worker"], "egress") == allowed(found["service"], "egress") - {OTHER_PODS, WORKERS}


@pytest.mark.parametrize("replicas", [1, 2])
def test_policy__of_the_consoles(render: Render, replicas: int) -> None:
    """The service's pods may ask the worker's exporter, however many they are."""
    found = policies(render({"replicaCount": replicas}))

    assert WORKERS in allowed(found["service"], "egress")
    assert OTHER_PODS in allowed(found["crossdb-worker"], "ingress")


@pytest.mark.parametrize("given", [{"metrics": {"enabled": False}}, {"crossdbWorker": {"enabled": False}}])
def test_policy__of_consoles_without_the_worker(render: Render, given: Object) -> None:
    """Where the worker reports nothing, the service does not reach it."""
    assert WORKERS not in allowed(policies(render(given))["service"], "egress")


@pytest.mark.parametrize(
    ("databases", "reached"),
    [
        (only(), {("TCP", 5432, "database default")}),
        (only(default=EXTERNAL | {"cidrs": ["10.1.0.0/16"]}), {("TCP", 5432, "10.1.0.0/16")}),
        (only(default={"mode": "cloudnativepg", "cluster": "pg"}), {("TCP", 5432, "cnpg.io/cluster=pg")}),
    ],
    ids=["bundled", "external", "cloudnativepg"],
)
def test_policy__of_each_mode(render: Render, databases: Object, reached: set[tuple[str, int, str]]) -> None:
    """The worker reaches the databases of each mode."""
    assert allowed(policies(render(databases))["crossdb-worker"], "egress") == DNS | reached


def test_policy__for_peers_of_values(render: Render) -> None:
    """Values name who may open its metrics, and where it may go besides."""
    given = {
        "metricsFrom": [{"podSelector": {"matchLabels": {"app": "scraper"}}}],
        "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"protocol": "TCP", "port": 4317}]}],
    }
    worker = policies(render({"networkPolicy": given}))["crossdb-worker"]

    assert allowed(worker, "ingress") == {HEALTH, ("TCP", 9464, "app=scraper"), OTHER_PODS}
    assert ("TCP", 4317, "10.0.0.0/8") in allowed(worker, "egress")


def test_servers__without_the_worker(render: Render) -> None:
    """A bundled server lets the worker in only if there is one."""
    with_worker, without_worker = (
        allowed(policies(render({"crossdbWorker": {"enabled": enabled}}))["database legacy"], "ingress")
        for enabled in (True, False)
    )

    assert with_worker - without_worker == {("TCP", 3306, "crossdb-worker")}
    assert without_worker < with_worker
