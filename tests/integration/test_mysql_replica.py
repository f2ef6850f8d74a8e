"""chart/files/mysql-replica.sh with a real source: each kind of start, and what the script must never do."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from tests.support.containers import PASSWORDS
from tests.support.servers import Servers, network_of_servers
from tests.support.vendors import MYSQL, MySQLdb
from tests.support.waiting import until

from switchyard.positions import mysql

pytestmark = pytest.mark.docker

CLONING = "replica: cloning legacy"
COMPLETE = "replica: the clone is complete"


@pytest.fixture(scope="module")
def network() -> Iterator[Servers]:
    """A source that answers."""
    with network_of_servers(MYSQL) as servers:
        servers.start_mysql("legacy")
        servers.answers("legacy")
        servers.ask("legacy", "CREATE TABLE written (what varchar(99))")
        yield servers


@pytest.fixture(scope="module")
def pair(network: Servers) -> Servers:
    """The source with a replica that every test leaves as it was."""
    network.start_mysql_clone("replica", of="legacy", CHECK_SECONDS="1")
    network.answers("replica")
    return network


@pytest.fixture
def source(network: Servers) -> Iterator[Servers]:
    """The source, for a test with a replica `other` of its own."""
    yield network
    if "other" in network.by_alias:
        network.remove("other")


@pytest.fixture
def volume(network: Servers) -> Iterator[str]:
    """A volume for the replica `other`, which a second container uses again, as a new pod does."""
    name = f"{network.network.name}-other"
    yield name
    network.remove("other")
    assert network.network.client is not None
    network.network.client.volumes.get(name).remove()


def write(servers: Servers, what: str) -> None:
    servers.ask("legacy", f"INSERT INTO written VALUES ('{what}')")


def reads(servers: Servers, what: str, alias: str = "replica") -> bool:
    return bool(servers.ask(alias, f"SELECT 1 FROM written WHERE what = '{what}'"))


def said(servers: Servers, alias: str = "replica") -> str:
    return servers.containers[alias].logs().decode()


def clones(servers: Servers, alias: str = "replica") -> int:
    return said(servers, alias).count(COMPLETE)


def purge(servers: Servers) -> None:
    """Remove every transaction from the log of the source."""
    servers.ask("legacy", "FLUSH BINARY LOGS")
    *_, (newest, *_) = servers.ask("legacy", "SHOW BINARY LOGS")
    servers.ask("legacy", f"PURGE BINARY LOGS TO '{newest}'")


def readiness(servers: Servers, alias: str = "replica") -> str:
    """Return the complaint of the chart's readiness probe; empty if the replica is ready."""
    code, output = servers.containers[alias].exec_run(["/scripts/mysql-replica-ready.sh"])
    assert code == bool(output)
    return output.decode().strip()


@contextmanager
def cloning_again(servers: Servers, alias: str = "replica") -> Iterator[None]:
    """Wait after this block until the replica has cloned its source once more, and follows it."""
    before = clones(servers, alias)
    yield
    until(lambda: clones(servers, alias) > before, "the next clone is complete", seconds=120)
    servers.answers(alias)
    servers.caught_up(alias)
    assert clones(servers, alias) == before + 1


def test_replica__first_start(pair: Servers) -> None:
    """The replica has the rows of the source, follows by GTID, encrypted, and takes no writes."""
    write(pair, "first")
    pair.caught_up()

    assert reads(pair, "first")
    assert pair.ask("replica", "SELECT @@super_read_only, @@gtid_mode") == [(1, "ON")]
    assert pair.ask(
        "replica",
        "SELECT auto_position, ssl_allowed, desired_delay FROM performance_schema.replication_connection_configuration"
        " JOIN performance_schema.replication_applier_configuration USING (channel_name)",
    ) == [("1", "YES", 0)]
    with pytest.raises(MySQLdb.OperationalError, match="super-read-only"):
        pair.ask("replica", "INSERT INTO written VALUES ('here')")
    until(lambda: readiness(pair) == "", "the replica is ready")


def test_replica__status(pair: Servers) -> None:
    """`app` can read what the service judges a replica by, on the source and on the replica."""
    pair.caught_up()
    statuses = {}
    for alias in ("legacy", "replica"):
        port = pair.by_alias[alias].port
        with closing(MySQLdb.connect(host="127.0.0.1", port=port, user="app", password=PASSWORDS["app"])) as connection:
            statuses[alias] = mysql.status(connection.cursor())

    owner, replica = statuses["legacy"], statuses["replica"]
    assert (owner.is_standby, replica.is_standby) == (False, True)
    assert owner.server_id != replica.server_id
    assert replica.position is not None
    assert owner.position is not None
    assert replica.position.includes(owner.position)
    assert owner.position.includes(replica.position)


def test_replica__restart(pair: Servers) -> None:
    """A complete clone is used again, and catches up with the writes since its stop."""
    before = clones(pair)
    with pair.stopped("replica"):
        write(pair, "while it was away")
    pair.caught_up()

    assert reads(pair, "while it was away")
    assert clones(pair) == before


def test_replica__killed(pair: Servers) -> None:
    """A replica that was killed recovers without a new clone."""
    before = clones(pair)
    with pair.killed("replica"):
        write(pair, "after the kill")
    pair.caught_up()

    assert reads(pair, "after the kill")
    assert clones(pair) == before


def test_replica__source_down(pair: Servers) -> None:
    """A complete clone serves reads without its source, is not ready, and catches up when the source returns."""
    before = clones(pair)
    write(pair, "before")
    pair.caught_up()
    with pair.stopped("legacy"):
        with pair.stopped("replica"):
            pass
        assert reads(pair, "before")
        until(lambda: readiness(pair) == "does not follow its source", "the replica is not ready")

    write(pair, "after")
    pair.caught_up()

    assert reads(pair, "after")
    assert clones(pair) == before


def test_replica__source_of_an_older_chart(pair: Servers) -> None:
    """A source that was made without the user for replication makes the user when it starts again."""
    before = clones(pair)
    pair.ask("legacy", "DROP USER replicator")
    with pair.stopped("legacy"):
        pass
    write(pair, "after the upgrade")
    pair.caught_up()

    assert reads(pair, "after the upgrade")
    assert clones(pair) == before


def test_replica__purged(pair: Servers) -> None:
    """A replica that was down while the source purged transactions that it needs clones again."""
    with cloning_again(pair), pair.stopped("replica"):
        write(pair, "purged")
        purge(pair)

    assert reads(pair, "purged")


def test_replica__purged_while_it_runs(pair: Servers) -> None:
    """A replica that loses its place in the log while it runs clones again, without a restart of its container."""
    started_at = pair.containers["replica"].attrs["State"]["StartedAt"]
    with cloning_again(pair):
        pair.ask("replica", *MYSQL.cut_off.on)
        write(pair, "purged at once")
        purge(pair)
    pair.containers["replica"].reload()

    assert reads(pair, "purged at once")
    assert pair.containers["replica"].attrs["State"]["StartedAt"] == started_at


def test_replica__transactions_of_its_own(pair: Servers) -> None:
    """A replica with a transaction that its source lacks clones again: its rows are not the source's."""
    with cloning_again(pair):
        pair.ask(
            "replica",
            "SET GLOBAL super_read_only = OFF",  # read_only stays on: no promotion
            "INSERT INTO written VALUES ('only here')",
        )

    assert not reads(pair, "only here")
    assert pair.ask("replica", "SELECT @@super_read_only") == [(1,)]


def test_replica__cannot_apply(pair: Servers) -> None:
    """A replica that cannot apply a transaction clones again, because nothing else would mend it."""
    with cloning_again(pair):
        pair.ask(
            "replica",
            "SET GLOBAL super_read_only = OFF",
            "SET SESSION sql_log_bin = OFF",
            "CREATE TABLE clash (here int)",
            "SET GLOBAL super_read_only = ON",
        )
        pair.ask("legacy", "CREATE TABLE clash (there int)")

    assert pair.ask("replica", "SELECT there FROM clash") == []
    pair.ask("legacy", "DROP TABLE clash")


def test_replica__lags(pair: Servers) -> None:
    """A replica that lags more than it may is not ready."""
    pair.caught_up()
    with closing(pair.admin("replica")) as connection, closing(connection.cursor()) as cursor:
        cursor.execute("LOCK TABLES written READ")
        write(pair, "late")
        until(lambda: readiness(pair) == "lags", "the replica is not ready")

    until(lambda: readiness(pair) == "", "the replica is ready again")


def test_replica__password(pair: Servers) -> None:
    """The password is in no command line and in no environment of a process, also while a client asks the source."""
    seen: list[str] = []

    def client_runs() -> bool:
        seen.extend(" ".join(row) for row in pair.containers["replica"].top(ps_args="axeww")["Processes"])
        return any("mysql --defaults-file" in line and "--host=legacy" in line for line in seen)

    until(client_runs, "the client asks the source", seconds=60)

    assert PASSWORDS["replicator"] not in "\n".join(seen)


def test_replica__several(pair: Servers, source: Servers) -> None:
    """A source may have several replicas; each one has an id of its own."""
    source.start_mysql_clone("other", of="legacy")
    source.answers("other")
    write(source, "for both")
    for alias in ("replica", "other"):
        source.caught_up(alias)

    assert source.ask("other", "SELECT @@server_id") != source.ask("replica", "SELECT @@server_id")
    assert reads(source, "for both", "replica")
    assert reads(source, "for both", "other")


def test_replica__killed_while_cloning(source: Servers) -> None:
    """An incomplete clone is not used: the next start begins a new clone and completes it."""
    source.start_mysql_clone("other", of="legacy")
    exists = ["test", "-d", "/var/lib/mysql/data.clone"]
    until(lambda: source.containers["other"].exec_run(exists)[0] == 0, "it has begun to clone", seconds=120)
    with source.paused("legacy"):  # so that the clone cannot be completed
        source.containers["other"].kill()
    assert clones(source, "other") == 0

    source.containers["other"].start()
    source.answers("other")
    write(source, "after the clone")
    source.caught_up("other")

    assert reads(source, "after the clone", "other")
    assert said(source, "other").count(CLONING) == 2
    assert clones(source, "other") == 1


def test_replica__apply_delay(source: Servers) -> None:
    """With APPLY_DELAY a row is on the replica this much later, and the replica is ready meanwhile."""
    source.start_mysql_clone("other", of="legacy", APPLY_DELAY="4", MAX_LAG_SECONDS="30")
    source.answers("other")
    source.caught_up("other")

    write(source, "delayed")
    early, complaint = reads(source, "delayed", "other"), readiness(source, "other")
    source.caught_up("other")

    assert (early, complaint) == (False, "")
    assert reads(source, "delayed", "other")


def test_replica__changed_password(source: Servers, volume: str) -> None:
    """With another password in the Secret the replica goes on without a new clone."""
    source.start_mysql_clone("other", of="legacy", volume=volume)
    source.answers("other")
    source.ask("legacy", "ALTER USER replicator IDENTIFIED BY 'another'")
    try:
        source.start_mysql_clone("other", of="legacy", volume=volume, REPLICATOR_PASSWORD="another")
        source.answers("other")
        write(source, "with another password")
        source.caught_up("other")

        assert reads(source, "with another password", "other")
        assert CLONING not in said(source, "other")
    finally:
        with closing(source.admin("legacy")) as connection:
            connection.cursor().execute("ALTER USER replicator IDENTIFIED BY %s", [PASSWORDS["replicator"]])


def test_replica__promoted(source: Servers) -> None:
    """The data of a promoted replica is kept: the start is refused."""
    source.start_mysql_clone("other", of="legacy")
    source.answers("other")
    source.ask("other", *MYSQL.promote, "INSERT INTO written VALUES ('after the promotion')")
    container = source.containers["other"]
    marked = ["test", "-e", "/var/lib/mysql/data/promoted"]
    until(lambda: container.exec_run(marked)[0] == 0, "the script has seen the promotion")
    container.stop(timeout=20)

    container.start()

    assert container.wait(timeout=30)["StatusCode"] == 1
    assert "holds a server that is not a replica" in said(source, "other")


def test_replica__long_password(source: Servers) -> None:
    """MySQL takes 32 characters for replication; a longer password is refused with a message without the password."""
    source.start_mysql_clone("other", of="legacy", REPLICATOR_PASSWORD="secret-" * 5)

    assert source.containers["other"].wait(timeout=60)["StatusCode"] == 1
    assert "REPLICATOR_PASSWORD has 35 characters" in said(source, "other")
    assert "secret-" not in said(source, "other")


def test_replica__another_server(pair: Servers) -> None:
    """A source that was created again is another server: its rows replace the clone."""
    write(pair, "old")
    pair.caught_up()
    pair.containers["replica"].stop(timeout=20)
    pair.remove("legacy")
    pair.start_mysql("legacy")
    pair.answers("legacy")
    pair.ask("legacy", "CREATE TABLE written (what varchar(99))")
    write(pair, "new")

    with cloning_again(pair):
        pair.containers["replica"].start()

    assert reads(pair, "new")
    assert not reads(pair, "old")
