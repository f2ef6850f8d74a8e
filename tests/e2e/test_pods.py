"""The pods of the service: what their probes ask, and their restarts under load, from inside the cluster."""

import os

import pytest
from tests.e2e import faults
from tests.e2e.cluster import RELEASE, Cluster
from tests.soak.kills import sigkilled
from tests.soak.release import Release
from tests.soak.soak import image_of, load
from tests.support.waiting import until

pytestmark = pytest.mark.cluster

RESTARTS = int(os.environ.get("RESTARTS", "4"))
PODS = 2
CLIENTS = 6  # every second one keeps its connection
PATHS = {"startupProbe": "/startupz", "readinessProbe": "/readyz", "livenessProbe": "/livez"}
STATUSES = """
import sys
from http.client import HTTPConnection
for path in sys.argv[1:]:
    connection = HTTPConnection("127.0.0.1", 8000, timeout=10)
    connection.request("GET", path, headers={"Host": "localhost"})
    print(connection.getresponse().status)
"""


def statuses(cluster: Cluster) -> dict[str, int]:
    """Return what the service answers to its probes, from inside its pod."""
    answered = cluster.in_service("python", "-c", STATUSES, *PATHS.values()).split()
    return dict(zip(PATHS.values(), map(int, answered), strict=True))


def container(cluster: Cluster) -> dict[str, object]:
    """Return the state of the service's container."""
    (pod,) = cluster.objects("pods", "service")
    (found,) = [each for each in pod["status"]["containerStatuses"] if each["name"] == "service"]
    return {name: found[name] for name in ("started", "ready", "restartCount")}


def test_probes__of_the_service(cluster: Cluster) -> None:
    """Each probe asks for its path, which a healthy service answers with 200."""
    (deployment,) = cluster.objects("deployments", "service")
    (service,) = [each for each in deployment["spec"]["template"]["spec"]["containers"] if each["name"] == "service"]

    assert {probe: service[probe]["httpGet"]["path"] for probe in PATHS} == PATHS
    assert statuses(cluster) == dict.fromkeys(PATHS.values(), 200)


def test_startup__without_an_owner(cluster: Cluster) -> None:
    """A process that starts without a required owner has not started and lives; it serves once the owner is back."""
    (pod,) = cluster.objects("pods", "service")
    before = container(cluster)["restartCount"]
    assert isinstance(before, int)
    waiting = {"started": False, "ready": False, "restartCount": before + 1}

    with faults.stopped(cluster, "analytics"):
        sigkilled(cluster, pod)  # the init container does not run again
        until(lambda: container(cluster) == waiting, "another process", seconds=30)
        until(lambda: answers(cluster), "an answer to the probes", seconds=30)

        assert statuses(cluster) == {"/startupz": 503, "/readyz": 503, "/livez": 200}
        assert container(cluster) == waiting

    ready = {"started": True, "ready": True, "restartCount": before + 1}
    until(lambda: container(cluster) == ready, "the process serves", seconds=60)


def answers(cluster: Cluster) -> bool:
    """Tell whether the service answers."""
    try:
        return bool(statuses(cluster))
    except AssertionError:
        return False


def ready_pods(cluster: Cluster) -> set[str]:
    """Return the names of the pods that serve, without those that are being deleted."""
    return {
        pod["metadata"]["name"]
        for pod in cluster.objects("pods", "service")
        if any((each["type"], each["status"]) == ("Ready", "True") for each in pod["status"].get("conditions", []))
    }


def test_restarts__under_load(cluster: Cluster) -> None:
    """While pods of the service are replaced, one deleted and all by turns, no request of any client fails."""
    release, tag = Release(cluster), image_of(cluster).partition(":")[2]
    release.upgrade(image__tag=tag, replicaCount=PODS)
    release.wait_until_healthy()
    try:
        with load(release, image_of(cluster), f"restarts-{os.urandom(4).hex()}", CLIENTS) as answered:
            for number in range(RESTARTS):
                before = ready_pods(cluster)
                if number % 2:
                    cluster.kubectl("rollout", "restart", f"deployment/{RELEASE}")
                    cluster.kubectl("rollout", "status", f"deployment/{RELEASE}", "--timeout=120s", timeout=130)
                    assert not before & ready_pods(cluster)
                else:
                    cluster.kubectl("delete", "pod", min(before), "--wait=false")
                    until(lambda: len(ready_pods(cluster)) == PODS, "another pod is ready", seconds=120)
    finally:
        release.upgrade(image__tag=tag, replicaCount=None)
        release.wait_until_healthy()

    print(f"{len(answered):,} requests over {RESTARTS} restarts")
    assert [answer for answer in answered if not answer.fulfilled] == []
    assert len(answered) > 10 * CLIENTS * RESTARTS
