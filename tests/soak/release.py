"""The release under soak: its values, its revisions, and whether it is healthy."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.cluster import RELEASE, Cluster
from tests.support.waiting import until

SETTLE_SECONDS = 3.0  # from healthy pods until the next event
HEAL_SECONDS = 240.0

type Values = dict[str, Any]


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait until the condition holds; fail after HEAL_SECONDS."""
    until(condition, what, seconds=HEAL_SECONDS)


@dataclass
class Release:
    """The release of `kind-up`, upgraded with all of its values each time, as a pipeline does."""

    cluster: Cluster
    revisions: list[Values] = field(default_factory=list)

    @property
    def values(self) -> Values:
        """The values of the newest revision that differ from those of `kind-up`."""
        return self.revisions[-1] if self.revisions else {}

    def upgrade(self, **changes: Any) -> None:
        """Upgrade with these values changed, each named with `__` for a dot; None takes a value away."""
        changed = {name.replace("__", "."): value for name, value in changes.items()}
        values = {name: value for name, value in (self.values | changed).items() if value is not None}
        source = self.cluster.source
        self.cluster.helm(
            *("upgrade", "--install", RELEASE, str(source / "chart"), "--reset-values"),
            *("--values", str(source / "k8s-dev" / "values.yaml")),
            *(f"--set-json={name}={json.dumps(value)}" for name, value in values.items()),
        )
        self.revisions.append(values)

    def rollback(self) -> None:
        """Go back to the revision before the newest."""
        self.cluster.helm("rollback", RELEASE)
        self.revisions.append(self.revisions[-2])

    def objects(self) -> list[dict[str, Any]]:
        """Return all objects that say whether the release is healthy, in one answer of Kubernetes."""
        kinds, selector = "deployments,statefulsets,jobs,pods", f"app.kubernetes.io/instance={RELEASE}"
        found = json.loads(self.cluster.kubectl("get", kinds, "--selector", selector, "--output", "json"))
        items: list[dict[str, Any]] = found["items"]
        return items

    def pods(self, component: str, alias: str = "") -> list[dict[str, Any]]:
        """Return the running pods of a component, of one alias or of all."""
        return [
            item
            for item in self.objects()
            if item["kind"] == "Pod"
            and item["status"]["phase"] == "Running"
            and item["metadata"]["labels"]["app.kubernetes.io/component"] == component
            and alias in {"", item["metadata"]["labels"].get("switchyard/alias")}
        ]

    def wait_until_healthy(self, *, replaced: str = "") -> None:
        """Wait until each object is as it should be, and the container `replaced` no longer runs."""

        def healthy() -> bool:
            objects = self.objects()
            return replaced not in _running(objects) and all(_is_healthy(item) for item in objects)

        wait_until(healthy, "the release is healthy")


def _running(objects: list[dict[str, Any]]) -> set[str]:
    """Return the ids of the running containers of all pods."""
    return {
        status["containerID"].removeprefix("containerd://")
        for item in objects
        if item["kind"] == "Pod"
        for status in item["status"].get("containerStatuses", [])
        if "running" in status["state"]
    }


def _is_healthy(item: dict[str, Any]) -> bool:
    status, spec = item["status"], item["spec"]
    match item["kind"]:
        case "Deployment" | "StatefulSet":
            numbers = {status.get(name, 0) for name in ("replicas", "readyReplicas", "updatedReplicas")}
            return status.get("observedGeneration") == item["metadata"]["generation"] and numbers == {spec["replicas"]}
        case "Job":
            return bool(status.get("succeeded"))
        case _:
            conditions = {each["type"]: each["status"] for each in status.get("conditions", [])}
            over = item["metadata"]["labels"]["app.kubernetes.io/component"] in {"migration", "test"}
            return over or ("deletionTimestamp" not in item["metadata"] and conditions.get("Ready") == "True")
