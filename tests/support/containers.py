"""Containers with a database server each: how to reach them, and their ends: removed, stopped, killed, hung.

What the servers are to each other is servers.py's.
"""

import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from docker.models.containers import Container
from docker.models.networks import Network
from tests.support.engine import LABEL
from tests.support.vendors import NOT_YET, Switch, Vendor

PASSWORDS = {"migrator": "migrator's p:w", "app": "app-p@ss", "replicator": r"re'pli:ca\tor"}


def until(true: Callable[[], bool], what: str, *, seconds: float = 60) -> None:
    """Poll until it is true; raise TimeoutError that says what was waited for."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"After {seconds} s still not: {what}.")
        time.sleep(0.05)


@dataclass
class Server:
    """Where one server runs. The container is another one after a fault that makes the server anew; the port stays."""

    vendor: Vendor
    container: Container
    port: int
    replica_of: str | None


@dataclass
class Containers:
    """One server per alias."""

    network: Network
    by_alias: dict[str, Server] = field(default_factory=dict)

    @property
    def containers(self) -> Mapping[str, Container]:
        """Return the container of each alias, as it is now."""
        return {alias: server.container for alias, server in self.by_alias.items()}

    def environ(self, user: str = "app") -> dict[str, str]:
        """Return the DATABASE_* variables of all of them, as `app` or `migrator`."""
        urls = {f"DATABASE_{alias.upper()}_URL": self.url(alias, user) for alias in self.by_alias}
        owners = {alias: server.replica_of for alias, server in self.by_alias.items() if server.replica_of}
        return urls | {f"DATABASE_{alias.upper()}_REPLICA_OF": owner for alias, owner in owners.items()}

    def url(self, alias: str, user: str = "app", *, port: int | None = None) -> str:
        """Return one server's URL, the password percent-encoded; with `port`, one that leads there by another way."""
        server = self.by_alias[alias]
        password = "".join(f"%{byte:02X}" for byte in PASSWORDS[user].encode())
        return f"{server.vendor.scheme}://{user}:{password}@127.0.0.1:{port or server.port}/switchyard"

    def admin(self, alias: str) -> Any:
        """Return a DB-API connection of the superuser, in autocommit; the caller closes it."""
        server = self.by_alias[alias]
        return server.vendor.connect(server.port)

    def ask(self, alias: str, *statements: str) -> list[tuple[Any, ...]]:
        """Return the rows of the last statement, run by the superuser on one connection."""
        with closing(self.admin(alias)) as connection, closing(connection.cursor()) as cursor:
            for sql in statements:
                cursor.execute(sql)
            return list(cursor.fetchall()) if cursor.description else []

    def says(self, alias: str, question: str) -> bool:
        """Return whether the server answers the question with one true value."""
        rows = self.ask(alias, question)
        return bool(rows) and bool(rows[0][0])

    @contextmanager
    def switched(self, alias: str, switch: Switch, what: str) -> Iterator[None]:
        """Turn it on in this block; it is on when the block begins, and off when this returns."""
        self.ask(alias, *switch.on)
        try:
            until(lambda: self.says(alias, switch.is_on), f"'{alias}' is {what}")
            yield
        finally:
            self.ask(alias, *switch.off)
            until(lambda: self.says(alias, switch.is_off), f"'{alias}' is no longer {what}")

    @contextmanager
    def paused(self, alias: str) -> Iterator[None]:
        """Let the server hang in this block: its connections stay open and nothing answers."""
        self.by_alias[alias].container.pause()
        try:
            yield
        finally:
            self.by_alias[alias].container.unpause()

    @contextmanager
    def stopped(self, alias: str) -> Iterator[None]:
        """Let the server be down in this block; afterwards it answers again."""
        self.by_alias[alias].container.stop(timeout=20)
        try:
            yield
        finally:
            self._start_again(alias)

    @contextmanager
    def killed(self, alias: str) -> Iterator[None]:
        """Let the server be down in this block without having said goodbye; afterwards it answers again."""
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
        """Wait until the server takes connections to its database."""

        def connects() -> bool:
            try:
                self.admin(alias).close()
            except NOT_YET:
                container = self.by_alias[alias].container
                container.reload()
                if container.status == "exited":
                    raise RuntimeError(f"'{alias}' ended:\n{container.logs(tail=30).decode()}") from None
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
    ) -> None:
        """Run a server with these scripts, each at a path or in a directory; one made anew keeps its port and owner."""
        engine = self.network.client
        assert engine is not None
        before = self.by_alias.get(alias)
        if before:
            before.container.remove(force=True, v=True)
        port = before.port if before else _free_port()
        container = engine.containers.create(
            vendor.image,
            command,
            name=f"{self.network.name}-{alias}",
            labels={LABEL: str(os.getpid())},
            environment=dict(environment),
            volumes={
                str(script): {"bind": at + script.name * at.endswith("/"), "mode": "ro"}
                for script, at in (scripts or {}).items()
            },
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
        """Yield these servers and room for more, which are removed afterwards and which these do not name."""
        more = type(self)(self.network, dict(self.by_alias))
        try:
            yield more
        finally:
            for alias in more.by_alias.keys() - self.by_alias.keys():
                more.remove(alias)


def _free_port() -> int:
    """Return a port that is free now. The engine's own choice would change at every restart of a container."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
