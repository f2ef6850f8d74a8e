"""A server of Kubernetes' API that knows Secrets, and other objects by their path: enough for Helm's `lookup`."""

import copy
import json
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

type Object = dict[str, Any]

# Helm refuses an object that has no marks of its release.
_RELEASE = {"meta.helm.sh/release-name": "sy", "meta.helm.sh/release-namespace": "rails"}

# The kinds of the tests: Helm does not render a kind that the server does not know.
_KINDS = {
    "v1": ("ConfigMap", "Pod", "Secret", "Service", "ServiceAccount"),
    "apps/v1": ("Deployment", "StatefulSet"),
    "batch/v1": ("Job",),
    "networking.k8s.io/v1": ("NetworkPolicy",),
    "policy/v1": ("PodDisruptionBudget",),
    "autoscaling/v2": ("HorizontalPodAutoscaler",),
    "postgresql.cnpg.io/v1": ("Cluster",),
}

# The namespace's controller makes it.
_ROOT_CA = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "kube-root-ca.crt"},
    "data": {"ca.crt": "..."},
}


def _resources(version: str) -> Object:
    return {
        "kind": "APIResourceList",
        "groupVersion": version,
        "resources": [
            {"name": _plural(kind), "kind": kind, "namespaced": True, "verbs": ["get", "list"]}
            for kind in _KINDS[version]
        ],
    }


def _plural(kind: str) -> str:
    return f"{kind.lower().removesuffix('y')}ies" if kind.endswith("y") else f"{kind.lower()}s"


def _group(version: str) -> Object:
    named = {"groupVersion": version, "version": version.partition("/")[2]}
    return {"name": version.partition("/")[0], "versions": [named], "preferredVersion": named}


_DISCOVERED: dict[str, Object] = {
    "/version": {"major": "1", "minor": "34", "gitVersion": "v1.34.0"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(each) for each in _KINDS if each != "v1"]},
    "/api/v1": _resources("v1"),
    **{f"/apis/{version}": _resources(version) for version in _KINDS if version != "v1"},
}


@dataclass
class SecretStore:
    """The Secrets of the namespace, by name, its other objects, by kind and name, and the address of the server."""

    address: str
    secrets: dict[str, Object] = field(default_factory=dict)
    others: dict[str, Object] = field(default_factory=lambda: {"configmaps/kube-root-ca.crt": _ROOT_CA})

    def add(self, name: str, **data: str) -> None:
        """Store a Secret that somebody else made."""
        encoded = {key: b64encode(value.encode()).decode() for key, value in data.items()}
        self.secrets[name] = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": encoded}

    def keep(self, found: Object) -> None:
        """Store a copy of a rendered object, with Helm's marks of its release."""
        kept = copy.deepcopy(found)
        kept["metadata"].setdefault("annotations", {}).update(_RELEASE)
        self.others[f"{_plural(kept['kind'])}/{kept['metadata']['name']}"] = kept

    def apply(self, objects: list[Object]) -> None:
        """Store copies of the Secrets among the rendered objects, with Helm's marks of their release."""
        for secret in copy.deepcopy([found for found in objects if found["kind"] == "Secret"]):
            secret["metadata"]["annotations"] |= _RELEASE
            self.secrets[secret["metadata"]["name"]] = secret


@contextmanager
def secret_store() -> Iterator[SecretStore]:
    """Serve an empty store in this block."""
    stored = SecretStore("")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            found = _DISCOVERED.get(path)
            if "/secrets/" in path:
                found = stored.secrets.get(path.rpartition("/")[2])
            found = found or stored.others.get("/".join(path.split("/")[-2:]))
            status = 200 if found else 404
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            missing = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
            self.wfile.write(json.dumps(found or missing).encode())

        def log_message(self, *arguments: object) -> None:
            """Write no access log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        stored.address = f"http://127.0.0.1:{server.server_address[1]}"
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield stored
        finally:
            server.shutdown()
            thread.join()
