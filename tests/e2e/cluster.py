"""A release in a cluster, as an operator and a client use it: with kubectl, helm and its ports."""

import json
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

ROOT = Path(__file__).parents[2]
RELEASE = NAMESPACE = "switchyard"

type Key = tuple[str, str]  # alias, operation

_SAMPLE = re.compile(r"^switchyard_queries_total\{(.*)\} (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="(\w*)"')


def run(
    *command: str | Path, timeout: float = 120, environ: Mapping[str, str] = MappingProxyType({}), stdin: str = ""
) -> str:
    """Return the output of the command; a failure shows all of the output."""
    result = subprocess.run(
        command,
        env={**os.environ, **environ},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
    assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
    return result.stdout


def copied_source(copy: Path) -> Path:
    """Copy the files that kind-up and Helm read into the directory, and return it."""
    for name in ("app", "chart", "k8s-dev"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Dockerfile", ".dockerignore", "pyproject.toml", "uv.lock"):
        shutil.copy(ROOT / name, copy / name)
    return copy


def queries(metrics: str) -> Counter[Key]:
    """Return the queries of the apps by alias and operation, from the text of /metrics."""
    counted: Counter[Key] = Counter()
    for labels, value in _SAMPLE.findall(metrics):
        label = dict(_LABEL.findall(labels))
        if label["app"] != "other":
            counted[label["alias"], label["operation"]] += int(float(value))
    return counted


@dataclass(frozen=True)
class Cluster:
    """A kind cluster that `kind-up` creates from a source tree, with its ports on this machine."""

    name: str
    http_port: int
    metrics_port: int
    kubeconfig: Path
    source: Path

    @property
    def environ(self) -> dict[str, str]:
        """Return the variables that name the cluster for kind-up and kind-down."""
        return {
            "KIND_CLUSTER": self.name,
            "KIND_KUBECONFIG": str(self.kubeconfig),
            "HTTP_PORT": str(self.http_port),
            "METRICS_PORT": str(self.metrics_port),
        }

    def up(self, source: Path | None = None) -> str:
        """Install or upgrade the release of a source tree, as `make kind-up` does."""
        return run((source or self.source) / "k8s-dev" / "kind-up", timeout=900, environ=self.environ)

    def down(self) -> None:
        """Remove the cluster, as `make kind-down` does."""
        run(self.source / "k8s-dev" / "kind-down", environ=self.environ)

    def kubectl(self, *arguments: str, timeout: float = 120, stdin: str = "") -> str:
        """Return the output of kubectl."""
        config = ("--kubeconfig", self.kubeconfig, "--namespace", NAMESPACE)
        return run("kubectl", *config, *arguments, timeout=timeout, stdin=stdin)

    def helm(self, *arguments: str) -> str:
        """Return the output of helm."""
        return run("helm", "--kubeconfig", self.kubeconfig, "--namespace", NAMESPACE, *arguments)

    def upgrade(self, *arguments: str) -> None:
        """Change values of the release, with arguments of `helm upgrade`; the other values stay."""
        self.helm("upgrade", RELEASE, str(self.source / "chart"), "--reuse-values", *arguments)

    def objects(self, kind: str, component: str = "") -> list[dict[str, Any]]:
        """Return the objects of a kind, except objects that are being deleted."""
        selector = f"app.kubernetes.io/instance={RELEASE}"
        if component:
            selector += f",app.kubernetes.io/component={component}"
        found = json.loads(self.kubectl("get", kind, "--selector", selector, "--output", "json"))["items"]
        return [item for item in found if "deletionTimestamp" not in item["metadata"]]

    def restarts(self, component: str) -> dict[str, list[int]]:
        """Return how often each container of each pod has restarted."""
        return {
            pod["metadata"]["name"]: [status["restartCount"] for status in pod["status"]["containerStatuses"]]
            for pod in self.objects("pods", component)
        }

    def service_pods(self) -> int:
        """Return the number of pods of the service, with pods that are being deleted."""
        selector = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component=service"
        return len(self.kubectl("get", "pods", "--selector", selector, "--output", "name").split())

    def in_service(self, *command: str) -> str:
        """Return the output of a command in the container of the service."""
        return self.kubectl("exec", f"deployment/{RELEASE}", "--container", "service", "--", *command)

    def query(self, alias: str, sql: str) -> str:
        """Return the answer of a PostgreSQL server to a query."""
        pod = f"{RELEASE}-db-{alias}-0"
        psql = ("psql", "--username=postgres", "--dbname=switchyard", "-At", "--command", sql)
        return self.kubectl("exec", pod, "--", *psql).strip()

    @cached_property
    def token(self) -> str:
        """The token of the API."""
        template = '{{index .data "api-token" | base64decode}}'
        return self.kubectl("get", "secret", RELEASE, "--output", f"go-template={template}")

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Return the status and the document of a response of the API."""
        request = Request(
            f"http://127.0.0.1:{self.http_port}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )
        try:
            with urlopen(request, timeout=30) as response:
                return response.status, json.loads(response.read() or "null")
        except HTTPError as error:
            return error.code, json.loads(error.read() or "null")

    def scraped(self) -> Counter[Key]:
        """Return the queries of the API's apps by alias and operation, from /metrics, without health checks."""
        with urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=30) as response:
            return queries(response.read().decode())


def user_created(cluster: Cluster) -> int:
    """Create a user through the API and return its key."""
    status, user = cluster.call("POST", "/api/users", {"username": f"e2e-{os.urandom(6).hex()}"})
    assert status == 201, user
    key: int = user["id"]
    return key


@dataclass(frozen=True)
class Prometheus:
    """A Prometheus that scrapes the release."""

    url: str

    def counted(self) -> Counter[Key]:
        """Return the queries like `Cluster.scraped`, as Prometheus has stored them."""
        query = 'sum by (alias, operation) (switchyard_queries_total{app!="other"})'
        with urlopen(f"{self.url}/api/v1/query?{urlencode({'query': query})}", timeout=30) as response:
            series = json.loads(response.read())["data"]["result"]
        return Counter(
            {(one["metric"]["alias"], one["metric"]["operation"]): int(float(one["value"][1])) for one in series}
        )
