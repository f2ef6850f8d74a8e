"""Real servers in Docker: PostgreSQL primary, its standby, PostgreSQL for analytics, MySQL for legacy.

They run as the chart runs them: the official images, uid 999, a read-only root, and the scripts of chart/files. They
forget durability, not consistency. A hung server is made with `paused()`, a stopped one with `stopped()`.
"""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from docker.models.containers import Container
from docker.models.networks import Network
from tests.integration.engine import LABEL, UnavailableError, network

try:
    import MySQLdb
    from MySQLdb import OperationalError as MySQLError
except ImportError:  # it is compiled where it is installed; what needs no MySQL runs without
    MySQLdb = MySQLError = None

POSTGRES = os.environ.get("TEST_POSTGRES_IMAGE", "postgres:18")
MYSQL = os.environ.get("TEST_MYSQL_IMAGE", "mysql:9.7")
PASSWORDS = {"migrator": "migrator's p:w", "app": "app-p@ss", "replicator": r"re'pli:ca\tor"}
ROOT_PASSWORD = "root-password"

_SCRIPTS = Path(__file__).resolve().parents[2] / "chart" / "files"
_AT_FIRST_START = "/docker-entrypoint-initdb.d/"
_POSTGRES_ARGS = (
    *("-c", "fsync=off", "-c", "shared_preload_libraries=pg_stat_statements", "-c", "max_slot_wal_keep_size=64MB"),
    *("-c", "wal_keep_size=0", "-c", "max_connections=100"),
)
_MYSQL_ARGS = (
    *("--gtid-mode=ON", "--enforce-gtid-consistency=ON", "--server-id=1", "--performance-schema=ON"),
    *("--innodb-flush-log-at-trx-commit=0", "--sync-binlog=0", "--mysqlx=OFF"),
)
_NOT_YET = tuple(filter(None, (psycopg.OperationalError, MySQLError)))


def until(true: Callable[[], bool], what: str, *, seconds: float = 60) -> None:
    """Poll until it is true; raise TimeoutError that says what was waited for."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"After {seconds} s still not: {what}.")
        time.sleep(0.05)


@dataclass
class Servers:
    """One server per alias. `environ()` is what the service is given to use them."""

    network: Network
    containers: dict[str, Container] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)

    def environ(self, user: str = "app") -> dict[str, str]:
        """Return DATABASE_<ALIAS>_URL for all of them, as `app` or `migrator`."""
        return {f"DATABASE_{alias.upper()}_URL": self.url(alias, user) for alias in self.ports}

    def url(self, alias: str, user: str = "app") -> str:
        """Return one server's URL, the password percent-encoded."""
        scheme = "mysql" if alias == "legacy" else "postgresql"
        password = "".join(f"%{byte:02X}" for byte in PASSWORDS[user].encode())
        return f"{scheme}://{user}:{password}@127.0.0.1:{self.ports[alias]}/switchyard"

    def admin(self, alias: str) -> Any:
        """Return a DB-API connection of the superuser, in autocommit; the caller closes it."""
        if alias == "legacy":
            return MySQLdb.connect(
                host="127.0.0.1",
                port=self.ports[alias],
                user="root",
                password=ROOT_PASSWORD,
                database="switchyard",
                autocommit=True,
                connect_timeout=2,
            )
        return psycopg.connect(
            host="127.0.0.1",
            port=self.ports[alias],
            user="postgres",
            password=ROOT_PASSWORD,
            dbname="switchyard",
            autocommit=True,
            connect_timeout=2,
        )

    def ask(self, alias: str, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of one statement, run by the superuser."""
        with closing(self.admin(alias)) as connection, closing(connection.cursor()) as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall()) if cursor.description else []

    def caught_up(self, alias: str = "replica", owner: str = "default") -> None:
        """Wait until the standby has replayed what its owner has written by now."""
        with closing(self.admin(owner)) as primary, closing(self.admin(alias)) as standby:
            # Flushed, not inserted: that may stand behind a page header which only later WAL fills.
            (written,) = primary.execute("SELECT pg_current_wal_flush_lsn()").fetchone()
            replayed = "SELECT coalesce(pg_last_wal_replay_lsn() >= %s::pg_lsn, false)"
            until(lambda: standby.execute(replayed, [written]).fetchone()[0], f"'{alias}' has replayed {written}")

    @contextmanager
    def held_back(self, alias: str = "replica") -> Iterator[None]:
        """Let the standby replay nothing in this block."""
        self.ask(alias, "SELECT pg_wal_replay_pause()")
        until(
            lambda: self.ask(alias, "SELECT pg_get_wal_replay_pause_state()") == [("paused",)],
            f"'{alias}' has paused its replay",
        )
        try:
            yield
        finally:
            self.ask(alias, "SELECT pg_wal_replay_resume()")

    @contextmanager
    def in_step(self, alias: str = "replica", owner: str = "default") -> Iterator[None]:
        """Let each commit on the owner return only when the standby has replayed it, in this block."""
        given = {"synchronous_standby_names": alias, "synchronous_commit": "remote_apply"}
        for name, value in given.items():
            self.ask(owner, f"ALTER SYSTEM SET {name} = '{value}'")
        self.ask(owner, "SELECT pg_reload_conf()")
        state = "SELECT sync_state FROM pg_stat_replication"
        until(lambda: self.ask(owner, state) == [("sync",)], f"'{alias}' is in step with '{owner}'")
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
        with closing(self.admin("legacy")) as connection, closing(connection.cursor()) as cursor:
            cursor.execute("SET foreign_key_checks = 0")
            for (name,) in names:
                cursor.execute(f"TRUNCATE `{name}`")

    @contextmanager
    def paused(self, alias: str) -> Iterator[None]:
        """Let the server hang in this block: its connections stay open and nothing answers."""
        self.containers[alias].pause()
        try:
            yield
        finally:
            self.containers[alias].unpause()

    @contextmanager
    def stopped(self, alias: str) -> Iterator[None]:
        """Let the server be down in this block; afterwards it answers again."""
        self.containers[alias].stop(timeout=20)
        try:
            yield
        finally:
            self.containers[alias].start()
            self.answers(alias)

    def answers(self, alias: str) -> None:
        """Wait until the server takes connections."""

        def connects() -> bool:
            try:
                self.admin(alias).close()
            except _NOT_YET:
                container = self.containers[alias]
                container.reload()
                if container.status == "exited":
                    raise RuntimeError(f"'{alias}' ended:\n{container.logs(tail=30).decode()}") from None
                return False
            return True

        until(connects, f"the server of '{alias}' answers", seconds=120)

    def start_postgres(self, alias: str) -> None:
        """Start an owner's PostgreSQL."""
        environment = {
            "POSTGRES_USER": "postgres",
            "POSTGRES_PASSWORD": ROOT_PASSWORD,
            "POSTGRES_DB": "switchyard",
            **{f"{role.upper()}_PASSWORD": password for role, password in PASSWORDS.items()},
        }
        command = ["postgres", *_POSTGRES_ARGS]
        self._run(alias, POSTGRES, command, environment=environment, script="postgres-roles.sh", at=_AT_FIRST_START)

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
        self._run(alias, POSTGRES, command, environment=environment, script="standby.sh", at="/scripts/")

    def start_mysql(self, alias: str) -> None:
        """Start an owner's MySQL."""
        environment = {
            "MYSQL_ROOT_PASSWORD": ROOT_PASSWORD,
            "MYSQL_DATABASE": "switchyard",
            "MIGRATOR_PASSWORD": PASSWORDS["migrator"],
            "APP_PASSWORD": PASSWORDS["app"],
        }
        command = ["mysqld", *_MYSQL_ARGS]
        self._run(alias, MYSQL, command, environment=environment, script="mysql-roles.sh", at=_AT_FIRST_START)

    def remove(self, alias: str) -> None:
        """Remove the server and its data."""
        self.ports.pop(alias)
        self.containers.pop(alias).remove(force=True, v=True)

    def _run(
        self,
        alias: str,
        image: str,
        command: list[str],
        *,
        environment: dict[str, str],
        script: str,
        at: str,
    ) -> None:
        engine = self.network.client
        assert engine is not None
        self.ports[alias] = _free_port()
        run_dir, port = ("/var/run/mysqld", 3306) if image == MYSQL else ("/var/run/postgresql", 5432)
        container = engine.containers.create(
            image,
            command,
            name=f"{self.network.name}-{alias}",
            labels={LABEL: str(os.getpid())},
            environment=environment,
            volumes={str(_SCRIPTS / script): {"bind": at + script, "mode": "ro"}},
            tmpfs={"/tmp": "", run_dir: "uid=999,gid=999"},
            user="999:999",
            read_only=True,
            ports={f"{port}/tcp": ("127.0.0.1", self.ports[alias])},
        )
        self.network.connect(container, aliases=[alias])
        container.start()
        self.containers[alias] = container


def _free_port() -> int:
    """Return a port that is free now. The engine's own choice would change at every restart of a container."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def network_of_servers(*images: str) -> Iterator[Servers]:
    """Yield an empty network for servers of the images; remove all that was started in it."""
    with network(*images) as made:
        servers = Servers(made)
        try:
            yield servers
        finally:
            for alias in list(servers.containers):
                servers.remove(alias)


@contextmanager
def four_servers() -> Iterator[Servers]:
    """Yield the servers of the four aliases, all answering, with pg_stat_statements; remove them afterwards."""
    if MySQLdb is None:
        raise UnavailableError("mysqlclient is not installed")
    with network_of_servers(POSTGRES, MYSQL) as servers:
        servers.start_postgres("default")
        servers.start_standby("replica", of="default")
        servers.start_postgres("analytics")
        servers.start_mysql("legacy")
        for alias in servers.containers:
            servers.answers(alias)
        for alias in ("default", "analytics"):
            servers.ask(alias, "CREATE EXTENSION pg_stat_statements")
        yield servers
