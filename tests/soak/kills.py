"""The two ways to kill a container of the release: from its node, and by deleting its pod."""

from collections.abc import Callable, Mapping
from typing import Any

from tests.e2e.cluster import Cluster, run

type Kill = Callable[[Cluster, dict[str, Any]], None]


def sigkilled(cluster: Cluster, pod: dict[str, Any]) -> None:
    """Send SIGKILL to the first process of the pod's first container. The kernel ends its other processes with it."""
    node = f"{cluster.name}-control-plane"
    run("docker", "exec", node, "ctr", "--namespace=k8s.io", "tasks", "kill", "--signal=SIGKILL", container_of(pod))


def deleted(cluster: Cluster, pod: dict[str, Any]) -> None:
    """Delete the pod with a grace of one second."""
    cluster.kubectl("delete", "pod", pod["metadata"]["name"], "--grace-period=1", "--wait=false")


def deleted_with_volume(cluster: Cluster, pod: dict[str, Any]) -> None:
    """Delete the volume of the pod and the pod. Kubernetes keeps the volume until the pod has ended."""
    cluster.kubectl("delete", "pvc", f"data-{pod['metadata']['name']}", "--wait=false")
    deleted(cluster, pod)


def container_of(pod: dict[str, Any]) -> str:
    """Return the id of the pod's first container, which is not always the first in its status."""
    first = pod["spec"]["containers"][0]["name"]
    ids: Mapping[str, str] = {each["name"]: each["containerID"] for each in pod["status"]["containerStatuses"]}
    return ids[first].removeprefix("containerd://")
