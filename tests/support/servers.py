"""Real servers in Docker: PostgreSQL primary, its standby, PostgreSQL for analytics, MySQL for legacy; more on demand.

They run as the chart runs them: the official images, uid 999, a read-only root, and the scripts of chart/files. They
forget durability, not consistency. How replicas of other vendors are made is replicas.py's; what else can go wrong with
a server than being down or hung is faults.py's.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.support.containers import PASSWORDS, Containers, until
from tests.support.engine import UnavailableError, network
from tests.support.vendors import MYSQL, POSTGRESQL, ROOT_PASSWORD, MySQLdb, Vendor

_SCRIPTS = Path(__file__).resolve().parents[2] / "chart" / "files"
_AT_FIRST_START = "/docker-entrypoint-initdb.d/"
_FROM_FILE = {Path(__file__).with_name("postgres-from-file.sh"): "/usr/local/bin/postgres"}
_POSTGRES_ARGS = (
    *("-c", "fsync=off", "-c", "shared_preload_libraries=pg_stat_statements", "-c", "max_slot_wal_keep_size=64MB"),
    *("-c", "wal_keep_size=0", "-c", "max_connections=100"),
)
MYSQL_ARGS = (
    *("--gtid-mode=ON", "--enforce-gtid-consistency=ON", "--performance-schema=ON", "--mysqlx=OFF"),
    *("--innodb-flush-log-at-trx-commit=2", "--sync-binlog=0"),
)


class Servers(Containers):
    """One server per alias. `environ()` is what the service is given to use them."""

    def owner_of(self, alias: str) -> str:
        """Return the owner that the replica was started for."""
        owner = self.by_alias[alias].replica_of
        if owner is None:
            raise ValueError(f"'{alias}' is no replica.")
        return owner

    def caught_up(self, alias: str = "replica") -> None:
        """Wait until the replica has replayed what its owner has written by now."""
        vendor = self.by_alias[alias].vendor
        (written,) = self.ask(self.owner_of(alias), vendor.written)[0]
        with closing(self.admin(alias)) as connection, closing(connection.cursor()) as cursor:

            def replayed() -> bool:
                cursor.execute(vendor.replayed, [written])
                return bool(cursor.fetchone()[0])

            until(replayed, f"'{alias}' has replayed {written}")

    @contextmanager
    def held_back(self, alias: str = "replica") -> Iterator[None]:
        """Let the replica replay nothing in this block, though it receives."""
        with self.switched(alias, self.by_alias[alias].vendor.held_back, "held back"):
            yield

    @contextmanager
    def in_step(self, alias: str = "replica", owner: str = "default") -> Iterator[None]:
        """Let each commit on the owner return only when the standby has replayed it, in this block."""
        given = {"synchronous_standby_names": alias, "synchronous_commit": "remote_apply"}
        for name, value in given.items():
            self.ask(owner, f"ALTER SYSTEM SET {name} = '{value}'")
        self.ask(owner, "SELECT pg_reload_conf()")
        state = f"SELECT sync_state = 'sync' FROM pg_stat_replication WHERE application_name = '{alias}'"
        until(lambda: self.says(owner, state), f"'{alias}' is in step with '{owner}'")
        try:
            yield
        finally:
            for name in given:
                self.ask(owner, f"ALTER SYSTEM RESET {name}")
            self.ask(owner, "SELECT pg_reload_conf()")

    def clean(self) -> None:
        """Empty every table but django_migrations, content types and permissions, on every owner."""
        kept = "'django_migrations', 'django_content_type', 'auth_permission'"
        for alias in ("default", "analytics"):
            rows = self.ask(
                alias, f"SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename NOT IN ({kept})"
            )
            if rows:
                tables = ", ".join(f'"{table}"' for (table,) in rows)
                self.ask(alias, f"TRUNCATE {tables} RESTART IDENTITY CASCADE")
        of_schema = f"table_schema = DATABASE() AND table_name NOT IN ({kept})"
        names = self.ask("legacy", f"SELECT table_name FROM information_schema.tables WHERE {of_schema}")
        self.ask("legacy", "SET foreign_key_checks = 0", *(f"TRUNCATE `{name}`" for (name,) in names))

    def start_postgres(self, alias: str) -> None:
        """Start an owner's PostgreSQL."""
        environment = {
            "POSTGRES_USER": "postgres",
            "POSTGRES_PASSWORD": ROOT_PASSWORD,
            "POSTGRES_DB": "switchyard",
            **{f"{role.upper()}_PASSWORD": password for role, password in PASSWORDS.items()},
        }
        scripts = {_SCRIPTS / "postgres-roles.sh": _AT_FIRST_START}
        self.run(alias, POSTGRESQL, ["postgres", *_POSTGRES_ARGS], environment=environment, scripts=scripts)

    def start_standby(self, alias: str, *, of: str, apply_delay: str = "0") -> None:
        """Start a standby of an owner; its slot has the alias' name."""
        environment = {
            "PRIMARY_HOST": of,
            "PRIMARY_PORT": "5432",
            "REPLICATION_SLOT": alias,
            "REPLICATOR_PASSWORD": PASSWORDS["replicator"],
            "APPLY_DELAY": apply_delay,
        }
        command = ["/scripts/standby.sh", *_POSTGRES_ARGS]
        scripts = {_SCRIPTS / "standby.sh": "/scripts/", **_FROM_FILE}
        self.run(alias, POSTGRESQL, command, environment=environment, scripts=scripts, replica_of=of)

    def start_mysql(self, alias: str) -> None:
        """Start an owner's MySQL."""
        environment = {
            "MYSQL_ROOT_PASSWORD": ROOT_PASSWORD,
            "MYSQL_DATABASE": "switchyard",
            "MIGRATOR_PASSWORD": PASSWORDS["migrator"],
            "APP_PASSWORD": PASSWORDS["app"],
        }
        command = ["mysqld", "--server-id=1", *MYSQL_ARGS]
        self.run(alias, MYSQL, command, environment=environment, scripts={_SCRIPTS / "mysql-roles.sh": _AT_FIRST_START})


@contextmanager
def network_of_servers(*vendors: Vendor) -> Iterator[Servers]:
    """Yield an empty network for servers of the vendors; remove all that was started in it."""
    if any(vendor.scheme != "postgresql" for vendor in vendors) and MySQLdb is None:
        raise UnavailableError("mysqlclient is not installed")
    with network(*(vendor.image for vendor in vendors)) as made:
        servers = Servers(made)
        try:
            yield servers
        finally:
            for alias in list(servers.by_alias):
                servers.remove(alias)


@contextmanager
def four_servers() -> Iterator[Servers]:
    """Yield the servers of the four aliases, all answering, with pg_stat_statements; remove them afterwards."""
    with network_of_servers(POSTGRESQL, MYSQL) as servers:
        servers.start_postgres("default")
        servers.start_standby("replica", of="default")
        servers.start_postgres("analytics")
        servers.start_mysql("legacy")
        for alias in servers.by_alias:
            servers.answers(alias)
        for alias in ("default", "analytics"):
            servers.ask(alias, "CREATE EXTENSION pg_stat_statements")
        yield servers
