"""Containers with one database server each: reach them, pause them, stop them, kill them and remove them.

Which server replicates which is in `servers.py`.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from docker.models.containers import Container
from docker.models.networks import Network
from tests.support.engine import LABEL, frozen
from tests.support.service import free_port
from tests.support.vendors import NOT_YET, Switch, Vendor
from tests.support.waiting import until

PASSWORDS = {
    "migrator": "migrator's p:w",
    "app": "app-p@ss",
    "readonly": 'read "only"',
    "monitor": "moni$tor",
    "replicator": r"""re'pl"i:#ca\tor""",
}


@dataclass
class Server:
    """One server. A test that builds the server again replaces the container; the port of the host stays."""

    vendor: Vendor
    container: Container
    port: int
    replica_of: str | None


@dataclass
class Containers:
    """One server for each alias, in one network of Docker."""

    network: Network
    by_alias: dict[str, Server] = field(default_factory=dict)
    first: str = ""  # what the shell runs in each new container before the command

    @property
    def containers(self) -> Mapping[str, Container]:
        """Return the present container of each alias."""
        return {alias: server.container for alias, server in self.by_alias.items()}

    def environ(self, user: str = "app") -> dict[str, str]:
        """Return the DATABASE_* variables of a service that uses all servers, as the user `app` or `migrator`."""
        urls = {f"DATABASE_{alias.upper()}_URL": self.url(alias, user) for alias in self.by_alias}
        owners = {alias: server.replica_of for alias, server in self.by_alias.items() if server.replica_of}
        return urls | {f"DATABASE_{alias.upper()}_REPLICA_OF": owner for alias, owner in owners.items()}

    def url(self, alias: str, user: str = "app", *, port: int | None = None) -> str:
        """Return the URL of a server, with its password. `port` is the port of a proxy in front of the server."""
        server = self.by_alias[alias]
        password = "".join(f"%{byte:02X}" for byte in PASSWORDS[user].encode())
        return f"{server.vendor.scheme}://{user}:{password}@127.0.0.1:{port or server.port}/switchyard"

    def admin(self, alias: str) -> Any:
        """Return a new connection of the driver, as superuser and in autocommit. The caller closes it."""
        server = self.by_alias[alias]
        return server.vendor.connect(server.port)

    def ask(self, alias: str, *statements: str) -> list[tuple[Any, ...]]:
        """Run the statements on one connection, as superuser, and return the rows of the last statement."""
        with closing(self.admin(alias)) as connection, closing(connection.cursor()) as cursor:
            for sql in statements:
                cursor.execute(sql)
            return list(cursor.fetchall()) if cursor.description else []

    def says(self, alias: str, question: str) -> bool:
        """Return True if the first value of the query's first row is true."""
        rows = self.ask(alias, question)
        return bool(rows) and bool(rows[0][0])

    @contextmanager
    def switched(self, alias: str, switch: Switch, what: str) -> Iterator[None]:
        """Turn the switch on for this block. `what` names the state, for the error after a time-out."""
        self.ask(alias, *switch.on)
        try:
            until(lambda: self.says(alias, switch.is_on), f"'{alias}' is {what}")
            yield
        finally:
            self.ask(alias, *switch.off)
            until(lambda: self.says(alias, switch.is_off), f"'{alias}' is no longer {what}")

    def paused(self, alias: str) -> AbstractContextManager[None]:
        """Let the server hang in this block: connections stay open, and nothing answers."""
        return frozen(self.by_alias[alias].container)

    @contextmanager
    def stopped(self, alias: str) -> Iterator[None]:
        """Shut the server down for this block; after the block it answers again."""
        self.by_alias[alias].container.stop(timeout=20)
        try:
            yield
        finally:
            self._start_again(alias)

    @contextmanager
    def killed(self, alias: str) -> Iterator[None]:
        """Kill the server for this block, without a shutdown; after the block it answers again."""
        self.by_alias[alias].container.kill()
        self.by_alias[alias].container.wait(timeout=20)
        try:
            yield
        finally:
            self._start_again(alias)

    def _start_again(self, alias: str) -> None:
        self.by_alias[alias].container.start()
        self.answers(alias)

    def answers(self, alias: str) -> None:
        """Wait until the server accepts connections to its database; at most two minutes."""

        def connects() -> bool:
            try:
                self.admin(alias).close()
            except NOT_YET:
                container = self.by_alias[alias].container
                container.reload()
                if container.status == "exited":
                    raise RuntimeError(
                        f"The container of '{alias}' ended:\n{container.logs(tail=30).decode()}"
                    ) from None
                return False
            return True

        until(connects, f"the server of '{alias}' answers", seconds=120)

    def remove(self, alias: str) -> None:
        """Remove the server and its data."""
        self.by_alias.pop(alias).container.remove(force=True, v=True)

    def run(
        self,
        alias: str,
        vendor: Vendor,
        command: list[str],
        *,
        environment: Mapping[str, str],
        scripts: Mapping[Path, str] | None = None,
        replica_of: str | None = None,
        volume: str | None = None,
    ) -> None:
        """Start a server in a new container. A server that existed before keeps its port and its owner.

        `scripts` maps files of the host to a path in the container, or to a directory with a final slash. `volume`
        names a volume of Docker for the data, which the caller removes.
        """
        engine = self.network.client
        assert engine is not None
        if self.first:
            command = ["bash", "-c", f'{self.first}; exec "$@"', "bash", *command]
        before = self.by_alias.get(alias)
        if before:
            before.container.remove(force=True, v=True)
        # A port that Docker chooses would change with each restart of a container.
        port = before.port if before else free_port()
        container = engine.containers.create(
            vendor.image,
            command,
            name=f"{self.network.name}-{alias}",
            labels={LABEL: str(os.getpid())},
            environment=dict(environment),
            volumes={
                str(script): {"bind": at + script.name * at.endswith("/"), "mode": "ro"}
                for script, at in (scripts or {}).items()
            }
            | ({volume: {"bind": vendor.data_dir, "mode": "rw"}} if volume else {}),
            tmpfs={"/tmp": "", vendor.run_dir: "uid=999,gid=999"},
            user="999:999",
            read_only=True,
            ports={f"{vendor.port}/tcp": ("127.0.0.1", port)},
        )
        self.network.connect(container, aliases=[alias])
        container.start()
        if before:
            before.container = container
        else:
            self.by_alias[alias] = Server(vendor, container, port, replica_of)

    @contextmanager
    def beside(self) -> Iterator[Self]:
        """Yield a copy that can start more servers; they are removed after the block, and unknown to the original."""
        more = type(self)(self.network, dict(self.by_alias))
        try:
            yield more
        finally:
            for alias in more.by_alias.keys() - self.by_alias.keys():
                more.remove(alias)
