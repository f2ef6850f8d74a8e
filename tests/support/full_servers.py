"""A server whose connections are all in use, by other clients than the service."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psycopg
from tests.support.containers import PASSWORDS
from tests.support.servers import Servers
from tests.support.vendors import MYSQL, NOT_YET, POSTGRESQL, MySQLdb, Vendor
from tests.support.waiting import until

SESSIONS = 1  # that MySQL allows in the block: the superuser's own. It can change its limit while it runs.
MAX_ATTEMPTS = 500


@dataclass(frozen=True)
class _Full:
    """How to fill the servers of one vendor. The statements run as superuser, for whom a server keeps connections."""

    before: str
    after: str
    sessions: str  # of the service, and those that nobody has signed in to yet
    end: str
    refusal: str  # in the error of a client that gets no connection
    held: str  # True if no place is left: a refused client holds one for a moment, in which others are refused, too


_FULL: Mapping[Vendor, _Full] = {
    POSTGRESQL: _Full(
        before="",
        after="",
        sessions="SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND usename IS DISTINCT FROM"
        " 'readonly' AND pid <> pg_backend_pid()",
        end="SELECT pg_terminate_backend({})",
        refusal="remaining connection slots",
        held="SELECT count(*) >= current_setting('max_connections')::int"
        " - current_setting('superuser_reserved_connections')::int - current_setting('reserved_connections')::int"
        " FROM pg_stat_activity WHERE usename = 'readonly' OR pid = pg_backend_pid()",
    ),
    MYSQL: _Full(
        before=f"SET GLOBAL max_connections = {SESSIONS}",
        after="SET GLOBAL max_connections = DEFAULT",
        sessions="SELECT id FROM information_schema.processlist WHERE user IN ('app', 'unauthenticated user')",
        end="KILL {}",
        refusal="Too many connections",
        held="SELECT count(*) >= @@max_connections FROM information_schema.processlist"
        " WHERE user = 'readonly' OR id = connection_id()",
    ),
}


@contextmanager
def out_of_connections(servers: Servers, alias: str) -> Iterator[None]:
    """Let other clients hold all connections of the server in this block: the user `app` has none, and gets none."""
    how = _FULL[servers.by_alias[alias].vendor]
    with ExitStack() as stack:
        # One for all statements: the only one that MySQL keeps for superusers may still be closing.
        admin = stack.enter_context(closing(servers.admin(alias)))
        cursor = stack.enter_context(closing(admin.cursor()))
        held = stack.enter_context(ExitStack())

        def all_are_held() -> bool:
            _fill(servers, alias, held, how.refusal)
            cursor.execute(how.sessions)
            sessions = cursor.fetchall()
            for (number,) in sessions:
                with suppress(*NOT_YET):  # it ended by itself
                    cursor.execute(how.end.format(number))
            cursor.execute(how.held)
            return bool(cursor.fetchone()[0]) and not sessions

        if how.before:
            cursor.execute(how.before)
            stack.callback(cursor.execute, how.after)
        until(all_are_held, f"other clients hold all connections of '{alias}'")
        yield


def _fill(servers: Servers, alias: str, held: ExitStack, refusal: str) -> None:
    """Open connections until the server refuses one. Another error, as on a busy machine, is no refusal."""
    for _ in range(MAX_ATTEMPTS):
        try:
            held.enter_context(closing(_connect(servers, alias)))
        except NOT_YET as error:
            if refusal in str(error):
                return


def _connect(servers: Servers, alias: str) -> Any:
    server = servers.by_alias[alias]
    given = {"host": "127.0.0.1", "port": server.port, "user": "readonly", "password": PASSWORDS["readonly"]}
    if server.vendor is POSTGRESQL:
        return psycopg.connect(**given, dbname="switchyard", connect_timeout=5)
    return MySQLdb.connect(**given, database="switchyard", connect_timeout=5)
