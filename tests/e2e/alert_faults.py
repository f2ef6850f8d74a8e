"""Faults that make the alerts of the chart fire, as context managers: each is present in its block, then repaired."""

import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from urllib.error import URLError

from tests.e2e import faults
from tests.e2e.cluster import NAMESPACE, RELEASE, Cluster, run
from tests.soak.owners import OWNERS

type Alert = tuple[str, str]  # its name, and its alias or nothing

EVENTS = "analytics_analyticsevent"

_MISTAKES = """
from django.db import transaction
from accounts.models import User
from analytics.models import AnalyticsEvent
from legacy.models import Customer
from switchyard.routing import RoutingError

try:
    User.objects.using("replica").create(username="on-a-replica")
except RoutingError as error:
    print(type(error).__name__)
try:
    Customer.objects.create(name="new", email="new@example.com", created_at="2026-01-01T00:00:00Z")
except RoutingError as error:
    print(type(error).__name__)
with transaction.atomic():
    user = User.objects.order_by("pk").first()
    user.save(update_fields=["first_name"])
    AnalyticsEvent.objects.create(user_id=user.pk, kind="in-a-transaction", at="2026-01-01T00:00:00Z")
"""
# Each thread has a connection of its own. The program ends with its file: `kubectl exec` does not end it.
_CONNECTING = """
import threading, time
from pathlib import Path
from django.db import Error, connections

def ask():
    try:
        connections["analytics"].cursor().execute("SELECT 1")
    except Error:
        pass
    connections["analytics"].close()

running, ends_at = Path("/tmp/connecting"), time.monotonic() + 180
running.touch()
held = {holds} and connections["analytics"].cursor()
while running.exists() and time.monotonic() < ends_at:
    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    time.sleep(0.1)
"""
# One that was set aside, and an old one that is due after the test. No user has this key.
_TOMBSTONES = """
INSERT INTO switchyard_tombstone (reference, parent_key, deleted_at, due_at, state, attempts, error)
SELECT 'analytics.AnalyticsEvent.user', '-1', now() - interval '1 hour', now() + interval '1 hour', state, 0, ''
FROM (VALUES (0), (2)) AS states (state)
"""
_LATEST = "app = 'analytics' AND name IN (SELECT max(name) FROM django_migrations WHERE app = 'analytics')"


@contextmanager
def clients(cluster: Cluster) -> Iterator[None]:
    """Read and write through every owner in this block, a few times a second."""
    over = threading.Event()
    user = cluster.call("GET", "/api/users?limit=1")[1]["items"][0]["id"]
    event = {"user_id": user, "kind": "seen"}
    requests = (
        ("GET", "/api/users?limit=1", None),
        ("GET", "/api/events?limit=1", None),
        ("GET", "/api/legacy/customers?limit=1", None),
        ("POST", "/api/events", event),
        ("POST", "/api/reports", {"date": "2026-01-01"}),  # in a transaction
        ("PATCH", f"/api/users/{user}", {"first_name": "seen"}),
    )

    def ask(method: str, path: str, body: object) -> None:
        while not over.wait(0.2):
            try:
                cluster.call(method, path, body)
            except (URLError, OSError):
                continue  # a fault may break a connection

    threads = [threading.Thread(target=ask, args=request) for request in requests]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


@contextmanager
def mistakes(cluster: Cluster) -> Iterator[None]:
    """Write once on the replica, once on the read-only legacy, and once to two owners in one transaction."""
    printed = cluster.in_service("python", "manage.py", "shell", "--no-imports", "--command", _MISTAKES)
    assert printed.split() == ["ReplicaWriteError", "ReadOnlyOwnerWriteError"]
    yield


@contextmanager
def _queried(cluster: Cluster, alias: str, fault: str, repair: str) -> Iterator[None]:
    """Run one statement before the block, and another one after it."""
    cluster.query(alias, fault)
    try:
        yield
    finally:
        cluster.query(alias, repair)


@contextmanager
def pending_migration(cluster: Cluster) -> Iterator[None]:
    """Take the record of the last migration of `analytics` away."""
    away = f"UPDATE django_migrations SET app = 'away' WHERE {_LATEST}"
    with _queried(cluster, "analytics", away, "UPDATE django_migrations SET app = 'analytics' WHERE app = 'away'"):
        yield


@contextmanager
def tombstones(cluster: Cluster) -> Iterator[None]:
    """Let an old tombstone wait, and another one be set aside."""
    with _queried(cluster, "default", _TOMBSTONES, "DELETE FROM switchyard_tombstone WHERE parent_key = '-1'"):
        yield


@contextmanager
def replay_paused(cluster: Cluster) -> Iterator[None]:
    """Let the standby receive and not replay."""
    with _queried(cluster, "replica", "SELECT pg_wal_replay_pause()", "SELECT pg_wal_replay_resume()"):
        yield


@contextmanager
def table_missing(cluster: Cluster) -> Iterator[None]:
    """Give the table of the events another name."""
    renamed = f"ALTER TABLE {EVENTS} RENAME TO away"
    with _queried(cluster, "analytics", renamed, f"ALTER TABLE away RENAME TO {EVENTS}"):
        yield


@contextmanager
def table_locked(cluster: Cluster) -> Iterator[None]:
    """Lock the table of the customers again and again, each time for two seconds."""
    over = threading.Event()

    def lock() -> None:
        while not over.is_set():
            OWNERS["legacy"].ask(cluster, "LOCK TABLES customers WRITE; DO SLEEP(2); UNLOCK TABLES")

    thread = threading.Thread(target=lock)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def connecting(cluster: Cluster, url_query: str = "", *, holds: bool = False) -> Iterator[None]:
    """Run a program in the pod that opens a connection to `analytics` for each query; it may hold another one."""
    code = _CONNECTING.format(holds=holds)
    script = 'DATABASE_ANALYTICS_URL="$DATABASE_ANALYTICS_URL$0" python manage.py shell --no-imports --command "$1"'
    pod = ("exec", f"deployment/{RELEASE}", "--container=service", "--")
    command = ("kubectl", "--kubeconfig", cluster.kubeconfig, "--namespace", NAMESPACE, *pod)
    with subprocess.Popen([*command, "sh", "-c", script, url_query, code]) as process:
        try:
            yield
        finally:
            cluster.in_service("rm", "--force", "/tmp/connecting")
            process.wait(timeout=60)


@contextmanager
def exhausted_pool(cluster: Cluster) -> Iterator[None]:
    """Run a program with a pool of one connection, which it holds and asks for again."""
    with connecting(cluster, "&pool_max_size=1&connect_timeout=2", holds=True):
        yield


@contextmanager
def connections_refused(cluster: Cluster) -> Iterator[None]:
    """Let the server refuse new connections of the service; it keeps those that it has."""
    refused, allowed = (f"ALTER ROLE app CONNECTION LIMIT {limit}" for limit in (1, -1))
    with _queried(cluster, "analytics", refused, allowed), connecting(cluster):
        yield


@contextmanager
def two_hanging(cluster: Cluster) -> Iterator[None]:
    """Pause the standby, and let MySQL hang."""
    with faults.paused(cluster, "replica"), faults.hanging(cluster, "legacy"):
        yield


@contextmanager
def exporter_paused(cluster: Cluster) -> Iterator[None]:
    """Freeze the containers that serve the metrics: of the service and of its worker."""
    exporters = [
        each["containerID"].removeprefix("containerd://")
        for pod in [*cluster.objects("pods", "service"), *cluster.objects("pods", "crossdb-worker")]
        for each in pod["status"]["containerStatuses"]
        if each["name"] == "metrics"
    ]
    assert len(exporters) == 2
    tasks = ("docker", "exec", f"{cluster.name}-control-plane", "ctr", "--namespace", "k8s.io", "tasks")
    with ExitStack() as stack:
        for container in exporters:
            run(*tasks, "pause", container)
            stack.callback(run, *tasks, "resume", container)
        yield


@contextmanager
def on_analytics(cluster: Cluster) -> Iterator[None]:
    """A pending migration, and a program that reconnects."""
    with pending_migration(cluster), connecting(cluster):
        yield


@dataclass(frozen=True)
class Fault:
    """A fault, and the alerts that fire because of it."""

    make: Callable[[Cluster], AbstractContextManager[None]]
    alerts: frozenset[Alert]


def _of(make: Callable[[Cluster], AbstractContextManager[None]], *alerts: Alert) -> Fault:
    return Fault(make, frozenset(alerts))


FAULTS: Mapping[str, Fault] = {
    "mistakes of the program": _of(
        mistakes,
        ("SwitchyardWriteOnReplica", "replica"),
        ("SwitchyardWriteOnReadOnlyOwner", "legacy"),
        ("SwitchyardCrossOwnerTransaction", "analytics"),
    ),
    "pending migration, and a program that reconnects": _of(
        on_analytics,
        ("SwitchyardMigrationsPending", "analytics"),
        ("SwitchyardConnectionChurn", "analytics"),
    ),
    "standby that does not replay": _of(
        replay_paused,
        ("SwitchyardReplicaLagging", "replica"),
        ("SwitchyardReplicaLagCritical", "replica"),
        ("SwitchyardReadsFellBack", "default"),
    ),
    "paused standby, and an owner that hangs": _of(
        two_hanging,
        ("SwitchyardServerSilent", "replica"),
        ("SwitchyardServerSilent", "legacy"),
        ("SwitchyardOwnerUnavailable", "legacy"),
    ),
    "tombstones that wait and that were set aside": _of(
        tombstones,
        ("SwitchyardTombstonesWaiting", ""),
        ("SwitchyardTombstonesSetAside", ""),
    ),
    "missing table": _of(
        table_missing,
        ("SwitchyardErrorRatioHigh", "analytics"),
        ("SwitchyardRollbackRatioHigh", "analytics"),
    ),
    "locked table": _of(table_locked, ("SwitchyardQueriesSlow", "legacy")),
    "refused connections": _of(connections_refused, ("SwitchyardConnectionErrors", "analytics")),
    "exhausted pool": _of(exhausted_pool, ("SwitchyardPoolTimeouts", "analytics")),
    "paused exporter": _of(exporter_paused, ("SwitchyardScrapeFailing", ""), ("SwitchyardMetricsAbsent", "")),
}
