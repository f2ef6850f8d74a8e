"""The Prometheus Operator in the cluster of kind-up, and a Prometheus of it that watches the release.

The operator comes from its published manifest. PROMETHEUS_OPERATOR_INSTALL may have a shell command that installs it
in another way, for a cluster that can pull no public images; the command has KUBECONFIG and KIND_CLUSTER.
`python -m tests.e2e.monitoring` ends with 1 and says why if this machine has no operator.
"""

import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml
from tests.e2e.cluster import RELEASE, ROOT, Cluster, run
from tests.support.waiting import until

VARIABLE = "PROMETHEUS_OPERATOR_INSTALL"
MANIFEST_URL = "https://github.com/prometheus-operator/prometheus-operator/releases/download/v0.85.0/bundle.yaml"
WATCHED = {"watched-by": "tests"}  # as prometheus.yaml selects

_MONITORING = "monitoring"  # the namespace of the Prometheus
_API = f"/api/v1/namespaces/{_MONITORING}/services/prometheus-operated:web/proxy/api/v1"
_DURATION = re.compile(r"(?<=\[)\d+[mh](?=\])")
_FASTER = {"m": "s", "h": "m"}


class NoOperatorError(Exception):
    """The operator cannot be installed on this machine: the text says why."""


def published_manifest() -> str:
    """Return the manifest of the operator. Raises NoOperatorError if it cannot be read."""
    try:
        with urlopen(MANIFEST_URL, timeout=30) as response:
            manifest: str = response.read().decode()
            return manifest
    except URLError as error:
        raise NoOperatorError(f"{MANIFEST_URL} cannot be read ({error.reason}), and {VARIABLE} is not set") from error


def install_operator(cluster: Cluster) -> None:
    """Install the operator. Raises NoOperatorError."""
    environ = {"KUBECONFIG": str(cluster.kubeconfig), "KIND_CLUSTER": cluster.name}
    if command := os.environ.get(VARIABLE):
        run("bash", "-c", command, environ=environ, timeout=600)
        return
    manifest = published_manifest()
    run("kubectl", "apply", "--server-side", "--filename=-", environ=environ, stdin=manifest)
    run("kubectl", "rollout", "status", "deployment/prometheus-operator", environ=environ, timeout=310)


@dataclass(frozen=True)
class OperatedPrometheus:
    """The Prometheus that the operator runs, asked through the API server."""

    cluster: Cluster

    def get(self, path: str, **parameters: str) -> Any:
        """Return the data of an answer of Prometheus' HTTP API."""
        answer = json.loads(self.cluster.kubectl("get", "--raw", f"{_API}/{path}?{urlencode(parameters)}"))
        assert answer["status"] == "success", answer
        return answer["data"]

    def targets(self) -> list[dict[str, Any]]:
        """Return the targets that it scrapes."""
        found: list[dict[str, Any]] = self.get("targets", state="active")["activeTargets"]
        return found

    def rules(self) -> list[dict[str, Any]]:
        """Return the rules that it evaluates."""
        return [rule for group in self.get("rules")["groups"] for rule in group["rules"]]

    def alerts(self, state: str = "firing") -> set[tuple[str, str]]:
        """Return the alerts in this state, each with its alias; those without an alias have an empty one."""
        return {
            (alert["labels"]["alertname"], alert["labels"].get("alias", ""))
            for alert in self.get("alerts")["alerts"]
            if alert["state"] == state
        }


@contextmanager
def operated_prometheus(cluster: Cluster) -> Iterator[OperatedPrometheus]:
    """Let the operator run a Prometheus for the release, with its ServiceMonitor and its rules, in this block."""
    found = OperatedPrometheus(cluster)
    defaults = yaml.safe_load((cluster.source / "chart" / "values.yaml").read_text())
    metrics = {
        "serviceMonitor": {"enabled": True, "labels": WATCHED},
        "prometheusRule": {"enabled": True, "labels": WATCHED, "retiring": ["legacy"]},
    }
    cluster.upgrade(
        *("--set-json", f"metrics={json.dumps(metrics)}"),
        *("--set-json", f"networkPolicy.metricsFrom={json.dumps(defaults['networkPolicy']['metricsFrom'])}"),
    )
    try:
        hasten_rules(cluster)
        kubectl = ("kubectl", "--kubeconfig", cluster.kubeconfig, f"--namespace={_MONITORING}")
        run(*kubectl[:-1], "apply", "--filename", ROOT / "tests" / "e2e" / "prometheus.yaml")
        run(*kubectl, "wait", "prometheus/tests", "--for=condition=Available", "--timeout=180s", timeout=190)
        until(lambda: bool(found.targets() and found.rules()), "targets and rules", seconds=120)
        yield found
    finally:
        cluster.kubectl("delete", "namespace", _MONITORING, "--ignore-not-found", "--wait=false")
        cluster.helm("rollback", RELEASE)


def hasten_rules(cluster: Cluster) -> None:
    """Make each minute in the rules of the cluster a second, and each hour a minute: `for`, and the ranges of queries.

    The thresholds stay as they are.
    """
    rule = json.loads(cluster.kubectl("get", "prometheusrule", RELEASE, "--output", "json"))
    for group in rule["spec"]["groups"]:
        for each in group["rules"]:
            each["expr"] = _DURATION.sub(lambda found: _hastened(found[0]), each["expr"])
            if "for" in each:
                each["for"] = _hastened(each["for"])
    patch = json.dumps({"spec": rule["spec"]})
    cluster.kubectl("patch", "prometheusrule", RELEASE, "--type=merge", f"--patch={patch}")


def _hastened(duration: str) -> str:
    return duration[:-1] + _FASTER[duration[-1]]


def main() -> int:
    """Print why this machine has no operator; the exit code says whether it has one."""
    try:
        _ = os.environ.get(VARIABLE) or published_manifest()
    except NoOperatorError as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
