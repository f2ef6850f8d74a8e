"""Start replicas on MySQL and MariaDB, and owners on MariaDB. A replica replays the whole log of its owner.

PostgreSQL's standbys are in `servers.py`.
"""

from collections.abc import Callable
from zlib import crc32

from tests.support.containers import PASSWORDS
from tests.support.servers import MYSQL_ARGS, Servers
from tests.support.vendors import MARIADB, MYSQL, POSTGRESQL, ROOT_PASSWORD, Vendor

_MARIADB_ARGS = (
    *("--log-bin=binlog", "--log-slave-updates", "--gtid-strict-mode=ON", "--skip-name-resolve"),
    *("--innodb-flush-log-at-trx-commit=2", "--sync-binlog=0", "--performance-schema=ON"),
    "--log-bin-trust-function-creators=ON",
)
_MARIADB_ENVIRONMENT = {"MARIADB_ROOT_PASSWORD": ROOT_PASSWORD, "MARIADB_DATABASE": "switchyard"}


def start_mysql_replica(servers: Servers, alias: str, *, of: str) -> None:
    """Start a read-only GTID replica of the MySQL owner `of`, which must answer; return when the replica replicates."""
    _allow_replicator(servers, of)
    environment = {"MYSQL_ROOT_PASSWORD": ROOT_PASSWORD, "MYSQL_DATABASE": "switchyard"}
    command = ["mysqld", _server_id(alias), *MYSQL_ARGS]
    servers.run(alias, MYSQL, command, environment=environment, replica_of=of)
    servers.answers(alias)
    servers.ask(
        alias,
        "RESET BINARY LOGS AND GTIDS",  # remove the transactions of its own start
        f"CHANGE REPLICATION SOURCE TO SOURCE_HOST = '{of}', SOURCE_USER = 'replicator',"
        f" SOURCE_PASSWORD = {_quoted('replicator')}, SOURCE_AUTO_POSITION = 1, GET_SOURCE_PUBLIC_KEY = 1,"
        " SOURCE_CONNECT_RETRY = 1, SOURCE_RETRY_COUNT = 86400",
        "START REPLICA",
        "SET PERSIST super_read_only = ON",  # after the start: the image's script creates users
    )


def start_mariadb(servers: Servers, alias: str) -> None:
    """Start a MariaDB owner; return when its users exist."""
    command = ["mariadbd", _server_id(alias), *_MARIADB_ARGS]
    servers.run(alias, MARIADB, command, environment=_MARIADB_ENVIRONMENT)
    servers.answers(alias)
    servers.ask(
        alias,
        *(f"CREATE USER {role}@'%' IDENTIFIED BY {_quoted(role)}" for role in ("migrator", "app")),
        "GRANT ALL ON switchyard.* TO migrator@'%'",
        "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE TEMPORARY TABLES ON switchyard.* TO app@'%'",
    )


def start_mariadb_replica(servers: Servers, alias: str, *, of: str) -> None:
    """Start a read-only GTID replica of the MariaDB owner `of`, which must answer; return when it replicates."""
    _allow_replicator(servers, of)
    # As an option, read-only survives a restart. On MariaDB it lets the script of the image create users.
    command = ["mariadbd", _server_id(alias), *_MARIADB_ARGS, "--read-only=ON"]
    servers.run(alias, MARIADB, command, environment=_MARIADB_ENVIRONMENT, replica_of=of)
    servers.answers(alias)
    servers.ask(
        alias,
        "RESET MASTER",  # remove the transactions of its own start
        "SET GLOBAL gtid_slave_pos = ''",
        f"CHANGE MASTER TO MASTER_HOST = '{of}', MASTER_USER = 'replicator',"
        f" MASTER_PASSWORD = {_quoted('replicator')}, MASTER_USE_GTID = slave_pos, MASTER_CONNECT_RETRY = 1",
        "START SLAVE",
    )


# Vendor -> the function that starts a replica: `(servers, alias, of=owner)`.
START: dict[Vendor, Callable[..., None]] = {
    POSTGRESQL: Servers.start_standby,
    MYSQL: start_mysql_replica,
    MARIADB: start_mariadb_replica,
}


def _allow_replicator(servers: Servers, owner: str) -> None:
    servers.ask(
        owner,
        f"CREATE USER IF NOT EXISTS replicator@'%' IDENTIFIED BY {_quoted('replicator')}",
        "GRANT REPLICATION SLAVE ON *.* TO replicator@'%'",
    )


def _server_id(alias: str) -> str:
    return f"--server-id={crc32(alias.encode())}"


def _quoted(role: str) -> str:
    escaped = PASSWORDS[role].replace("\\", r"\\").replace("'", r"\'")
    return f"'{escaped}'"
