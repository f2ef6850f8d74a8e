"""Each fault is present when its block begins, and absent when the block ends. Checked with plain drivers."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

import psycopg
import pytest
from tests.support.containers import PASSWORDS
from tests.support.faults import (
    cut_off,
    delayed,
    promoted,
    read_only,
    rebuild,
    rebuilt_from_another_system,
    recovery_conflict,
)
from tests.support.servers import Servers
from tests.support.switchboard import Switchboard, switchboard
from tests.support.waiting import until

pytestmark = pytest.mark.docker

SYSTEM = "SELECT system_identifier FROM pg_control_system()"


@dataclass(frozen=True)
class Pair:
    """A replica and its owner, with a table for rows."""

    servers: Servers
    alias: str
    owner: str

    def write(self, row: int) -> None:
        self.servers.ask(self.owner, f"INSERT INTO proof VALUES ({row})")

    def reads(self, row: int) -> bool:
        return bool(self.servers.ask(self.alias, f"SELECT 1 FROM proof WHERE n = {row}"))

    def received(self) -> bool:
        """Return True if the standby has received everything that its owner has flushed."""
        (written,) = self.servers.ask(self.owner, "SELECT pg_current_wal_flush_lsn()")[0]
        return self.servers.says(self.alias, f"SELECT pg_last_wal_receive_lsn() >= '{written}'")


def pair_of(servers: Servers, alias: str) -> Iterator[Pair]:
    owner = servers.owner_of(alias)
    servers.ask(owner, "CREATE TABLE proof (n integer)")
    servers.caught_up(alias)
    try:
        yield Pair(servers, alias, owner)
    finally:
        servers.ask(owner, "DROP TABLE proof")


@pytest.fixture
def standby(two_standbys: Servers) -> Iterator[Pair]:
    yield from pair_of(two_standbys, "replica2")


@pytest.fixture(
    params=[("two_standbys", "replica2"), ("mysql_pair", "legacyreplica"), ("mariadb_pair", "legacyreplica")]
)
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    fixture, alias = request.param
    yield from pair_of(request.getfixturevalue(fixture), alias)


@pytest.fixture(params=[("mysql_pair", "legacyreplica"), ("mariadb_pair", "legacyreplica")])
def mysql_like(request: pytest.FixtureRequest) -> Iterator[Pair]:
    fixture, alias = request.param
    yield from pair_of(request.getfixturevalue(fixture), alias)


@pytest.fixture
def board(servers: Servers) -> Iterator[Switchboard]:
    with switchboard(servers, "default") as made:
        yield made


def seconds_until_read(pair: Pair, row: int) -> float:
    start = time.monotonic()
    pair.write(row)
    until(lambda: pair.reads(row), f"'{pair.alias}' has row {row}")
    return time.monotonic() - start


def test_held_back__receives(standby: Pair) -> None:
    """The standby receives its owner's writes in the block, and shows them after it."""
    with standby.servers.held_back(standby.alias):
        standby.write(1)
        until(standby.received, "the standby has received the row")
        read = standby.reads(1)
    standby.servers.caught_up(standby.alias)

    assert not read
    assert standby.reads(1)


def test_held_back__any_vendor(pair: Pair) -> None:
    """Nothing is replayed in the block, and everything after it."""
    with pair.servers.held_back(pair.alias):
        pair.write(1)
        time.sleep(0.2)  # an undisturbed replica replays within a few milliseconds
        read = pair.reads(1)
    pair.servers.caught_up(pair.alias)

    assert not read
    assert pair.reads(1)


def test_delayed__milliseconds(standby: Pair) -> None:
    """A standby shows a row 250 ms after its commit in the block, and at once after the block."""
    with delayed(standby.servers, standby.alias, seconds=0.25):
        late = seconds_until_read(standby, 1)
    prompt = min(seconds_until_read(standby, key) for key in (2, 3, 4))

    assert 0.25 <= late < 5
    assert prompt < 0.25


def test_delayed__whole_seconds(mysql_like: Pair) -> None:
    """MySQL and MariaDB count whole seconds, and may begin at the last full second."""
    with delayed(mysql_like.servers, mysql_like.alias, seconds=2):
        late = seconds_until_read(mysql_like, 1)
    prompt = min(seconds_until_read(mysql_like, key) for key in (2, 3, 4))

    assert 1 <= late < 10
    assert prompt < 1


def test_delayed__fraction(mysql_like: Pair) -> None:
    """MySQL and MariaDB refuse a delay with a fraction of a second."""
    with pytest.raises(ValueError, match=r"whole seconds, not by 0\.25"):
        delayed(mysql_like.servers, mysql_like.alias, seconds=0.25).__enter__()


def test_cut_off__answers(pair: Pair) -> None:
    """The replica serves its old rows and receives nothing in the block; after the block it catches up."""
    pair.write(1)
    pair.servers.caught_up(pair.alias)
    with cut_off(pair.servers, pair.alias):
        pair.write(2)
        time.sleep(0.2)  # as above
        read = [pair.reads(1), pair.reads(2)]
    pair.servers.caught_up(pair.alias)

    assert read == [True, False]
    assert pair.reads(2)


def test_cut_off__receives_nothing(standby: Pair) -> None:
    """A standby has replayed everything that it received, and still lags."""
    with cut_off(standby.servers, standby.alias):
        standby.write(1)
        received = standby.received()
        equal = standby.servers.says(
            standby.alias, "SELECT pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() OR pg_is_wal_replay_paused()"
        )

    assert (received, equal) == (False, True)


def test_killed__back(pair: Pair) -> None:
    """The server refuses connections in the block; after the block it answers and catches up."""
    with pair.servers.killed(pair.alias):
        with pytest.raises(OSError, match=r"refused|reset"):
            greeting(pair.servers.by_alias[pair.alias].port)
        pair.write(1)
    pair.servers.caught_up(pair.alias)

    assert pair.reads(1)


def test_paused__hangs(pair: Pair) -> None:
    """The server accepts a connection in the block, and answers only after the block."""
    with pair.servers.paused(pair.alias), pytest.raises(TimeoutError):
        greeting(pair.servers.by_alias[pair.alias].port)

    assert greeting(pair.servers.by_alias[pair.alias].port)


def test_promoted__writable(pair: Pair) -> None:
    """The replica takes writes of its own in the block; after the block it is a replica again, without them."""
    with promoted(pair.servers, pair.alias):
        pair.servers.ask(pair.alias, "INSERT INTO proof VALUES (1)")
        pair.write(2)
        diverged = [pair.reads(1), pair.reads(2)]
    pair.write(3)
    pair.servers.caught_up(pair.alias)

    assert diverged == [True, False]
    assert [pair.reads(row) for row in (1, 2, 3)] == [False, True, True]


def test_rebuild__same_address(pair: Pair) -> None:
    """The data is cloned again, behind the same port."""
    port, container = pair.servers.by_alias[pair.alias].port, pair.servers.containers[pair.alias].id
    pair.write(1)

    rebuild(pair.servers, pair.alias)

    assert pair.servers.by_alias[pair.alias].port == port
    assert pair.servers.containers[pair.alias].id != container
    assert pair.reads(1)


def test_rebuilt_from_another_system__identifier(standby: Pair) -> None:
    """A standby of another system answers at the address in the block, and the owner's standby after it."""
    asked = [standby.alias, "default", "analytics"]
    with rebuilt_from_another_system(standby.servers, standby.alias, of="analytics"):
        during, default, analytics = (standby.servers.ask(alias, SYSTEM) for alias in asked)
        recovers = standby.servers.says(standby.alias, "SELECT pg_is_in_recovery()")
    after = standby.servers.ask(standby.alias, SYSTEM)

    assert recovers
    assert (during, after) == (analytics, default)
    assert default != analytics


def test_read_only__owner(mysql_like: Pair) -> None:
    """The owner refuses writes of `app` in the block, and takes them after it."""
    servers, owner = mysql_like.servers, mysql_like.owner
    with read_only(servers, owner):
        refused = write_as_app(servers, owner)
    accepted = write_as_app(servers, owner)

    assert (refused, accepted) == (1290, None)


def test_replica__refuses_writes(mysql_like: Pair) -> None:
    """A replica of MySQL or MariaDB is read-only, also after a restart."""
    with mysql_like.servers.stopped(mysql_like.alias):
        pass

    assert write_as_app(mysql_like.servers, mysql_like.alias) == 1290


def test_recovery_conflict__cancels(standby: Pair) -> None:
    """Replay cancels a statement that reads the table."""
    standby.write(1)
    standby.servers.caught_up(standby.alias)
    sleeping = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    with recovery_conflict(standby.servers, standby.alias) as cancel_readers, ThreadPoolExecutor() as threads:
        reading = threads.submit(standby.servers.ask, standby.alias, "SELECT pg_sleep(30) FROM proof")
        until(lambda: bool(standby.servers.ask(standby.alias, sleeping)), "the statement runs")
        cancel_readers("proof")
        error = reading.exception()

    assert isinstance(error, psycopg.errors.SerializationFailure)
    assert "conflict with recovery" in str(error)


def test_switchboard__leading_to(board: Switchboard) -> None:
    """A standby answers at the address of the owner in the block; an old connection stays on the owner."""
    with psycopg.connect(board.environ()["DATABASE_DEFAULT_URL"]) as before, board.leading_to("replica"):
        during = recovers(board)
        stays = before.execute("SELECT pg_is_in_recovery()").fetchone()
    after = recovers(board)

    assert (during, stays, after) == (True, (False,), False)


def test_switchboard__refusing(board: Switchboard) -> None:
    """The address ends and refuses connections in the block, and accepts them at the same port after it."""
    with closing(psycopg.connect(board.environ()["DATABASE_DEFAULT_URL"])) as before, board.refusing():
        with pytest.raises(psycopg.OperationalError):
            before.execute("SELECT 1")
        with pytest.raises(ConnectionRefusedError):
            greeting(board.port)

    assert not recovers(board)


def test_switchboard__silent(board: Switchboard) -> None:
    """The address accepts a connection and passes no data on in the block; after the block the data arrives."""
    with psycopg.connect(board.environ()["DATABASE_DEFAULT_URL"]) as before, ThreadPoolExecutor() as threads:
        with board.silent():
            with pytest.raises(TimeoutError):
                greeting(board.port)
            asked = threads.submit(before.execute, "SELECT 1")
            with pytest.raises(TimeoutError):
                asked.result(timeout=0.3)

        assert asked.result(timeout=5).fetchone() == (1,)


def test_servers__replicas_declared(two_standbys: Servers, mysql_pair: Servers, servers: Servers) -> None:
    """The variables name the owner of each replica; the four servers do not know the servers beside them."""
    assert two_standbys.environ()["DATABASE_REPLICA2_REPLICA_OF"] == "default"
    assert mysql_pair.environ()["DATABASE_LEGACYREPLICA_REPLICA_OF"] == "legacy"
    assert sorted(servers.by_alias) == ["analytics", "default", "legacy", "replica"]


def recovers(board: Switchboard) -> bool:
    with psycopg.connect(board.environ()["DATABASE_DEFAULT_URL"]) as connection:
        row = connection.execute("SELECT pg_is_in_recovery()").fetchone()
        assert row is not None
        return bool(row[0])


def greeting(port: int) -> bytes:
    """Ask for TLS as PostgreSQL's clients do; return the first byte of the answer. MySQL sends first, unasked."""
    with socket.create_connection(("127.0.0.1", port), timeout=0.5) as connection:
        connection.sendall(b"\x00\x00\x00\x08\x04\xd2\x16\x2f")
        answer = connection.recv(1)
        if not answer:
            raise ConnectionResetError("reset before a byte came")
        return answer


def write_as_app(servers: Servers, alias: str) -> int | None:
    """Return the number of the error that a write raises."""
    drivers = pytest.importorskip("MySQLdb")
    with closing(
        drivers.connect(
            host="127.0.0.1",
            port=servers.by_alias[alias].port,
            user="app",
            password=PASSWORDS["app"],
            database="switchyard",
            autocommit=True,
        )
    ) as connection:
        try:
            connection.cursor().execute("INSERT INTO proof VALUES (1)")
        except drivers.OperationalError as error:
            return int(error.args[0])
        return None
