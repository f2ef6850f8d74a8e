"""Faults of a bundled database in the cluster, as context managers: each is present in its block, then repaired.

They are made from the node: a process in a container can neither stop the first process nor change the network.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

from tests.e2e.cluster import RELEASE, Cluster, run


@contextmanager
def stopped(cluster: Cluster, alias: str) -> Iterator[None]:
    """Scale the server to 0; at the end wait until it is ready again."""
    server = f"statefulset/{RELEASE}-db-{alias}"
    cluster.kubectl("scale", server, "--replicas=0")
    cluster.kubectl("wait", "--for=delete", f"pod/{RELEASE}-db-{alias}-0", "--timeout=60s")
    try:
        yield
    finally:
        cluster.kubectl("scale", server, "--replicas=1")
        cluster.kubectl("rollout", "status", server, "--timeout=120s")


@contextmanager
def paused(cluster: Cluster, alias: str) -> Iterator[None]:
    """Freeze the container."""
    container = _container(cluster, alias)
    _on_node(cluster, *_CTR, "pause", container)
    try:
        yield
    finally:
        _on_node(cluster, *_CTR, "resume", container)


@contextmanager
def hanging(cluster: Cluster, alias: str) -> Iterator[None]:
    """Stop each process of the container with SIGSTOP: the kernel accepts connections, and nothing answers."""
    first = _processes(cluster, alias)[0]
    _on_node(cluster, "kill", "-STOP", first)  # it starts no process from here on
    _signal(cluster, "STOP", *_processes(cluster, alias))
    try:
        yield
    finally:
        _signal(cluster, "CONT", *_processes(cluster, alias))


@contextmanager
def refusing(cluster: Cluster, alias: str) -> Iterator[None]:
    """Refuse each packet to the pod, as a closed port does."""
    with _packets(cluster, alias, "REJECT", "--reject-with", "tcp-reset"):
        yield


@contextmanager
def black_holed(cluster: Cluster, alias: str) -> Iterator[None]:
    """Drop each packet to the pod."""
    with _packets(cluster, alias, "DROP"):
        yield


FAULTS: Mapping[str, Callable[[Cluster, str], AbstractContextManager[None]]] = {
    "stopped": stopped,
    "paused": paused,
    "hanging": hanging,
    "refusing": refusing,
    "black-holed": black_holed,
}

_CTR = ("ctr", "--namespace", "k8s.io", "tasks")


@contextmanager
def _packets(cluster: Cluster, alias: str, *target: str) -> Iterator[None]:
    inside = ("nsenter", "--net", "--target", _processes(cluster, alias)[0], "iptables", "--wait")
    rule = ("INPUT", "!", "--in-interface", "lo", "--protocol", "tcp", "--jump", *target)
    _on_node(cluster, *inside, "--insert", *rule)
    try:
        yield
    finally:
        _on_node(cluster, *inside, "--delete", *rule)


def _container(cluster: Cluster, alias: str) -> str:
    path = "{.status.containerStatuses[0].containerID}"
    pod = f"{RELEASE}-db-{alias}-0"
    return cluster.kubectl("get", "pod", pod, "--output", f"jsonpath={path}").removeprefix("containerd://")


def _processes(cluster: Cluster, alias: str) -> list[str]:
    """Return the process ids of the container on the node, the first process first."""
    table = _on_node(cluster, *_CTR, "ps", _container(cluster, alias)).splitlines()
    return [line.split()[0] for line in table[1:]]


def _signal(cluster: Cluster, name: str, *processes: str) -> None:
    """Send a signal to these processes; some may have ended meanwhile."""
    _on_node(cluster, "sh", "-c", f"kill -{name} {' '.join(processes)} 2>/dev/null || true")


def _on_node(cluster: Cluster, *command: str) -> str:
    return run("docker", "exec", f"{cluster.name}-control-plane", *command)
