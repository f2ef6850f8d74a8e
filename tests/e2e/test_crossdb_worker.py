"""The worker of deletions in the cluster: the events of a deleted user go, whatever becomes of the worker's pod."""

import pytest
from tests.e2e.cluster import RELEASE, Cluster, user_created
from tests.support.waiting import until

pytestmark = pytest.mark.cluster


def user_with_event(cluster: Cluster) -> int:
    """Create a user with one event through the API, and return the user's key."""
    user = user_created(cluster)
    assert cluster.call("POST", "/api/events", {"user_id": user, "kind": "login"})[0] == 201
    return user


def delete_by_sql(cluster: Cluster, user: int) -> None:
    """Delete the user as an administrator does: in the server, past Django."""
    cluster.query("default", f"DELETE FROM accounts_user WHERE id = {user}")


def no_event(cluster: Cluster, user: int) -> bool:
    """Return True if the owner of the events has none of the user."""
    return cluster.query("analytics", f"SELECT count(*) FROM analytics_analyticsevent WHERE user_id = {user}") == "0"


def test_worker__user_deleted_by_sql(cluster: Cluster) -> None:
    """The event of the deleted user goes, and the event of another user stays."""
    user, other = user_with_event(cluster), user_with_event(cluster)

    delete_by_sql(cluster, user)
    until(lambda: no_event(cluster, user), "no event of the deleted user", seconds=60)

    assert not no_event(cluster, other)


def test_worker__whose_pod_is_killed(cluster: Cluster) -> None:
    """The pod after it deletes the event of a user who was deleted while no worker ran, and becomes ready."""
    user = user_with_event(cluster)
    (pod,) = cluster.objects("pods", "crossdb-worker")
    cluster.kubectl("delete", "pod", pod["metadata"]["name"], "--wait", "--grace-period=0", "--force")

    delete_by_sql(cluster, user)
    until(lambda: no_event(cluster, user), "no event of the deleted user", seconds=120)

    cluster.kubectl("rollout", "status", f"deployment/{RELEASE}-crossdb-worker", "--timeout=60s")
    until(lambda: healthy(cluster) == 1, "the budget of disruptions counts the pod", seconds=30)


def healthy(cluster: Cluster) -> int:
    """Return the number of healthy pods that the worker's budget of disruptions sees."""
    (budget,) = cluster.objects("poddisruptionbudgets", "crossdb-worker")
    return int(budget["status"]["currentHealthy"])
