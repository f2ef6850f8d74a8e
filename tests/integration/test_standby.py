"""chart/files/standby.sh with a real primary: each kind of start, and what the script must never do."""

from collections.abc import Iterator

import psycopg
import pytest
from tests.support.containers import PASSWORDS
from tests.support.servers import Servers, network_of_servers
from tests.support.vendors import NOT_YET, POSTGRESQL
from tests.support.waiting import until

pytestmark = pytest.mark.docker

CLONING = "standby: cloning default over slot replica"
COMPLETE = "standby: the clone is complete"
SLOT_STATUS = "SELECT wal_status FROM pg_replication_slots"
# Cloning takes a while with these rows.
BULK = (
    "CREATE TABLE bulk WITH (autovacuum_enabled = off) AS "
    "SELECT repeat(md5(n::text), 30) FROM generate_series(1, 200000) AS n"
)


@pytest.fixture(scope="module")
def network() -> Iterator[Servers]:
    """A primary that answers; each test starts the standby itself."""
    with network_of_servers(POSTGRESQL) as servers:
        servers.start_postgres("default")
        servers.answers("default")
        servers.ask("default", "CREATE TABLE written (what text)")
        yield servers


@pytest.fixture
def primary(network: Servers) -> Iterator[Servers]:
    """The primary alone; the standby of the test and its slot are removed afterwards."""
    yield network
    network.remove("replica")
    drop_slot(network)


@pytest.fixture
def pair(primary: Servers) -> Servers:
    """The primary with a standby that has caught up."""
    primary.start_standby("replica", of="default", CHECK_SECONDS="1")
    primary.answers("replica")
    primary.caught_up()
    return primary


def drop_slot(servers: Servers) -> None:
    slots = "FROM pg_replication_slots WHERE slot_name = 'replica'"
    until(lambda: servers.ask("default", f"SELECT active {slots} AND active") == [], "the slot is free")
    servers.ask("default", f"SELECT pg_drop_replication_slot(slot_name) {slots}")


def write(servers: Servers, what: str) -> None:
    servers.ask("default", f"INSERT INTO written VALUES ('{what}')")


def write_segments(servers: Servers) -> None:
    """Write more WAL than the primary keeps for a slot."""
    for segment in range(8):
        write(servers, f"segment {segment}")
        servers.ask("default", "SELECT pg_switch_wal()")
    servers.ask("default", "CHECKPOINT")


def reads(servers: Servers, what: str) -> bool:
    return bool(servers.ask("replica", f"SELECT 1 FROM written WHERE what = '{what}'"))


def shows(servers: Servers, what: str) -> bool:
    """Return the answer of `reads()`, and False while the standby does not answer."""
    try:
        return reads(servers, what)
    except NOT_YET:
        return False


def said(servers: Servers) -> str:
    return servers.containers["replica"].logs().decode()


def restart(servers: Servers) -> None:
    with servers.stopped("replica"):
        pass


def test_standby__first_start(pair: Servers) -> None:
    """The standby is in recovery, streams over its slot, sends feedback to the primary, and has the primary's rows."""
    write(pair, "first")
    pair.caught_up()

    assert reads(pair, "first")
    assert pair.ask("replica", "SELECT pg_is_in_recovery()") == [(True,)]
    assert pair.ask("replica", "SHOW hot_standby_feedback") == [("on",)]
    assert pair.ask("default", "SELECT slot_name, active FROM pg_replication_slots") == [("replica", True)]


def test_standby__timeline(pair: Servers) -> None:
    """`app` can read the timeline that the standby receives."""
    with psycopg.connect(pair.url("replica")) as connection:
        received = connection.execute("SELECT received_tli FROM pg_stat_wal_receiver").fetchall()

    assert received == [(1,)]


def test_standby__restart(pair: Servers) -> None:
    """A complete clone is used again, and catches up with the writes since its stop."""
    with pair.stopped("replica"):
        write(pair, "while it was away")
    pair.caught_up()

    assert reads(pair, "while it was away")
    assert said(pair).count(CLONING) == 1


def test_standby__primary_down(pair: Servers) -> None:
    """A complete clone starts and serves reads without its primary, and catches up when the primary returns."""
    write(pair, "before")
    pair.caught_up()
    with pair.stopped("default"):
        restart(pair)
        assert reads(pair, "before")

    write(pair, "after")
    pair.caught_up()

    assert reads(pair, "after")
    assert said(pair).count(CLONING) == 1


def test_standby__slot_dropped(pair: Servers) -> None:
    """Without its slot the primary does not keep the WAL that the standby needs: the standby clones again."""
    with pair.stopped("replica"):
        drop_slot(pair)
        write(pair, "without a slot")
    pair.caught_up()

    assert reads(pair, "without a slot")
    assert said(pair).count(CLONING) == 2


def test_standby__wal_removed(pair: Servers) -> None:
    """A standby that was down for longer than the primary keeps WAL clones again."""
    with pair.stopped("replica"):
        write_segments(pair)
        assert pair.ask("default", SLOT_STATUS) == [("lost",)]
    pair.caught_up()

    assert reads(pair, "segment 7")
    assert said(pair).count(CLONING) == 2
    assert pair.ask("default", SLOT_STATUS) == [("reserved",)]


def test_standby__wal_removed_while_it_runs(pair: Servers) -> None:
    """A standby that loses its slot while it runs clones again, without a restart of its container."""
    started_at = pair.containers["replica"].attrs["State"]["StartedAt"]
    pair.ask("default", "ALTER ROLE replicator NOLOGIN", "SELECT pg_terminate_backend(pid) FROM pg_stat_replication")
    until(lambda: pair.ask("default", "SELECT FROM pg_stat_replication") == [], "nothing streams")
    write_segments(pair)
    assert pair.ask("default", SLOT_STATUS) == [("lost",)]
    pair.ask("default", "ALTER ROLE replicator LOGIN")
    until(lambda: said(pair).count(COMPLETE) == 2, "the second clone is complete", seconds=60)
    pair.answers("replica")
    pair.caught_up()
    pair.containers["replica"].reload()

    assert reads(pair, "segment 7")
    assert pair.containers["replica"].attrs["State"]["StartedAt"] == started_at


def test_standby__killed_while_cloning_again(pair: Servers) -> None:
    """An old clone whose replacement was not completed is not taken for good because its new slot is."""
    with pair.stopped("replica"):
        drop_slot(pair)
        write_segments(pair)
        pair.ask("default", BULK)
        pair.containers["replica"].start()
        until(lambda: said(pair).count(CLONING) >= 2, "it has begun to clone again")
        with pair.paused("default"):
            pair.containers["replica"].kill()
        pair.ask("default", "DROP TABLE bulk")
        begun = said(pair).count(CLONING)
        assert said(pair).count(COMPLETE) == 1
    pair.caught_up()

    assert reads(pair, "segment 7")
    assert said(pair).count(CLONING) > begun
    assert said(pair).count(COMPLETE) == 2


def test_standby__more_wal_than_is_kept_while_cloning(primary: Servers) -> None:
    """The first start succeeds although the primary writes more WAL meanwhile than it keeps for a slot."""
    primary.ask("default", BULK)
    primary.ask("default", "CHECKPOINT")
    primary.start_standby("replica", of="default")
    until(lambda: CLONING in said(primary), "it has begun to clone")
    write_segments(primary)

    # On a slow machine the slot is lost at the end of the clone, and another clone follows.
    until(lambda: shows(primary, "segment 7"), "the standby has all rows", seconds=120)
    assert COMPLETE in said(primary)
    primary.ask("default", "DROP TABLE bulk")


def test_standby__another_system(pair: Servers) -> None:
    """A primary that was created again is another system: its rows replace the clone."""
    write(pair, "old")
    pair.caught_up()
    pair.containers["replica"].stop(timeout=20)
    pair.remove("default")
    pair.start_postgres("default")
    pair.answers("default")
    pair.ask("default", "CREATE TABLE written (what text)")
    write(pair, "new")

    pair.containers["replica"].start()
    pair.answers("replica")
    pair.caught_up()

    assert reads(pair, "new")
    assert not reads(pair, "old")


def test_standby__another_system_while_it_runs(pair: Servers) -> None:
    """A standby whose primary is created again while it runs replaces its clone, without a restart of its container."""
    started_at = pair.containers["replica"].attrs["State"]["StartedAt"]
    write(pair, "older")
    pair.caught_up()
    pair.remove("default")
    pair.start_postgres("default")
    pair.answers("default")
    pair.ask("default", "CREATE TABLE written (what text)")
    write(pair, "newer")
    until(lambda: said(pair).count(COMPLETE) == 2, "the second clone is complete", seconds=120)
    pair.answers("replica")
    pair.caught_up()
    pair.containers["replica"].reload()

    assert reads(pair, "newer")
    assert not reads(pair, "older")
    assert pair.containers["replica"].attrs["State"]["StartedAt"] == started_at


def test_standby__volume_deleted(pair: Servers) -> None:
    """A standby without its volume clones again, over the slot that its primary still has."""
    write(pair, "before")
    pair.remove("replica")
    assert pair.ask("default", "SELECT slot_name FROM pg_replication_slots") == [("replica",)]
    write(pair, "without a standby")
    pair.start_standby("replica", of="default")
    pair.answers("replica")
    pair.caught_up()

    assert reads(pair, "before")
    assert reads(pair, "without a standby")
    assert said(pair).count(COMPLETE) == 1
    assert pair.ask("default", SLOT_STATUS) == [("reserved",)]


def test_standby__killed_while_cloning(primary: Servers) -> None:
    """An incomplete clone is not used: the next start begins a new clone and completes it."""
    primary.ask("default", BULK)  # a slot starts at the last checkpoint, and the WAL exceeds the kept size
    primary.ask("default", "CHECKPOINT")
    primary.start_standby("replica", of="default")
    until(lambda: CLONING in said(primary), "it has begun to clone")
    with primary.paused("default"):  # so that the clone cannot be completed
        primary.containers["replica"].kill()
    assert COMPLETE not in said(primary)

    primary.containers["replica"].start()
    primary.answers("replica")
    write(primary, "after the kill")
    primary.caught_up()

    assert reads(primary, "after the kill")
    assert said(primary).count(CLONING) == 2
    assert COMPLETE in said(primary)
    primary.ask("default", "DROP TABLE bulk")


def test_standby__promoted(primary: Servers) -> None:
    """The data of a promoted standby is kept: the start is refused."""
    primary.start_standby("replica", of="default")
    primary.answers("replica")
    primary.ask("replica", "SELECT pg_promote()")
    container = primary.containers["replica"]
    container.stop(timeout=20)

    container.start()

    assert container.wait(timeout=30)["StatusCode"] == 1
    assert "holds a server that is not a standby" in said(primary)


def test_standby__apply_delay(primary: Servers) -> None:
    """With APPLY_DELAY a row is on the standby this much later."""
    primary.start_standby("replica", of="default", APPLY_DELAY="2s")
    primary.answers("replica")
    primary.caught_up()

    write(primary, "late")
    early = reads(primary, "late")
    primary.caught_up()

    assert not early
    assert reads(primary, "late")


def test_standby__password(pair: Servers) -> None:
    """The password is in no command line, in no setting and not in the environment of the server."""
    processes = "\n".join(" ".join(row) for row in pair.containers["replica"].top(ps_args="axeww")["Processes"])
    (connection,) = pair.ask("replica", "SHOW primary_conninfo")[0]

    assert "passfile=/tmp/replicator.pgpass" in connection
    assert PASSWORDS["replicator"] not in processes + connection
