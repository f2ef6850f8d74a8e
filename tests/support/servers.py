"""Real servers in Docker for the four aliases, and more servers on demand.

`default` is a PostgreSQL primary, `replica` its streaming standby, `analytics` another PostgreSQL, `legacy` a MySQL.
They run as in the chart: official images, uid 999, a read-only root and the scripts of `chart/files`. To be faster they
do not flush writes to disk, and they have no TLS. Servers exactly as the chart renders them are in `rendered.py`,
replicas on MySQL and MariaDB in `replicas.py`, faults in `faults.py`, and the fixtures for tests in
`tests/integration/conftest.py`.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.support.containers import PASSWORDS, Containers
from tests.support.engine import UnavailableError, network
from tests.support.vendors import MYSQL, POSTGRESQL, ROOT_PASSWORD, MySQLdb, Vendor
from tests.support.waiting import until

_SCRIPTS = Path(__file__).resolve().parents[2] / "chart" / "files"
_ROLES = _SCRIPTS / "postgres-roles.sh"
_HBA = {Path(__file__).with_name("pg_hba.conf"): "/etc/pg_hba.conf"}
_FROM_FILE = {Path(__file__).with_name("postgres-from-file.sh"): "/usr/local/bin/postgres"}
_POSTGRES_ARGS = (
    *("-c", "fsync=off", "-c", "shared_preload_libraries=pg_stat_statements", "-c", "max_slot_wal_keep_size=64MB"),
    *("-c", "wal_keep_size=0", "-c", "max_connections=100", "-c", "hba_file=/etc/pg_hba.conf"),
)
MYSQL_ARGS = (
    *("--gtid-mode=ON", "--enforce-gtid-consistency=ON", "--performance-schema=ON", "--mysqlx=OFF"),
    *("--log-bin-trust-function-creators=ON", "--innodb-flush-log-at-trx-commit=2", "--sync-binlog=0"),
)


class Servers(Containers):
    """One server for each alias, with their replication. `environ()` returns the variables for a service."""

    def owner_of(self, alias: str) -> str:
        """Return the owner of the replica. Raises ValueError if the alias is not a replica."""
        owner = self.by_alias[alias].replica_of
        if owner is None:
            raise ValueError(f"'{alias}' is not a replica.")
        return owner

    def caught_up(self, alias: str = "replica") -> None:
        """Wait until the replica has replayed everything that its owner has written before this call."""
        vendor = self.by_alias[alias].vendor
        (written,) = self.ask(self.owner_of(alias), vendor.written)[0]
        with closing(self.admin(alias)) as connection, closing(connection.cursor()) as cursor:

            def replayed() -> bool:
                cursor.execute(vendor.replayed, [written])
                return bool(cursor.fetchone()[0])

            until(replayed, f"'{alias}' has replayed {written}")

    @contextmanager
    def held_back(self, alias: str = "replica") -> Iterator[None]:
        """Pause the replay of the replica in this block: it receives new writes and does not show them."""
        with self.switched(alias, self.by_alias[alias].vendor.held_back, "held back"):
            yield

    @contextmanager
    def synchronous(self, alias: str = "replica", owner: str = "default") -> Iterator[None]:
        """Let each commit on the owner wait until the standby has replayed it, in this block. Only PostgreSQL."""
        settings = {"synchronous_standby_names": alias, "synchronous_commit": "remote_apply"}
        for name, value in settings.items():
            self.ask(owner, f"ALTER SYSTEM SET {name} = '{value}'")
        self.ask(owner, "SELECT pg_reload_conf()")
        state = f"SELECT sync_state = 'sync' FROM pg_stat_replication WHERE application_name = '{alias}'"
        until(lambda: self.says(owner, state), f"'{alias}' is a synchronous standby of '{owner}'")
        try:
            yield
        finally:
            for name in settings:
                self.ask(owner, f"ALTER SYSTEM RESET {name}")
            self.ask(owner, "SELECT pg_reload_conf()")

    def clean(self) -> None:
        """Empty the tables of every owner, except migrations, content types and permissions."""
        kept = "'django_migrations', 'django_content_type', 'auth_permission'"
        for alias in ("default", "analytics"):
            rows = self.ask(
                alias, f"SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename NOT IN ({kept})"
            )
            if rows:
                tables = ", ".join(f'"{table}"' for (table,) in rows)
                allowed = "SET switchyard.truncate = 'allowed'"  # of parents, which leave their children behind
                self.ask(alias, allowed, f"TRUNCATE {tables} RESTART IDENTITY CASCADE")
        of_schema = f"table_schema = DATABASE() AND table_name NOT IN ({kept})"
        names = self.ask("legacy", f"SELECT table_name FROM information_schema.tables WHERE {of_schema}")
        self.ask("legacy", "SET foreign_key_checks = 0", *(f"TRUNCATE `{name}`" for (name,) in names))

    def start_postgres(self, alias: str, *, volume: str | None = None, **environ: str) -> None:
        """Start a PostgreSQL owner, as the chart does. It answers after `answers(alias)`.

        `volume` names a volume of Docker that outlives the container; `environ` replaces variables of the container.
        """
        environment = {
            "POSTGRES_USER": "postgres",
            "POSTGRES_PASSWORD": ROOT_PASSWORD,
            "POSTGRES_DB": "switchyard",
            **{f"{role.upper()}_PASSWORD": password for role, password in PASSWORDS.items()},
            **environ,
        }
        scripts = {
            _SCRIPTS: "/scripts",
            _ROLES: "/docker-entrypoint-initdb.d/",
            **_HBA,
        }
        command = ["/scripts/postgres.sh", "postgres", *_POSTGRES_ARGS]
        self.run(alias, POSTGRESQL, command, environment=environment, scripts=scripts, volume=volume)

    def start_standby(self, alias: str, *, of: str, **environ: str) -> None:
        """Start a streaming standby of the owner `of`, with a replication slot named like the alias.

        `environ` replaces variables of the container. The standby answers after `answers(alias)`.
        """
        environment = {
            "PRIMARY_HOST": of,
            "PRIMARY_PORT": "5432",
            "REPLICATION_SLOT": alias,
            "REPLICATOR_PASSWORD": PASSWORDS["replicator"],
            "PRIMARY_SSLMODE": "disable",
            **environ,
        }
        command = ["/scripts/standby.sh", *_POSTGRES_ARGS]
        scripts = {_SCRIPTS: "/scripts", **_FROM_FILE, **_HBA}
        self.run(alias, POSTGRESQL, command, environment=environment, scripts=scripts, replica_of=of)

    def start_mysql(self, alias: str, *, volume: str | None = None, **environ: str) -> None:
        """Start a MySQL owner, as the chart does. It answers after `answers(alias)`. Arguments as `start_postgres`."""
        environment = {
            "MYSQL_ROOT_PASSWORD": ROOT_PASSWORD,
            "MYSQL_DATABASE": "switchyard",
            **{f"{user.upper()}_PASSWORD": password for user, password in PASSWORDS.items()},
            **environ,
        }
        command = ["/scripts/mysql.sh", "mysqld", "--plugin-load-add=mysql_clone.so", *MYSQL_ARGS]
        self.run(alias, MYSQL, command, environment=environment, scripts={_SCRIPTS: "/scripts"}, volume=volume)

    def start_mysql_clone(self, alias: str, *, of: str, volume: str | None = None, **environ: str) -> None:
        """Start a replica of the MySQL owner `of`, as the chart does. Other arguments as `start_postgres`.

        It answers after `answers(alias)`.
        """
        environment = {
            "SOURCE_HOST": of,
            "REPLICATOR_PASSWORD": PASSWORDS["replicator"],
            "MAX_LAG_SECONDS": "2",
            "APPLY_DELAY": "0",
            **environ,
        }
        command = ["/scripts/mysql-replica.sh", "--datadir=/var/lib/mysql/data", *MYSQL_ARGS]
        scripts = {_SCRIPTS: "/scripts"}
        self.run(alias, MYSQL, command, environment=environment, scripts=scripts, replica_of=of, volume=volume)


@contextmanager
def network_of_servers(*vendors: Vendor) -> Iterator[Servers]:
    """Yield an empty network for servers of these vendors; remove its servers after the block.

    Raises UnavailableError without an engine, an image or a driver.
    """
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
    """Yield the servers of the four aliases when all answer, with pg_stat_statements; remove them after the block."""
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
