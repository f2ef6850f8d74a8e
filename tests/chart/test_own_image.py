"""The values by which the chart runs the image of another Django project."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml
from tests.chart.objects import (
    CHART,
    Object,
    RefusedError,
    Render,
    containers,
    environment,
    of_kind,
    pod_specs,
    service_environment,
)

EXTRA = [
    {"name": "PAYMENT_TOKEN", "valueFrom": {"secretKeyRef": {"name": "payments", "key": "token"}}},
    {"name": "lower", "value": "x"},
]
FROM = [{"configMapRef": {"name": "shop"}}, {"prefix": "PAY_", "secretRef": {"name": "payments", "optional": True}}]
# The containers whose process loads the settings of the project.
WITH_SETTINGS = {"gate", "service", "worker", "migrate"}


def pod(objects: list[Object]) -> Object:
    """Return the spec of the service's pods."""
    (deployment,) = of_kind(objects, "Deployment", "service").values()
    spec: Object = deployment["spec"]["template"]["spec"]
    return spec


def container(objects: list[Object], name: str) -> Object:
    """Return a container of the service's pods."""
    (found,) = (each for each in containers(pod(objects)) if each["name"] == name)
    return found


def every_container(objects: list[Object]) -> list[Object]:
    """Return the containers of all pods."""
    return [each for _, spec in pod_specs(objects) for each in containers(spec)]


def test_command__of_the_service(render: Render) -> None:
    """The container runs the command of its image, or the command and the arguments of the values."""
    values = {"service": {"command": ["uvicorn"], "args": ["shop.asgi:app", "--port=$(PORT)"]}}

    assert not {"command", "args"} & container(render(), "service").keys()
    found = container(render(values), "service")
    assert (found["command"], found["args"]) == (["uvicorn"], ["shop.asgi:app", "--port=$(PORT)"])
    assert "args" not in container(render({"service": {"command": ["uvicorn"]}}), "service")


def test_command__of_the_gate_and_the_jobs(render: Render) -> None:
    """The chart adds its arguments to each command of the values."""
    python = ["/app/bin/python", "/app/manage.py"]
    values = {"gate": {"command": [*python, "wait_migrated"]}, "migrations": {"command": [*python, "migrate"]}}

    objects = render(values)

    assert container(objects, "gate")["command"] == [*python, "wait_migrated", "--replica-timeout", "60"]
    (migrate, *_) = (each for each in every_container(objects) if each["name"] == "migrate")
    assert migrate["command"] == [*python, "migrate", "--database=analytics", "--noinput", "--wait=1800"]


def test_command__of_the_metrics(render: Render) -> None:
    """The chart adds the directory and the port to the command of the exporter."""
    found = container(render({"metrics": {"command": ["/app/bin/exporter"]}}), "metrics")

    assert found["command"] == ["/app/bin/exporter", "--dir", "/run/metrics", "--port", "9464"]


def test_metrics__disabled(render: Render) -> None:
    """Nothing is left of them: no container, Service, directory, or variable that names the directory."""
    objects = render({"metrics": {"enabled": False}})

    assert [each["name"] for each in containers(pod(objects))] == ["gate", "service"]
    assert of_kind(objects, "Service", component="service").keys() == {"sy-switchyard"}
    assert "METRICS_DIR" not in service_environment(objects)
    assert {volume["name"] for volume in pod(objects)["volumes"]} == {"secrets", "tmp"}
    assert [mount["name"] for mount in container(objects, "service")["volumeMounts"]] == ["secrets", "tmp"]


def test_tests__without_metrics(render: Render) -> None:
    """The test that reads the metrics is left out."""
    assert of_kind(render({"metrics": {"enabled": False}}), "Pod").keys() == {"sy-switchyard-test-replication"}


def test_tests__disabled(render: Render) -> None:
    """Nothing is left of them, and the rest of the chart is the same."""
    before, after = render(), render({"tests": {"enabled": False}})

    assert of_kind(after, "Pod") == {}
    assert of_kind(after, "ConfigMap", component="test") == {}
    assert [(each["kind"], each["metadata"]["name"]) for each in before if "test" not in each["metadata"]["name"]] == [
        (each["kind"], each["metadata"]["name"]) for each in after
    ]


def test_ports(render: Render) -> None:
    """The Service has its own port and leads to the port of the container, which the process is told."""
    objects = render({"service": {"port": 80, "containerPort": 9000}})

    assert of_kind(objects, "Service")["sy-switchyard"]["spec"]["ports"] == [
        {"name": "http", "port": 80, "targetPort": "http"}
    ]
    assert container(objects, "service")["ports"] == [{"name": "http", "containerPort": 9000}]
    assert service_environment(objects)["PORT"] == "9000"
    for test in of_kind(objects, "Pod").values():
        assert environment(test["spec"]["containers"][0])["SERVICE_URL"] == "http://sy-switchyard:80"


def test_probes__paths(render: Render) -> None:
    """Each probe asks for its path, with a host that the project allows; an empty path leaves the probe out."""
    paths = {"startup": "/up?full", "readiness": "/ready", "liveness": ""}
    found = container(render({"service": {"probes": paths}}), "service")

    asked = {name: found[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness")}
    assert {name: get["path"] for name, get in asked.items()} == {"startup": "/up?full", "readiness": "/ready"}
    for get in asked.values():
        assert (get["port"], get["httpHeaders"]) == ("http", [{"name": "Host", "value": "localhost"}])
    assert "livenessProbe" not in found
    assert "localhost" in service_environment(render())["ALLOWED_HOSTS"].split(",")


def test_probes__by_default(render: Render) -> None:
    """A pod has started once its owners are migrated, is ready by their state, and is restarted only if it hangs."""
    service = container(render({"migrations": {"activeDeadlineSeconds": 900}}), "service")

    asked = {name: service[f"{name}Probe"] for name in ("startup", "readiness", "liveness")}
    assert {name: probe["httpGet"]["path"] for name, probe in asked.items()} == {
        "startup": "/startupz",
        "readiness": "/readyz",
        "liveness": "/livez",
    }
    assert asked["startup"]["failureThreshold"] * asked["startup"]["periodSeconds"] == 900


def test_environment__extra(render: Render) -> None:
    """Each process that loads the settings has `env`, `extraEnv` and `envFrom`; no other process has them."""
    objects = render({"env": {"SHOP_CURRENCY": "EUR"}, "extraEnv": EXTRA, "envFrom": FROM})

    for each in every_container(objects):
        names = [entry["name"] for entry in each.get("env", [])]
        if each["name"] in WITH_SETTINGS:
            assert each["env"][-2:] == EXTRA
            assert each["envFrom"] == FROM
            assert names.count("SHOP_CURRENCY") == 1
            assert len(set(names)) == len(names)
        else:
            assert "envFrom" not in each
            assert not {"SHOP_CURRENCY", "PAYMENT_TOKEN"} & set(names)
    assert {each["name"] for each in every_container(objects)} > WITH_SETTINGS


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"extraEnv": [{"name": "DATABASE_X_URL", "value": ""}]}, 'extraEnv[0].name is "DATABASE_X_URL", which the'),
        ({"extraEnv": [{"name": "PORT", "value": "1"}]}, 'extraEnv[0].name is "PORT", which the chart sets itself'),
        ({"extraEnv": [EXTRA[0], EXTRA[0]]}, 'extraEnv[1].name is "PAYMENT_TOKEN", which env or extraEnv names too'),
        ({"env": {"A": "1"}, "extraEnv": [{"name": "A", "value": "2"}]}, 'extraEnv[0].name is "A", which env or'),
        ({"env": {"PORT": "1"}}, "env.PORT is set by the chart itself; remove it and use service.containerPort"),
        ({"extraEnv": [{"name": "A"}]}, "at '/extraEnv/0': minProperties: got 1, want 2"),
        ({"extraEnv": [{"name": "A", "value": 1}]}, "at '/extraEnv/0/value': got number, want string"),
        ({"extraEnv": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "x"}}}]}, "missing property 'key'"),
        ({"envFrom": [{"prefix": "A_"}]}, "at '/envFrom/0': missing property 'configMapRef'"),
        ({"envFrom": [{"secretRef": {}}]}, "missing property 'name'"),
        ({"service": {"command": "gunicorn"}}, "at '/service/command': got string, want array"),
        ({"service": {"port": 0}}, "at '/service/port': minimum: got 0, want 1"),
        ({"service": {"containerPort": "8000"}}, "at '/service/containerPort': got string, want integer"),
        ({"service": {"probes": {"readiness": "readyz"}}}, "at '/service/probes/readiness': 'readyz' does not match"),
        ({"migrations": {"command": []}}, "at '/migrations/command': minItems: got 0, want 1"),
        ({"gate": {"command": []}}, "at '/gate/command': minItems: got 0, want 1"),
        ({"metrics": {"enabled": "no"}}, "at '/metrics/enabled': got string, want boolean"),
        ({"image": {"user": 0}}, "at '/image/user': minimum: got 0, want 1"),
    ],
)
def test_values__refused(render: Render, values: dict[str, Any], said: str) -> None:
    """A wrong value is refused, with its place."""
    with pytest.raises(RefusedError) as refused:
        render(values)

    assert said in str(refused.value)


def test_extra_environment__several_problems(render: Render) -> None:
    """All problems of `extraEnv` are told at once."""
    with pytest.raises(RefusedError, match=r"2 problem\(s\) in the values"):
        render({"extraEnv": [{"name": "PORT", "value": "1"}, EXTRA[0], EXTRA[0]]})


def test_values__valid_for_kubernetes(render: Render) -> None:
    """With all of these values, each object is what the schema of Kubernetes asks for."""
    service = {"command": ["a"], "args": ["b"], "port": 80, "probes": {"liveness": ""}}
    values = {"service": service, "env": {"A": "1"}, "extraEnv": EXTRA, "envFrom": FROM, "metrics": {"enabled": False}}

    for found in render(values):
        kubernetes_validate.validate(found, kubernetes_validate.latest_version(), strict=True)


def test_example__of_a_project(render: Render, tmp_path: Path) -> None:
    """The values of docs/examples/shop make two servers and two Jobs, and its settings load in each container."""
    shop = CHART.parent / "docs" / "examples" / "shop"
    objects = render(yaml.safe_load((shop / "values.yaml").read_text()))
    secret = tmp_path / "secret"
    secret.write_text("secret")

    assert of_kind(objects, "StatefulSet").keys() == {"sy-switchyard-db-default", "sy-switchyard-db-visits"}
    assert {job["metadata"]["labels"]["switchyard/alias"] for job in of_kind(objects, "Job").values()} == {
        "default",
        "visits",
    }
    loaded = 0
    for each in every_container(objects):
        if each["name"] in WITH_SETTINGS:
            environ = {key: value if "_FILE" not in key else str(secret) for key, value in environment(each).items()}
            ran = subprocess.run(
                [sys.executable, "-c", "import shop.settings as s; print(sorted(s.DATABASES), s.SWITCHYARD['OWNERS'])"],
                env={"PYTHONPATH": f"{CHART.parent / 'app'}:{shop}", "PYTHONDONTWRITEBYTECODE": "1", **environ},
                capture_output=True,
                text=True,
                check=True,
            )
            assert ran.stdout.startswith("['default', 'visits']")
            loaded += 1
    assert loaded == 4


def test_user__of_the_image(render: Render) -> None:
    """The pods of the image run as its user; the database servers keep theirs."""
    specs = dict(pod_specs(render({"image": {"user": 1000}})))

    users = {name.partition("/")[0]: spec["securityContext"]["runAsUser"] for name, spec in specs.items()}
    assert users == {"Deployment": 1000, "Job": 1000, "Pod": 1000, "StatefulSet": 999}
    assert {spec["securityContext"]["fsGroup"] for spec in specs.values()} == {1000, 999}
