"""PgBouncer in transaction mode in front of a PostgreSQL server of the tests."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from django.db import connections
from docker.errors import ImageNotFound
from docker.models.containers import Container
from tests.support.containers import PASSWORDS
from tests.support.engine import LABEL, UnavailableError, frozen
from tests.support.servers import Servers
from tests.support.waiting import until

IMAGE = os.environ.get("TEST_PGBOUNCER_IMAGE", "pgbouncer:1")
_PORT = 6432
_CONFIGURATION = f"""
[databases]
switchyard = host={{host}} port=5432

[pgbouncer]
listen_addr = 0.0.0.0
listen_port = {_PORT}
auth_type = scram-sha-256
auth_file = /etc/pgbouncer/users.txt
pool_mode = transaction
default_pool_size = 4
"""


@dataclass(frozen=True)
class Pooler:
    """A running pooler in front of the server of an alias, with its port on this machine."""

    alias: str
    container: Container
    port: int
    servers: Servers

    def url(self, user: str = "app") -> str:
        """Return the URL of the server through the pooler, with the way past the pooler."""
        direct = f"direct_host=127.0.0.1&direct_port={self.servers.by_alias[self.alias].port}"
        return f"{self.servers.url(self.alias, user, port=self.port)}?pooler=transaction&{direct}"

    def paused(self) -> AbstractContextManager[None]:
        """Let the pooler hang in this block."""
        return frozen(self.container)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop the pooler in this block; after the block it answers again."""
        self.container.kill()
        self.container.wait(timeout=20)
        try:
            yield
        finally:
            self.container.start()
            self.answers()

    def reconnect(self) -> None:
        """Close the pooler's connections to the server, so that new sessions have the role's present settings."""
        terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'"
        self.servers.ask(self.alias, terminate)
        connections[self.alias].close()
        self.answers()

    def answers(self) -> None:
        """Wait until a client of the pooler gets an answer from the server."""

        def asks() -> bool:
            try:
                psycopg.connect(
                    host="127.0.0.1", port=self.port, user="app", password=PASSWORDS["app"], dbname="switchyard"
                ).close()
            except psycopg.OperationalError:
                return False
            return True

        until(asks, f"the pooler of '{self.alias}' answers", seconds=60)


@contextmanager
def pooler(servers: Servers, alias: str, directory: Path, *, port: int) -> Iterator[Pooler]:
    """Run a pooler in front of the server of the alias; `directory` takes its files. Raises UnavailableError."""
    engine = servers.network.client
    assert engine is not None
    try:
        engine.images.get(IMAGE)
    except ImageNotFound as error:
        raise UnavailableError(f"no image {IMAGE}") from error
    files = {
        "pgbouncer.ini": _CONFIGURATION.format(host=alias),
        "users.txt": "".join(f'"{user}" "{PASSWORDS[user]}"\n' for user in ("app", "migrator")),
    }
    for name, text in files.items():
        (directory / name).write_text(text)
        (directory / name).chmod(0o644)
    directory.chmod(0o755)
    container = engine.containers.create(
        IMAGE,
        name=f"{servers.network.name}-{alias}-pooler",
        labels={LABEL: str(os.getpid())},
        volumes={str(directory): {"bind": "/etc/pgbouncer", "mode": "ro"}},
        ports={f"{_PORT}/tcp": ("127.0.0.1", port)},
    )
    try:
        servers.network.connect(container)
        container.start()
        started = Pooler(alias, container, port, servers)
        started.answers()
        yield started
    finally:
        container.remove(force=True, v=True)
