"""A server whose connections are all in use, by other clients than the service."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psycopg
from tests.support.containers import PASSWORDS
from tests.support.servers import Servers
from tests.support.vendors import MYSQL, NOT_YET, POSTGRESQL, MySQLdb, Vendor
from tests.support.waiting import until

SESSIONS = 20  # of MySQL, which can change its limit while it runs


@dataclass(frozen=True)
class _Full:
    """How to fill the servers of one vendor. The statements run as superuser, for whom a server keeps connections."""

    before: tuple[str, ...]
    after: tuple[str, ...]
    sessions: str  # the sessions of the service
    end: str


_FULL: Mapping[Vendor, _Full] = {
    POSTGRESQL: _Full(
        before=(),
        after=(),
        sessions="SELECT pid FROM pg_stat_activity WHERE usename = 'app'",
        end="SELECT pg_terminate_backend({})",
    ),
    MYSQL: _Full(
        before=(f"SET GLOBAL max_connections = {SESSIONS}",),
        after=("SET GLOBAL max_connections = DEFAULT",),
        sessions="SELECT id FROM information_schema.processlist WHERE user = 'app'",
        end="KILL {}",
    ),
}


@contextmanager
def out_of_connections(servers: Servers, alias: str) -> Iterator[None]:
    """Let other clients hold all connections of the server in this block: the user `app` has none, and gets none."""
    how = _FULL[servers.by_alias[alias].vendor]
    held: list[Any] = []

    def all_are_held() -> bool:
        _fill(servers, alias, held)
        sessions = servers.ask(alias, how.sessions)
        for (number,) in sessions:
            with suppress(*NOT_YET):  # it ended by itself
                servers.ask(alias, how.end.format(number))
        return not sessions

    if how.before:
        servers.ask(alias, *how.before)
    try:
        until(all_are_held, f"other clients hold all connections of '{alias}'")
        yield
    finally:
        for connection in held:
            connection.close()
        if how.after:
            servers.ask(alias, *how.after)


def _fill(servers: Servers, alias: str, held: list[Any]) -> None:
    """Open connections until the server refuses one."""
    with suppress(*NOT_YET):
        while True:
            held.append(_connect(servers, alias))


def _connect(servers: Servers, alias: str) -> Any:
    server = servers.by_alias[alias]
    given = {"host": "127.0.0.1", "port": server.port, "user": "readonly", "password": PASSWORDS["readonly"]}
    if server.vendor is POSTGRESQL:
        return psycopg.connect(**given, dbname="switchyard", connect_timeout=5)
    return MySQLdb.connect(**given, database="switchyard", connect_timeout=5)
