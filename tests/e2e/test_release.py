"""The release from outside. The order of the tests matters.

The tests share one cluster and run from the first to the last: tests that stop servers come after tests that count.
"""

import json
import os
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from tests.bench.isolation import during_fault
from tests.e2e import faults
from tests.e2e.cluster import RELEASE, Cluster, Key, Prometheus, run, user_created
from tests.support.waiting import until

pytestmark = pytest.mark.cluster

NEW_MIGRATION = """
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("analytics", "{previous}")]
    operations = [migrations.AddField("analyticsevent", "source", models.CharField(max_length=64, null=True))]
"""


def requests_of_known_cost(user_id: int) -> list[tuple[str, str, Any, int, Counter[Key]]]:
    """Return five requests, each with its status and its queries."""
    name, event = f"e2e-{os.urandom(6).hex()}", {"user_id": user_id, "kind": "seen"}
    return [
        ("POST", "/api/users", {"username": name}, 201, Counter({("default", "write"): 1})),
        ("GET", "/api/users?limit=5", None, 200, Counter({("replica", "read"): 1})),
        ("POST", "/api/events", event, 201, Counter({("default", "read"): 1, ("analytics", "write"): 1})),
        ("GET", "/api/events?limit=5", None, 200, Counter({("analytics", "read"): 1})),
        ("GET", "/api/legacy/customers?limit=5", None, 200, Counter({("legacy", "read"): 2})),
    ]


def load(cluster: Cluster, user_id: int, *, rounds: int) -> Counter[Key]:
    """Send the five requests, round after round, and return their queries."""
    expected: Counter[Key] = Counter()
    for _ in range(rounds):
        for method, path, body, status, cost in requests_of_known_cost(user_id):
            answered, document = cluster.call(method, path, body)
            assert answered == status, (method, path, document)
            expected += cost
    return expected


def generations(cluster: Cluster) -> dict[str, Any]:
    """Return the identities that change when an object is created again or restarted."""
    found = [
        *cluster.objects("jobs"),
        *cluster.objects("pods", component="service"),
        *cluster.objects("pods", component="database"),
        *cluster.objects("statefulsets"),
        *cluster.objects("deployments"),
    ]
    return {
        f"{item['kind']}/{item['metadata']['name']}": (
            item["metadata"]["uid"],
            item["metadata"].get("generation"),
            [status["restartCount"] for status in item["status"].get("containerStatuses", [])],
        )
        for item in found
    }


def test_jobs__after_kind_up(cluster: Cluster) -> None:
    """The Job of each owner is complete, and the replica has no Job."""
    jobs = {
        job["metadata"]["labels"]["switchyard/alias"]: job["status"].get("succeeded") for job in cluster.objects("jobs")
    }

    assert jobs == {"default": 1, "analytics": 1, "legacy": 1}


def test_image__of_the_service(cluster: Cluster) -> None:
    """The image is smaller than 350 MB and runs as a user of its own."""
    (deployment,) = cluster.objects("deployments", "service")
    image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    (about,) = json.loads(run("docker", "image", "inspect", image))

    assert about["Size"] < 350_000_000
    assert about["Config"]["User"] == "10001:10001"


def test_user__written_and_read(cluster: Cluster) -> None:
    """A user that is posted to the API is written on the primary and read from the standby."""
    before = cluster.scraped()
    key = user_created(cluster)
    in_recovery_and_there = f"SELECT pg_is_in_recovery() AND EXISTS (SELECT FROM accounts_user WHERE id = {key})"
    until(lambda: cluster.query("replica", in_recovery_and_there) == "t", "the row replayed", seconds=30)

    status, user = cluster.call("GET", f"/api/users/{key}")

    assert (status, user["id"]) == (200, key)
    assert cluster.scraped() - before == {("default", "write"): 1, ("replica", "read"): 1}


def test_counters__of_200_requests(cluster: Cluster, prometheus: Prometheus) -> None:
    """Prometheus has exactly the queries of the requests, over two workers, one of which was killed."""
    workers = cluster.in_service("cat", "/proc/1/task/1/children").split()
    assert len(workers) == 2
    user_id = user_created(cluster)
    until(lambda: prometheus.counted() == cluster.scraped(), "Prometheus up to date", seconds=15)
    before = prometheus.counted()

    expected = load(cluster, user_id, rounds=20)
    cluster.in_service("python", "-c", f"import os, signal; os.kill({workers[0]}, signal.SIGKILL)")
    until(
        lambda: len(now := cluster.in_service("cat", "/proc/1/task/1/children").split()) == 2 and workers[0] not in now,
        "a worker in the place of the killed one",
        seconds=30,
    )
    expected += load(cluster, user_id, rounds=20)
    until(lambda: prometheus.counted() - before == expected, f"exactly {expected}", seconds=15)
    time.sleep(3)  # three scrapes more: no query comes late

    assert prometheus.counted() - before == expected


def test_kind_up__with_nothing_changed(cluster: Cluster) -> None:
    """Without changes, kind-up keeps the image, the Jobs and the pods: nothing is created again or restarts."""
    before = generations(cluster)

    cluster.up()

    assert generations(cluster) == before


def test_rollout__under_load(cluster: Cluster) -> None:
    """While all pods are replaced, no request fails: each pod finishes its requests."""
    answers: Counter[int] = Counter()
    over = Event()

    def ask() -> None:
        while not over.is_set():
            answers[cluster.call("GET", "/api/users?limit=1")[0]] += 1

    with ThreadPoolExecutor() as pool:
        asking = [pool.submit(ask) for _ in range(4)]
        try:
            cluster.kubectl("rollout", "restart", f"deployment/{RELEASE}")
            cluster.kubectl("rollout", "status", f"deployment/{RELEASE}", "--timeout=120s")
            until(lambda: cluster.service_pods() == 1, "the old pod gone", seconds=60)
        finally:
            over.set()
    for asked in asking:
        asked.result()

    assert answers.keys() == {200}


def test_legacy__hung(cluster: Cluster) -> None:
    """While MySQL hangs under 40 clients, no request of another database fails or waits, and no pod restarts."""
    before = generations(cluster)

    # Kubernetes would send no request to a pod that is not ready for 15 seconds.
    found = during_fault(
        cluster.http_port, "legacy", partial(faults.hanging, cluster, "legacy"), during_seconds=30, token=cluster.token
    )

    slower = {asked: round(found.slower_seconds(asked), 3) for asked in found.others}
    print(f"slower by {slower}, back after {found.back_seconds():.2f} s")
    assert {asked: found.failed(asked) for asked in found.others} == {asked: [] for asked in found.others}
    assert max(slower.values()) < 0.5  # other processes may slow the machine down; without the circuit it is 20 s
    assert {each.status for each in found.refusals()} == {503}
    assert found.back_seconds() < 3.0
    assert generations(cluster) == before


def test_standby__without_primary(cluster: Cluster) -> None:
    """With the primary scaled to 0, new connections to the standby can read."""
    primary = f"statefulset/{RELEASE}-db-default"
    cluster.kubectl("scale", primary, "--replicas=0")
    cluster.kubectl("wait", "--for=delete", f"pod/{RELEASE}-db-default-0", "--timeout=90s")
    try:
        read = "from accounts.models import User; print(User.objects.using('replica').count() > 0)"
        assert cluster.in_service("python", "manage.py", "shell", "--no-imports", "--command", read).strip() == "True"
        assert cluster.call("GET", "/api/users?limit=1")[0] == 200
    finally:
        cluster.kubectl("scale", primary, "--replicas=1")
    cluster.kubectl("rollout", "status", primary, "--timeout=120s")
    cluster.kubectl("rollout", "status", f"statefulset/{RELEASE}-db-replica", "--timeout=120s")
    until(
        lambda: cluster.call("POST", "/api/users", {"username": f"e2e-{os.urandom(6).hex()}"})[0] == 201,
        "a write once the primary is back",
        seconds=60,
    )


def test_service__without_standby(cluster: Cluster) -> None:
    """A new pod waits for the standby for the time in the values, then starts and reads from the primary."""
    deployment, standby = f"deployment/{RELEASE}", f"statefulset/{RELEASE}-db-replica"
    cluster.upgrade("--set", "gate.replicaTimeout=3")
    cluster.kubectl("rollout", "status", deployment, "--timeout=120s")
    cluster.kubectl("scale", standby, "--replicas=0")
    cluster.kubectl("wait", "--for=delete", f"pod/{RELEASE}-db-replica-0", "--timeout=90s")
    try:
        cluster.kubectl("rollout", "restart", deployment)
        cluster.kubectl("rollout", "status", deployment, "--timeout=120s")
        until(lambda: cluster.service_pods() == 1, "the old pod gone", seconds=60)
        before = cluster.scraped()

        assert cluster.call("GET", "/api/users?limit=1")[0] == 200
        assert cluster.scraped() - before == {("default", "read"): 1}
    finally:
        cluster.kubectl("scale", standby, "--replicas=1")
    cluster.kubectl("rollout", "status", standby, "--timeout=120s")


def test_uninstall__and_install_again(cluster: Cluster) -> None:
    """The volumes and the Secrets stay, so the data is found again."""
    key = user_created(cluster)
    cluster.helm("uninstall", RELEASE, "--wait", "--timeout", "3m")
    until(lambda: not cluster.objects("pods"), "no pod left", seconds=120)

    cluster.up()

    until(lambda: cluster.call("GET", f"/api/users/{key}")[0] == 200, "the user on the standby", seconds=30)


def test_kind_up__with_a_migration_more(cluster: Cluster, changed_source: Path) -> None:
    """Changed code creates new Jobs, which apply the migration, and new pods, which serve requests."""
    before = {pod["metadata"]["uid"] for pod in cluster.objects("pods", component="service")}
    migrations = changed_source / "app" / "analytics" / "migrations"
    previous = max(path.stem for path in migrations.glob("0*.py"))
    (migrations / "0999_source.py").write_text(NEW_MIGRATION.format(previous=previous))
    models = changed_source / "app" / "analytics" / "models.py"
    models.write_text(
        models.read_text().replace(
            "    at = models.DateTimeField()\n",
            "    at = models.DateTimeField()\n    source = models.CharField(max_length=64, null=True)\n",
            1,
        )
    )

    cluster.up(changed_source)

    column = "SELECT count(*) FROM information_schema.columns WHERE column_name = 'source' AND table_name = "
    assert cluster.query("analytics", f"{column} 'analytics_analyticsevent'") == "1"
    assert before.isdisjoint(pod["metadata"]["uid"] for pod in cluster.objects("pods", component="service"))
    assert cluster.call("GET", "/api/events?limit=1")[0] == 200
