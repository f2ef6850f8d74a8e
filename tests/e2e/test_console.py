"""The console in the cluster: whichever pod answers, its numbers are those of all pods."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e.cluster import RELEASE, Cluster
from tests.support.pods import of_alias
from tests.support.waiting import until

pytestmark = pytest.mark.cluster

READS, FEW = 40, 10
ANSWERS = 8  # in turn: the Service chooses a pod for each


@pytest.fixture
def two_pods(cluster: Cluster) -> Iterator[Cluster]:
    """The release with two pods of the service."""
    try:
        scale(cluster, 2)
        yield cluster
    finally:
        scale(cluster, 1)
        until(lambda: cluster.service_pods() == 1, "one pod of the service", seconds=120)


def scale(cluster: Cluster, replicas: int) -> None:
    """Set the number of pods by the values: the chart then tells the pods of each other. Wait until they are ready."""
    cluster.upgrade("--set", f"replicaCount={replicas}")
    cluster.kubectl("rollout", "status", f"deployment/{RELEASE}", "--timeout=180s", timeout=200)


def console(cluster: Cluster) -> dict[str, Any]:
    """Return the numbers of the console, from a pod that the Service chooses."""
    status, data = cluster.call("GET", "/console/data")
    assert status == 200, data
    found: dict[str, Any] = data
    return found


def reads(data: dict[str, Any]) -> int:
    """Return the reads of the owner of the customers since the counters began."""
    count: int = of_alias(data, "legacy")["queries"]["read"]
    return count


def test_console__over_the_pods(two_pods: Cluster) -> None:
    """Each pod names the same two pods of the service and the worker's, and shows the reads of all of them."""

    def complete() -> bool:
        found = [console(two_pods)["pods"] for _ in range(ANSWERS)]
        labels = {frozenset(each["pod"] for each in listed) for listed in found}
        return len(labels) == 1 and all([each["answers"] for each in listed] == [True] * 3 for listed in found)

    until(complete, "each answer has the numbers of the same three pods", seconds=60)
    before = reads(console(two_pods))
    for _ in range(READS):
        assert two_pods.call("GET", "/api/legacy/customers?limit=1")[0] == 200

    def sum_is_shown() -> bool:
        more = [reads(console(two_pods)) - before for _ in range(ANSWERS)]
        # Customers and their orders are two queries; checks of health may add a few.
        return all(2 * READS <= each <= 2 * READS + FEW for each in more)

    until(sum_is_shown, f"each answer has the reads of {READS} requests", seconds=30)
