"""A legacy server that is not there when the release is installed, and comes later: with each Helm on the PATH.

The releases are installed at the same time, so that they wait for their deadlines together.
"""

import datetime as dt
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from tests.e2e.cluster import RELEASE, Cluster, eventually, run

pytestmark = pytest.mark.cluster

HELMS = [helm for helm in ("helm", "helm3") if shutil.which(helm)] or ["helm"]
DEADLINE_SECONDS = 60
SMALL = {"requests": {"cpu": "10m", "memory": "64Mi"}}  # two more releases in a node of two cores
VALUES = {
    "databases": {
        "replica": {"enabled": False},
        "analytics": {"enabled": False},
        "legacy": {
            "mode": "external",
            "host": "late",
            "name": "shop",
            "secret": {"name": "late"},
            "tls": {"mode": "require"},
            "required": False,
        },
    },
    "migrations": {"activeDeadlineSeconds": DEADLINE_SECONDS},
    "replicaCount": 1,
    "workers": 1,
    "resources": SMALL,
    "bundled": {"postgresql": {"resources": SMALL}},
    "metrics": {"enabled": False},
    "tests": {"enabled": False},
}
SERVER = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "late", "labels": {"app": "late"}},
    "spec": {
        "terminationGracePeriodSeconds": 1,
        "containers": [
            {
                "name": "server",
                "image": "mysql:9.7",
                "env": [
                    {"name": "MYSQL_DATABASE", "value": "shop"},
                    {"name": "MYSQL_USER", "value": "app"},
                    *(
                        {"name": name, "valueFrom": {"secretKeyRef": {"name": "late", "key": "password"}}}
                        for name in ("MYSQL_PASSWORD", "MYSQL_ROOT_PASSWORD")
                    ),
                ],
            }
        ],
    },
}
# Without it the host `late` has no address: the server is there, and nobody finds it.
ADDRESS = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "late"},
    "spec": {"selector": {"app": "late"}, "ports": [{"port": 3306}]},
}
READYZ = (
    "from urllib.request import Request, urlopen;"
    "print(urlopen(Request('http://localhost:8000/readyz', headers={'Host': 'localhost'})).read().decode())"
)


@dataclass(frozen=True)
class Optional:
    """A release without its legacy server, in the namespace of its Helm."""

    cluster: Cluster
    helm: str

    @property
    def namespace(self) -> str:
        """The namespace of the release."""
        return f"optional-{self.helm}"

    def run(self, command: str, *arguments: str, stdin: str = "") -> str:
        """Return the output of kubectl or Helm."""
        config = ("--kubeconfig", str(self.cluster.kubeconfig), "--namespace", self.namespace)
        return run(command, *config, *arguments, stdin=stdin)

    def apply(self, *manifests: Mapping[str, Any]) -> None:
        """Make these objects."""
        for manifest in manifests:
            self.run("kubectl", "apply", "--filename=-", stdin=json.dumps(manifest))

    def job(self) -> dict[str, Any]:
        """Return the migration Job of the legacy owner."""
        selector = "app.kubernetes.io/component=migration,switchyard/alias=legacy"
        (job,) = json.loads(self.run("kubectl", "get", "jobs", "--selector", selector, "--output", "json"))["items"]
        found: dict[str, Any] = job
        return found

    def condition(self, name: str) -> dict[str, str] | None:
        """Return the condition of the Job with this name, once it is true."""
        for each in self.job()["status"].get("conditions", []):
            if each["type"] == name and each["status"] == "True":
                return dict(each)
        return None

    def readyz(self) -> Any:
        """Return what /readyz says."""
        inside = ("exec", f"deployment/{RELEASE}", "--container", "service", "--")
        return json.loads(self.run("kubectl", *inside, "python", "-c", READYZ))


@pytest.fixture(scope="module")
def releases(cluster: Cluster) -> Iterator[Mapping[str, Optional]]:
    """A release for each Helm."""
    (deployment,) = cluster.objects("deployments")
    image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    found = {helm: Optional(cluster, helm) for helm in HELMS}
    try:
        for release in found.values():
            release.apply(
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": release.namespace}},
                {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "late"}, "stringData": {"password": "p-w"}},
                SERVER,
            )
            values = {**VALUES, "image": {"tag": image.partition(":")[2]}}
            arguments = ("install", RELEASE, str(cluster.source / "chart"), "--values=-")
            release.run(release.helm, *arguments, stdin=json.dumps(values))
        yield found
    finally:
        for release in found.values():
            command = ("kubectl", "--kubeconfig", cluster.kubeconfig, "delete", "namespace", release.namespace)
            run(*command, "--ignore-not-found", timeout=300)


@pytest.fixture(params=HELMS)
def optional(request: pytest.FixtureRequest, releases: Mapping[str, Optional]) -> Optional:
    """The release of one Helm."""
    return releases[request.param]


def test_service__without_legacy(optional: Optional) -> None:
    """The service becomes ready without its optional owner, and says that it is degraded."""
    optional.run("kubectl", "rollout", "status", f"deployment/{RELEASE}", "--timeout=110s")

    assert optional.readyz() == {"status": "degraded", "aliases": {"default": "up", "legacy": "down"}}


def test_job__without_legacy(optional: Optional) -> None:
    """The Job of the absent owner waits as long as its deadline says, and shows that it failed."""
    eventually(lambda: bool(optional.condition("Failed")), seconds=DEADLINE_SECONDS + 60, what="a failed Job")

    failed, began = optional.condition("Failed"), optional.job()["status"]["startTime"]

    assert failed
    waited = dt.datetime.fromisoformat(failed["lastTransitionTime"]) - dt.datetime.fromisoformat(began)
    assert failed["reason"] == "DeadlineExceeded"
    assert DEADLINE_SECONDS <= waited.total_seconds() < DEADLINE_SECONDS + 30


def test_job__tried_again(optional: Optional) -> None:
    """Once the server is there, the command of the notes runs a new Job: it migrates, and nothing is degraded."""
    before = optional.job()["metadata"]["name"]
    notes = optional.run(optional.helm, "get", "notes", RELEASE)
    (options,) = re.findall(rf"helm upgrade {RELEASE} <chart> --namespace {optional.namespace} (.*)", notes)
    optional.apply(ADDRESS)
    optional.run("kubectl", "wait", "--for=condition=Ready", "pod/late", "--timeout=110s")

    optional.run(optional.helm, "upgrade", RELEASE, str(optional.cluster.source / "chart"), *options.split())

    eventually(lambda: bool(optional.condition("Complete")), seconds=DEADLINE_SECONDS, what="a complete Job")
    assert optional.job()["metadata"]["name"] != before
    eventually(lambda: optional.readyz()["status"] == "ok", seconds=30, what="a service that is not degraded")
