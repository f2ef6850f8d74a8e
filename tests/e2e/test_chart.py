"""The chart against a real cluster: what its API server accepts, and what its network lets through.

Run in a cluster of kind-up, whose release these tests leave as they found it.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from tests.e2e.cluster import RELEASE, ROOT, Cluster

pytestmark = pytest.mark.cluster

SETS = [*sorted((ROOT / "chart" / "ci").glob("*-values.yaml")), ROOT / "chart" / "values.yaml"]
DATABASES = {
    f"{RELEASE}-db-default:5432",
    f"{RELEASE}-db-replica:5432",
    f"{RELEASE}-db-analytics:5432",
    f"{RELEASE}-db-legacy:3306",
}
SECOND = "second"  # `kubectl apply` would merge its objects into those that Helm has made, as Helm does not
HTTP, METRICS = f"{RELEASE}:8000", f"{RELEASE}-metrics:9464"
STRANGER = """
import socket, sys
for address in sys.argv[1:]:
    host, port = address.split(":")
    try:
        socket.create_connection((host, int(port)), timeout=2).close()
        print(address)
    except TimeoutError:
        pass
"""


@pytest.fixture
def account(cluster: Cluster) -> Iterator[None]:
    """The ServiceAccount of a second release: the API server refuses a pod without it, in a dry run, too."""
    cluster.kubectl("create", "serviceaccount", f"{SECOND}-switchyard")
    try:
        yield
    finally:
        cluster.kubectl("delete", "serviceaccount", f"{SECOND}-switchyard")


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize("values", SETS, ids=lambda path: path.stem)
def test_values__dry_run(cluster: Cluster, values: Path, tmp_path: Path) -> None:
    """The API server accepts a release of each set of values, every object whose kind it knows."""
    known = cluster.kubectl("api-resources", "--no-headers", "--output", "wide")
    rendered = cluster.helm("template", SECOND, str(cluster.source / "chart"), "--values", str(values))
    objects = [found for found in yaml.safe_load_all(rendered) if found and f" {found['apiVersion']} " in known]
    file = tmp_path / "objects.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    accepted = cluster.kubectl("apply", "--dry-run=server", "--filename", str(file)).splitlines()

    assert len([line for line in accepted if line.endswith("(server dry run)")]) == len(objects) > 10


@contextmanager
def network_policy(cluster: Cluster, **values: object) -> Iterator[None]:
    """Change `networkPolicy` of the release in this block."""
    before = json.loads(cluster.helm("get", "values", RELEASE, "--all", "--output", "json"))["networkPolicy"]
    cluster.upgrade("--set-json", f"networkPolicy={json.dumps(before | values)}")
    try:
        yield
    finally:
        cluster.upgrade("--set-json", f"networkPolicy={json.dumps(before)}")


def reached(cluster: Cluster, *addresses: str) -> set[str]:
    """Return which of the addresses a pod of somebody else in the namespace can connect to."""
    (deployment,) = cluster.objects("deployments", "service")
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    spec = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": deployment["spec"]["template"]["spec"]["securityContext"],
        "containers": [
            {
                "name": "stranger",
                "image": container["image"],
                "securityContext": container["securityContext"],
                "command": ["python", "-c", STRANGER, *addresses],
            }
        ],
    }
    cluster.kubectl(
        *("run", "stranger", "--image", container["image"], "--restart=Never"),
        *("--override-type=strategic", "--overrides", json.dumps({"spec": spec})),
    )
    try:
        cluster.kubectl("wait", "pod/stranger", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=90s")
        return set(cluster.kubectl("logs", "stranger").split())
    finally:
        cluster.kubectl("delete", "pod", "stranger", "--wait", "--grace-period=0", "--force")


def test_network__of_a_stranger(cluster: Cluster) -> None:
    """A pod of somebody else opens the service, and neither a database nor the metrics."""
    with network_policy(cluster, metricsFrom=[{"podSelector": {"matchLabels": {"app": "prometheus"}}}]):
        assert reached(cluster, HTTP, METRICS, *DATABASES) == {HTTP}


def test_network__without_policies(cluster: Cluster) -> None:
    """With the policies off, the same pod opens everything: the test above sees policies, and no other fault."""
    with network_policy(cluster, enabled=False):
        assert reached(cluster, HTTP, METRICS, *DATABASES) == {HTTP, METRICS, *DATABASES}


def test_network__of_the_service(cluster: Cluster) -> None:
    """The pods of the service go to their databases and to DNS, and nowhere else."""
    tried = (*sorted(DATABASES), "kubernetes.default.svc:443")

    assert set(cluster.in_service("python", "-c", STRANGER, *tried).split()) == DATABASES


def test_network__of_a_server(cluster: Cluster) -> None:
    """A primary reaches no other server; a standby reaches its primary alone."""
    script = 'for at; do timeout 2 bash -c ": < /dev/tcp/${at/://}" 2>/dev/null && echo $at; done; true'

    def from_server(alias: str) -> set[str]:
        command = ("bash", "-c", script, "bash", *sorted(DATABASES))
        return set(cluster.kubectl("exec", f"{RELEASE}-db-{alias}-0", "--", *command).split())

    own = {alias: f"{RELEASE}-db-{alias}:5432" for alias in ("default", "replica")}
    assert from_server("default") - {own["default"]} == set()
    assert from_server("replica") - {own["replica"]} == {own["default"]}
