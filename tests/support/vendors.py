"""The differences between the vendors of the real servers: image, connection, and SQL about replication.

A fault that SQL can cause is a `Switch` here. The faults as context managers are in `faults.py`.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg

try:
    import MySQLdb
    from MySQLdb import OperationalError as MySQLError
except ImportError:  # compiled at its installation; tests without MySQL run without the driver
    MySQLdb = MySQLError = None

ROOT_PASSWORD = "root-password"
NOT_YET = tuple(filter(None, (psycopg.OperationalError, MySQLError)))  # errors of a server that is still starting


@dataclass(frozen=True)
class Switch:
    """Statements that turn a state of a server on and off, and queries that return true in each state."""

    on: tuple[str, ...]
    is_on: str
    off: tuple[str, ...]
    is_off: str


@dataclass(frozen=True, eq=False)
class Vendor:
    """One vendor. Statements and queries run as superuser on the owner or on the replica."""

    scheme: str  # of a database URL
    image: str
    port: int  # in the container
    data_dir: str  # the image's mount point for data
    run_dir: str  # the server's only writable directory beside its data and /tmp
    connect: Callable[[int], Any]  # port of the host -> superuser's connection, in autocommit
    written: str  # query on the owner: its position
    replayed: str  # query on the replica: true if it has replayed the position, a parameter
    held_back: Switch  # replay is paused
    cut_off: Switch  # the replica does not reach its owner
    delay: tuple[str, ...]  # delay the replay by `{ms}` or `{seconds}`
    delayed: str  # query on the replica: true if replay is delayed by `{ms}` or `{seconds}`
    promote: tuple[str, ...]
    promoted: str  # query on the replica: true if it was promoted


def _postgresql(port: int) -> Any:
    return psycopg.connect(
        host="127.0.0.1",
        port=port,
        user="postgres",
        password=ROOT_PASSWORD,
        dbname="switchyard",
        autocommit=True,
        connect_timeout=2,
    )


def _mysql(port: int) -> Any:
    return MySQLdb.connect(
        host="127.0.0.1",
        port=port,
        user="root",
        password=ROOT_PASSWORD,
        database="switchyard",
        autocommit=True,
        connect_timeout=2,
    )


_RELOAD = "SELECT pg_reload_conf()"
_APPLIES = "SELECT service_state = '{}' FROM performance_schema.replication_applier_status"
_RECEIVES = "SELECT service_state = '{}' FROM performance_schema.replication_connection_status"
_MARIADB_RUNS = "SELECT slave_{}_running = '{}' FROM information_schema.slave_status"

POSTGRESQL = Vendor(
    scheme="postgresql",
    image=os.environ.get("TEST_POSTGRES_IMAGE", "postgres:18"),
    port=5432,
    data_dir="/var/lib/postgresql",
    run_dir="/var/run/postgresql",
    connect=_postgresql,
    # The flushed LSN: the insert LSN can be after a page header that only the next record fills.
    written="SELECT pg_current_wal_flush_lsn()::text",
    replayed="SELECT coalesce(pg_last_wal_replay_lsn() >= %s::pg_lsn, false)",
    held_back=Switch(
        on=("SELECT pg_wal_replay_pause()",),
        is_on="SELECT pg_get_wal_replay_pause_state() = 'paused'",
        off=("SELECT pg_wal_replay_resume()",),
        is_off="SELECT pg_get_wal_replay_pause_state() = 'not paused'",
    ),
    cut_off=Switch(
        on=("ALTER SYSTEM SET primary_conninfo = 'host=127.0.0.1 port=1'", _RELOAD),
        is_on="SELECT NOT EXISTS (SELECT FROM pg_stat_wal_receiver)",
        off=("ALTER SYSTEM RESET primary_conninfo", _RELOAD),
        is_off="SELECT EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')",
    ),
    delay=("ALTER SYSTEM SET recovery_min_apply_delay = '{ms}ms'", _RELOAD),
    delayed="SELECT setting = '{ms}' FROM pg_settings WHERE name = 'recovery_min_apply_delay'",
    promote=("SELECT pg_promote()",),
    promoted="SELECT NOT pg_is_in_recovery()",
)
MYSQL = Vendor(
    scheme="mysql",
    image=os.environ.get("TEST_MYSQL_IMAGE", "mysql:9.7"),
    port=3306,
    data_dir="/var/lib/mysql",
    run_dir="/var/run/mysqld",
    connect=_mysql,
    written="SELECT @@global.gtid_executed",
    replayed="SELECT gtid_subset(%s, @@global.gtid_executed)",
    held_back=Switch(
        on=("STOP REPLICA SQL_THREAD",),
        is_on=_APPLIES.format("OFF"),
        off=("START REPLICA SQL_THREAD",),
        is_off=_APPLIES.format("ON"),
    ),
    cut_off=Switch(
        on=("STOP REPLICA IO_THREAD",),
        is_on=_RECEIVES.format("OFF"),
        off=("START REPLICA IO_THREAD",),
        is_off=_RECEIVES.format("ON"),
    ),
    delay=(
        "STOP REPLICA SQL_THREAD",
        "CHANGE REPLICATION SOURCE TO SOURCE_DELAY = {seconds}",
        "START REPLICA SQL_THREAD",
    ),
    delayed="SELECT desired_delay = {seconds} FROM performance_schema.replication_applier_configuration",
    promote=("STOP REPLICA", "RESET REPLICA ALL", "SET PERSIST super_read_only = OFF", "SET PERSIST read_only = OFF"),
    promoted="SELECT NOT @@global.read_only",
)
MARIADB = Vendor(
    scheme="mariadb",
    image=os.environ.get("TEST_MARIADB_IMAGE", "mariadb:11"),
    port=3306,
    data_dir="/var/lib/mysql",
    run_dir="/run/mysqld",
    connect=_mysql,
    written="SELECT @@global.gtid_binlog_pos",
    replayed="SELECT master_gtid_wait(%s, 0) = 0",
    held_back=Switch(
        on=("STOP SLAVE SQL_THREAD",),
        is_on=_MARIADB_RUNS.format("sql", "No"),
        off=("START SLAVE SQL_THREAD",),
        is_off=_MARIADB_RUNS.format("sql", "Yes"),
    ),
    cut_off=Switch(
        on=("STOP SLAVE IO_THREAD",),
        is_on=_MARIADB_RUNS.format("io", "No"),
        off=("START SLAVE IO_THREAD",),
        is_off=_MARIADB_RUNS.format("io", "Yes"),
    ),
    delay=("STOP SLAVE", "CHANGE MASTER TO MASTER_DELAY = {seconds}", "START SLAVE"),
    delayed="SELECT sql_delay = {seconds} AND slave_io_running = 'Yes' FROM information_schema.slave_status",
    promote=("STOP SLAVE", "RESET SLAVE ALL", "SET GLOBAL read_only = OFF"),
    promoted="SELECT NOT @@global.read_only",
)
