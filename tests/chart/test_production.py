"""The parts of every chart in production: each is rendered where it belongs, and nowhere without its value."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.chart.objects import (
    CHART,
    Object,
    Render,
    containers,
    of_kind,
    pod_annotations,
    pod_labels,
    pod_specs,
    service_environment,
)
from tests.chart.secret_store import SecretStore

SERVICE, WORKER = "Deployment/sy-switchyard", "Deployment/sy-switchyard-crossdb-worker"
SELECTOR = {
    "app.kubernetes.io/name": "switchyard",
    "app.kubernetes.io/instance": "sy",
    "app.kubernetes.io/component": "service",
}


def runs_the_image(name: str) -> bool:
    """Tell whether a pod is one of the service, of its worker or of a migration Job."""
    return name.startswith(("Deployment/", "Job/"))


def only_object(objects: list[Object], kind: str, component: str | None = None) -> Object:
    """Return the one object of a kind, perhaps of a component."""
    (found,) = of_kind(objects, kind, component).values()
    return found


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("imagePullSecrets", [{"name": "registry"}]),
        ("nodeSelector", {"disk": "fast"}),
        ("tolerations", [{"key": "dedicated", "operator": "Exists", "effect": "NoSchedule"}]),
        ("priorityClassName", "high"),
    ],
)
def test_pods__scheduling(render: Render, field: str, value: Any) -> None:
    """Every pod of the release has it: of the service, of Jobs, of servers and of tests."""
    specs = dict(pod_specs(render({field: value})))

    assert {name.partition("/")[0] for name in specs} == {"Deployment", "StatefulSet", "Job", "Pod"}
    for name, spec in specs.items():
        assert spec[field] == value, name


@pytest.mark.parametrize(
    "field",
    ["imagePullSecrets", "nodeSelector", "tolerations", "priorityClassName", "topologySpreadConstraints"],
)
def test_pods__without_scheduling(render: Render, field: str) -> None:
    """Without a value the field is left out."""
    for name, spec in pod_specs(render()):
        assert field not in spec, name


def test_affinity__of_the_service(render: Render) -> None:
    """The service's pods have it, and no others."""
    affinity: Object = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": []}}
    specs = dict(pod_specs(render({"affinity": affinity})))

    assert [name for name, spec in specs.items() if spec.get("affinity") == affinity] == [SERVICE]


@pytest.mark.parametrize(("name", "component"), [(SERVICE, "service"), (WORKER, "crossdb-worker")])
def test_affinity__without_a_value(render: Render, name: str, component: str) -> None:
    """A pod prefers a node without another one of its component, and starts beside it where there is no such node."""
    specs = dict(pod_specs(render()))

    (rules,) = specs[name]["affinity"].values()
    assert rules.keys() == {"preferredDuringSchedulingIgnoredDuringExecution"}
    ((preferred,),) = rules.values()
    assert preferred["podAffinityTerm"] == {
        "topologyKey": "kubernetes.io/hostname",
        "labelSelector": {"matchLabels": SELECTOR | {"app.kubernetes.io/component": component}},
    }
    assert {name for name, spec in specs.items() if "affinity" in spec} == {SERVICE, WORKER}


def test_spread__of_the_service(render: Render) -> None:
    """A constraint without a selector is about the service's pods; one with a selector keeps it."""
    bare = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
    own = bare | {"labelSelector": {"matchLabels": {"a": "b"}}}
    specs = dict(pod_specs(render({"topologySpreadConstraints": [bare, own]})))

    assert specs.pop(SERVICE)["topologySpreadConstraints"] == [bare | {"labelSelector": {"matchLabels": SELECTOR}}, own]
    assert not [name for name, spec in specs.items() if "topologySpreadConstraints" in spec]


def test_pods__labels_and_annotations(render: Render) -> None:
    """The pods of the service, of its worker and of the Jobs have them, and keep their own."""
    objects = render({"podLabels": {"team": "rails"}, "podAnnotations": {"example.org/on-call": "yes"}})

    for name, labels in pod_labels(objects).items():
        assert ("team" in labels) == runs_the_image(name), name
        assert labels["app.kubernetes.io/instance"] == "sy", name
    for name, annotations in pod_annotations(objects).items():
        assert ("example.org/on-call" in annotations) == runs_the_image(name), name
    for deployment in of_kind(objects, "Deployment").values():
        assert "checksum/secrets" in deployment["spec"]["template"]["metadata"]["annotations"]
        assert "team" not in deployment["spec"]["selector"]["matchLabels"]


def test_service_account__of_a_workload_identity(render: Render) -> None:
    """The ServiceAccount has the annotations and labels of values."""
    metadata = only_object(
        render({"serviceAccount": {"annotations": {"iam/role": "web"}, "labels": {"team": "rails"}}}), "ServiceAccount"
    )["metadata"]

    assert metadata["annotations"] == {"iam/role": "web"}
    assert metadata["labels"]["team"] == "rails"
    assert metadata["labels"]["app.kubernetes.io/name"] == "switchyard"


def test_volumes__of_values(render: Render) -> None:
    """The service, its worker, their gate and the Jobs mount them; the exporter, the servers and the tests do not."""
    volume = {"name": "fonts", "configMap": {"name": "fonts"}}
    mount = {"name": "fonts", "mountPath": "/fonts", "readOnly": True}
    specs = dict(pod_specs(render({"extraVolumes": [volume], "extraVolumeMounts": [mount]})))

    mounted = {
        container["name"]
        for name, spec in specs.items()
        for container in containers(spec)
        if mount in container["volumeMounts"]
    }
    assert mounted == {"gate", "service", "worker", "migrate"}
    assert {name for name, spec in specs.items() if volume in spec["volumes"]} == set(filter(runs_the_image, specs))


def test_objects__of_values(render: Render) -> None:
    """Maps and texts become objects, both as templates."""
    document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-map"}}
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-text\n"

    assert {"sy-map", "sy-text"} <= of_kind(render({"extraObjects": [document, text]}), "ConfigMap").keys()


def test_ingress__of_values(render: Render) -> None:
    """Each host leads to the service, which accepts it."""
    given = {
        "enabled": True,
        "className": "nginx",
        "annotations": {"a": "b"},
        "hosts": ["shop.example.org"],
        "tls": [{"secretName": "shop-tls", "hosts": ["shop.example.org"]}],
    }
    objects = render({"ingress": given})
    ingress = only_object(objects, "Ingress")

    assert ingress["metadata"]["annotations"] == {"a": "b"}
    backend = {"service": {"name": "sy-switchyard", "port": {"name": "http"}}}
    assert ingress["spec"] == {
        "ingressClassName": "nginx",
        "tls": given["tls"],
        "rules": [
            {
                "host": "shop.example.org",
                "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]},
            }
        ],
    }
    assert "shop.example.org" in service_environment(objects)["ALLOWED_HOSTS"].split(",")


def test_http_route__of_values(render: Render) -> None:
    """The route leads from its gateway to the service, which accepts its host names."""
    parents = [{"name": "gateway", "namespace": "gateways"}]
    objects = render(
        {
            "service": {"port": 80},
            "httpRoute": {
                "enabled": True,
                "parentRefs": parents,
                "hostnames": ["*.example.org"],
                "annotations": {"a": "b"},
            },
        }
    )
    route = only_object(objects, "HTTPRoute")

    assert route["metadata"]["annotations"] == {"a": "b"}
    assert route["spec"] == {
        "parentRefs": parents,
        "hostnames": ["*.example.org"],
        "rules": [{"backendRefs": [{"name": "sy-switchyard", "port": 80}]}],
    }
    assert ".example.org" in service_environment(objects)["ALLOWED_HOSTS"].split(",")


def test_autoscaling__of_values(render: Render) -> None:
    """The autoscaler sets the number of pods, and a new Deployment names none."""
    given = {
        "enabled": True,
        "minReplicas": 3,
        "maxReplicas": 6,
        "targetCPUUtilizationPercentage": 70,
        "targetMemoryUtilizationPercentage": 90,
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 600}},
    }
    objects = render({"autoscaling": given})

    def target(resource: str, percentage: int) -> Object:
        utilization = {"type": "Utilization", "averageUtilization": percentage}
        return {"type": "Resource", "resource": {"name": resource, "target": utilization}}

    assert only_object(objects, "HorizontalPodAutoscaler")["spec"] == {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "sy-switchyard"},
        "minReplicas": 3,
        "maxReplicas": 6,
        "metrics": [target("cpu", 70), target("memory", 90)],
        "behavior": given["behavior"],
    }
    assert "replicas" not in only_object(objects, "Deployment", "service")["spec"]
    assert only_object(render(), "Deployment", "service")["spec"]["replicas"] == 2


@pytest.mark.parametrize(("enabled", "replicas"), [(True, 7), (False, 2)])
def test_autoscaling__of_a_running_release(render: Render, store: SecretStore, *, enabled: bool, replicas: int) -> None:
    """An upgrade keeps the number of pods that an autoscaler set, also the upgrade that turns it on."""
    running = only_object(render(store=store), "Deployment", "service")
    store.keep(running | {"spec": running["spec"] | {"replicas": 7}})

    objects = render({"autoscaling": {"enabled": enabled}}, store=store)

    assert only_object(objects, "Deployment", "service")["spec"]["replicas"] == replicas


@pytest.mark.parametrize("pods", [0, 1, "25%"])
def test_disruption_budget__of_values(render: Render, pods: int | str) -> None:
    """By default one pod of the service may be evicted at a time; values say otherwise, or make none."""
    budget = only_object(render({"podDisruptionBudget": {"maxUnavailable": pods}}), "PodDisruptionBudget", "service")

    assert budget["spec"] == {
        "maxUnavailable": pods,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": {"matchLabels": SELECTOR},
    }
    assert not of_kind(render({"podDisruptionBudget": {"enabled": False}}), "PodDisruptionBudget")


def test_objects__of_the_default_values(render: Render) -> None:
    """What is off by default is not there."""
    kinds = {found["kind"] for found in render()}

    assert not kinds & {"Ingress", "HTTPRoute", "HorizontalPodAutoscaler"}
    assert not kinds & {"ServiceMonitor", "PodMonitor", "PrometheusRule"}


def test_ci__has_each_mode() -> None:
    """The sets of values for CI have each mode, and everything on."""
    sets = {path.name: path for path in sorted(Path(CHART / "ci").glob("*-values.yaml"))}
    everything = yaml.safe_load(sets["everything-values.yaml"].read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    assert sets.keys() >= {f"{mode}-values.yaml" for mode in ("bundled", "external", "cloudnativepg", "everything")}
    switches = {key for key, value in values.items() if isinstance(value, dict) and value.get("enabled") is False}
    assert (
        switches == {key for key in switches if everything[key]["enabled"]} == {"ingress", "httpRoute", "autoscaling"}
    )
    assert not [key for key in values if values[key] in ({}, [], "") and not everything.get(key)]


def test_deployment__time_to_end(render: Render) -> None:
    """A pod that ends takes requests for ten seconds, and gunicorn has time to finish them before the pod is killed."""
    (deployment,) = of_kind(render(), "Deployment", "service").values()
    pod = deployment["spec"]["template"]["spec"]
    waits = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    settings = (CHART.parent / "app" / "config" / "gunicorn.conf.py").read_text()
    (finishes,) = re.findall(r"^graceful_timeout = (\d+)", settings, re.MULTILINE)

    assert waits >= 10
    assert waits + int(finishes) < pod["terminationGracePeriodSeconds"]
