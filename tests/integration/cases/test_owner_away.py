"""Case 18: the owner is down or hangs. Reads of replicas work, and everything else fails at once with a 503."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
from django.conf import settings
from django.db import connections, transaction
from django.test import override_settings
from tests.support.faults import delayed
from tests.support.servers import Servers
from tests.support.waiting import until
from tests.support.watching import OLD, Edge, Side, others

from accounts.models import User
from switchyard.routing.errors import OwnerUnavailableError
from switchyard.routing.topology.replication import replication_set

pytestmark = pytest.mark.docker

AT_ONCE = 2.0  # seconds; a connection to an owner that does not answer takes five
FAULTS = ["stopped", "paused"]


def timed(ask: Any, *arguments: Any, **options: Any) -> tuple[int, float]:
    """Return the status of the response and the seconds that it took."""
    began = time.monotonic()
    status = ask(*arguments, **options).status_code
    return status, time.monotonic() - began


@pytest.mark.parametrize("fault", FAULTS)
def test_case_18__first_requests(watched: Servers, admin: Edge, fault: str) -> None:
    """From the first request on, writes and sessions answer 503, and the standby serves reads."""
    edge = Edge()
    statuses = [edge.get("/api/users").status_code, admin.get("/admin/").status_code]
    assert statuses == [200, 200]

    with getattr(watched, fault)("default"):
        write, wrote_in = timed(edge.post, "/api/users", {"username": "bob"}, content_type="application/json")
        read, read_in = timed(edge.get, "/api/users")
        session, session_in = timed(admin.get, "/admin/")
    repaired = time.monotonic()
    until(
        lambda: edge.post("/api/users", {"username": "eve"}, content_type="application/json").status_code == 201, "it"
    )

    print(f"{fault}: {wrote_in:.2f} {read_in:.2f} {session_in:.2f}, back after {time.monotonic() - repaired:.2f} s")
    assert (write, read, session) == (503, 200, 503)
    assert max(wrote_in, read_in, session_in) < AT_ONCE
    assert [user.username for user in User.objects.using("default").order_by("pk")] == ["root", "eve"]


@pytest.mark.parametrize("fault", FAULTS)
@override_settings(LEGACY_WRITABLE=True)
def test_case_18__mysql(watched: Servers, admin: Edge, fault: str) -> None:
    """On MySQL too, the replica serves reads, and writes are refused."""
    customer = {"name": "Bob", "email": OLD, "created_at_0": "2026-01-02", "created_at_1": "12:00:00"}
    assert admin.get("/api/legacy/customers").status_code == 200
    assert admin.post("/admin/legacy/customer/add/", customer).status_code == 302

    with getattr(watched, fault)("legacy"):
        write, wrote_in = timed(admin.post, "/admin/legacy/customer/add/", customer)
        read, read_in = timed(admin.get, "/api/legacy/customers")
    until(lambda: admin.post("/admin/legacy/customer/add/", customer).status_code == 302, "it is written again")

    print(f"mysql {fault}: {wrote_in:.2f} {read_in:.2f}")
    assert (write, read) == (503, 200)
    assert max(wrote_in, read_in) < AT_ONCE


@pytest.mark.parametrize("fault", FAULTS)
def test_case_18__an_owner_without_replicas(watched: Servers, fault: str) -> None:
    """An owner that nothing replicates is refused at once as well, and used again when it answers."""
    edge = Edge()
    assert edge.get("/api/events").status_code == 200

    with getattr(watched, fault)("analytics"):
        _, first_in = timed(edge.get, "/api/events")
        until(lambda: replication_set("analytics").snapshot.unavailable_reason == "down", "it is known", seconds=5)
        status, took = timed(edge.get, "/api/events")
        others_status, _ = timed(edge.get, "/api/users")
    repaired = time.monotonic()
    until(lambda: edge.get("/api/events").status_code == 200, "it answers", seconds=20)

    print(f"{fault}: {first_in:.2f} {took:.2f}, back after {time.monotonic() - repaired:.2f} s")
    assert (status, others_status) == (503, 200)
    assert first_in < AT_ONCE
    assert took < AT_ONCE


@pytest.mark.parametrize("fault", FAULTS)
def test_case_18__a_client_that_wrote(watched: Servers, fault: str) -> None:
    """Its read waits for the standby, which is about to replay the write, and finds the write there."""
    edge = Edge()
    with delayed(watched, seconds=0.6):
        made = edge.post("/api/users", {"username": "bob"}, content_type="application/json")
        with getattr(watched, fault)("default"):
            statuses = [edge.get(f"/api/users/{made.json()['id']}").status_code for _ in range(5)]

    assert statuses == [200] * 5


def test_case_18__a_write_under_way(watched: Servers) -> None:
    """A client whose write failed on the way still reads its earlier writes on the standby."""
    edge = Edge()
    made = edge.post("/api/users", {"username": "bob"}, content_type="application/json")
    with watched.paused("default"):
        refused = edge.post("/api/users", {"username": "eve"}, content_type="application/json").status_code
        statuses = [edge.get(f"/api/users/{made.json()['id']}").status_code for _ in range(5)]

    assert refused == 503
    assert statuses == [200] * 5


def test_case_18__a_failed_read(watched: Servers) -> None:
    """A read that the owner failed to answer requires nothing: the standby serves the client once it has the write."""
    edge = Edge()
    with ExitStack() as held_back:
        held_back.enter_context(watched.held_back())
        made = edge.post("/api/users", {"username": "bob"}, content_type="application/json")
        path = f"/api/users/{made.json()['id']}"
        with watched.stopped("default"):
            refused = edge.get(path).status_code
            held_back.close()
            until(lambda: edge.get(path).status_code == 200, "the standby serves the client", seconds=10)

    assert refused == 503


@pytest.mark.parametrize("alias", ["default", "analytics"])
def test_case_18__a_server_set_to_refuse_writes(watched: Servers, alias: str) -> None:
    """Writes are refused as unavailable while somebody has set the server read-only, and reads go on."""
    table = {"default": "auth_group", "analytics": "analytics_analyticsevent"}[alias]

    def write() -> None:
        with connections[alias].cursor() as cursor:
            cursor.execute(f"UPDATE {table} SET id = id")

    watched.ask(alias, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
    try:
        until(lambda: _is_refused(write), "writes are refused")
        with connections[alias].cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM {table}")
    finally:
        watched.ask(alias, "ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()")
    until(lambda: not _is_refused(write), "writes are taken again")


def _is_refused(write: Callable[[], None]) -> bool:
    try:
        write()
    except OwnerUnavailableError as error:
        return error.reason == "read_only"
    return False


def test_case_18__a_slow_owner(watched: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that answers is not refused, however many threads wait for its slow statements."""
    monkeypatch.setitem(settings.SWITCHYARD, "THREADS", 2)
    seen: set[tuple[str, bool]] = set()

    def read_slowly(_number: int) -> None:
        with connections["analytics"].cursor() as cursor:
            cursor.execute("SELECT pg_sleep(2)")
        connections["analytics"].close()

    with ThreadPoolExecutor(max_workers=6) as threads:
        reading = [threads.submit(read_slowly, number) for number in range(12)]
        while not all(read.done() for read in reading):
            snapshot = replication_set("analytics").snapshot
            seen.add((snapshot.unavailable_reason, snapshot.answers_late))
            time.sleep(0.05)

    assert [read.exception() for read in reading] == [None] * 12
    assert ("down", False) not in seen


def test_case_18__a_connection_to_open(watched: Servers, side: Side) -> None:
    """A write that must connect to a hung server waits for the monitor, and not for the time-out of the driver."""
    connections[side.owner].close()
    with watched.paused(side.owner):
        began = time.monotonic()
        with pytest.raises(OwnerUnavailableError):
            side.create("bob")
        took = time.monotonic() - began
    until(lambda: not replication_set(side.owner).snapshot.unavailable_reason, "the owner is back", seconds=20)

    print(f"{side.owner}: {took:.2f}")
    assert took < AT_ONCE


def test_case_18__orm(watched: Servers, side: Side, ada: Any) -> None:
    """Once the monitor knows, a write is refused without a query, with one clear error; the replica stays fit."""
    with watched.paused(side.owner):
        until(lambda: replication_set(side.owner).snapshot.unavailable_reason == "down", "it is known", seconds=5)
        began = time.monotonic()
        with pytest.raises(OwnerUnavailableError, match=f"'{side.owner}' cannot be used: its server does not answer"):
            side.create("bob")
        with pytest.raises(OwnerUnavailableError), transaction.atomic(side.owner):
            side.create("bob")
        with others():
            found = side.get("ada")
        took = time.monotonic() - began
        replica = side.known_replica()

    assert found._state.db == side.replica
    assert took < AT_ONCE
    assert (replica.fit, replica.lag_seconds) == (True, 0.0)  # the replica has replayed everything
    until(lambda: not replication_set(side.owner).snapshot.unavailable_reason, "the owner is back", seconds=20)


def test_case_18__a_pool(watched: Servers) -> None:
    """When the owner is back, its pool holds no old connections: the pool would hand them out one by one."""
    entry = connections.settings["default"]
    entry["CONN_MAX_AGE"], entry["CONN_HEALTH_CHECKS"] = 0, True
    entry["OPTIONS"]["pool"] = {"min_size": 6, "max_size": 6, "timeout": 10, "reconnect_timeout": 1}
    connections["default"].close()
    del connections["default"]
    try:
        pool = connections["default"].pool  # type: ignore[attr-defined]  # PostgreSQL's
        with others():
            User.objects.create(username="before")
        connections["default"].close()
        pool.wait()
        with watched.stopped("default"):
            until(lambda: replication_set("default").snapshot.unavailable_reason == "down", "it is known")
        until(lambda: replication_set("default").snapshot.unavailable_reason == "", "it is back")
        User.objects.create(username="after")
        lost = pool.get_stats().get("connections_lost", 0)
    finally:
        connections["default"].close()
        connections["default"].close_pool()  # type: ignore[attr-defined]

    assert lost == 0
