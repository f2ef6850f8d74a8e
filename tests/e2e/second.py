"""A release beside that of kind-up: in a namespace of its own, which enforces the restricted Pod Security Standard."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.e2e.cluster import Cluster, run

CALL = """
import os, sys, urllib.request
method, url, *body = sys.argv[1:]
headers = {"Content-Type": "application/json"}
if path := os.environ.get("API_TOKEN_FILE"):
    headers["Authorization"] = "Bearer " + open(path).read().strip()
request = urllib.request.Request(url, method=method, data=body[0].encode() if body else None, headers=headers)
print(urllib.request.urlopen(request, timeout=30).read().decode())
"""


@dataclass(frozen=True)
class SecondRelease:
    """A release, seen from inside its pod. Its namespace has its name."""

    cluster: Cluster
    name: str
    port: int = 8000  # of the Kubernetes Service

    @property
    def fullname(self) -> str:
        """Return the name of the Deployment and of the Service."""
        return f"{self.name}-switchyard"

    @contextmanager
    def namespace(self) -> Iterator[None]:
        """Make the namespace. The end of the block deletes it with everything in it, and waits for no pod to end."""
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name, "labels": labels}})
        try:
            yield
        finally:
            self.kubectl("delete", "namespace", self.name, "--wait=false")

    def kubectl(self, *arguments: str, timeout: float = 120, stdin: str = "") -> str:
        """Return the output of kubectl."""
        config = ("--kubeconfig", self.cluster.kubeconfig, "--namespace", self.name)
        return run("kubectl", *config, *arguments, timeout=timeout, stdin=stdin)

    def helm(self, *arguments: str) -> str:
        """Return the output of helm."""
        return run("helm", "--kubeconfig", self.cluster.kubeconfig, "--namespace", self.name, *arguments)

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """Make or change objects."""
        everything = {"apiVersion": "v1", "kind": "List", "items": objects}
        self.kubectl("apply", "--filename=-", stdin=json.dumps(everything))

    def served(self) -> None:
        """Wait until the Jobs of the release are complete and its newest pods serve."""
        self.kubectl("wait", "--for=condition=complete", "jobs", "--all", "--timeout=300s", timeout=310)
        self.kubectl("rollout", "status", f"deployment/{self.fullname}", "--timeout=180s", timeout=190)

    def jobs(self) -> dict[str, Any]:
        """Return the migration Jobs by alias."""
        found = json.loads(self.kubectl("get", "jobs", "--output", "json"))["items"]
        return {job["metadata"]["labels"]["switchyard/alias"]: job for job in found}

    def get(self, method: str, url: str, *body: str) -> str:
        """Return the answer to a request from the pod of the service."""
        inside = ("exec", f"deployment/{self.fullname}", "--container", "service", "--")
        return self.kubectl(*inside, "python", "-c", CALL, method, url, *body)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Return the document that the service answers through its Kubernetes Service."""
        sent = () if body is None else (json.dumps(body),)
        return json.loads(self.get(method, f"http://{self.fullname}:{self.port}{path}", *sent))
