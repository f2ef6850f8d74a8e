"""What the servers themselves count of the service's user: statements, rows, transactions, connections, errors."""

from collections import Counter
from contextlib import closing
from typing import Any, NamedTuple, Self

import psycopg
from tests.support.servers import Servers
from tests.support.vendors import ROOT_PASSWORD
from tests.support.waiting import until

# The ends of transactions, and the set-up of a connection: no calls of a cursor.
APART = frozenset({"BEGIN", "COMMIT", "ROLLBACK", "SET"})

_POSTGRES_STATEMENTS = """
    SELECT CASE WHEN query ILIKE 'ROLLBACK TO%' THEN 'ROLLBACK_TO' ELSE upper(split_part(query, ' ', 1)) END,
        sum(calls)::int
    FROM pg_stat_statements JOIN pg_roles ON pg_roles.oid = userid WHERE rolname = 'app' GROUP BY 1
"""
_POSTGRES_ROWS = """
    SELECT coalesce(sum(rows), 0)::int FROM pg_stat_statements JOIN pg_roles ON oid = userid WHERE rolname = 'app'
"""
_POSTGRES_DATABASE = "SELECT xact_commit, xact_rollback, sessions FROM pg_stat_database WHERE datname = 'switchyard'"
_POSTGRES_CONNECTED = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'switchyard'"
_MYSQL_STATEMENTS = """
    SELECT event_name, count_star FROM performance_schema.events_statements_summary_by_user_by_event_name
    WHERE user = 'app' AND count_star > 0 AND event_name LIKE 'statement/sql/%'
"""
_MYSQL_ROWS = """
    SELECT CAST(sum(sum_rows_sent) + sum(sum_rows_affected) AS SIGNED), CAST(sum(sum_errors) AS SIGNED)
    FROM performance_schema.events_statements_summary_by_user_by_event_name WHERE user = 'app'
"""
_MYSQL_NOT_CONNECTED = """
    SELECT coalesce(sum(current_connections), 0) = 0 FROM performance_schema.users WHERE user = 'app'
"""
_MYSQL_CONNECTIONS = "SELECT total_connections FROM performance_schema.users WHERE user = 'app'"
_MYSQL_WORDS = {"RELEASE_SAVEPOINT": "RELEASE", "ROLLBACK_TO_SAVEPOINT": "ROLLBACK_TO", "SET_OPTION": "SET"}


def forget(servers: Servers, alias: str) -> None:
    """Reset the server's counters of statements."""
    if servers.by_alias[alias].vendor.scheme == "postgresql":
        servers.ask(alias, "SELECT pg_stat_statements_reset()")
    else:
        servers.ask(alias, "TRUNCATE performance_schema.events_statements_summary_by_user_by_event_name")


def counted_by_server(servers: Servers, alias: str, apart: frozenset[str] = APART) -> Counter[str]:
    """Return the statements that the server has counted, by their first word, except those in `apart`."""
    if servers.by_alias[alias].vendor.scheme == "postgresql":
        counts = Counter(dict(servers.ask(alias, _POSTGRES_STATEMENTS)))
    else:
        counts = _by_word(servers.ask(alias, _MYSQL_STATEMENTS))
    return without(counts, apart)


def rows_by_server(servers: Servers, alias: str) -> int:
    """Return the rows that the server has counted: returned and affected."""
    is_postgres = servers.by_alias[alias].vendor.scheme == "postgresql"
    found: int = servers.ask(alias, _POSTGRES_ROWS if is_postgres else _MYSQL_ROWS)[0][0]
    return found


def without(counts: Counter[str], apart: frozenset[str]) -> Counter[str]:
    """Return the counts of all other words."""
    return Counter({word: number for word, number in counts.items() if word not in apart})


def _by_word(rows: list[tuple[Any, ...]]) -> Counter[str]:
    words = ((name.rpartition("/")[2].upper(), number) for name, number in rows)
    return Counter({_MYSQL_WORDS.get(word, word): number for word, number in words})


class ServerCounts(NamedTuple):
    """All that a server has counted, at one moment while no connection of the service is open."""

    statements: Counter[str]
    rows: int
    commits: int
    rollbacks: int
    connections: int
    errors: int  # 0 on PostgreSQL, which counts a failed statement as a rolled back transaction

    @classmethod
    def of(cls, servers: Servers, alias: str) -> Self:
        """Ask the server."""
        if servers.by_alias[alias].vendor.scheme == "postgresql":
            return cls(*_of_postgres(servers.by_alias[alias].port))
        # A session that ends moves its counts to its user: meanwhile some may be in both places, or in neither.
        until(lambda: servers.says(alias, _MYSQL_NOT_CONNECTED), "all sessions have ended")
        statements = _by_word(servers.ask(alias, _MYSQL_STATEMENTS))
        ((rows, errors),) = servers.ask(alias, _MYSQL_ROWS)
        connections = servers.ask(alias, _MYSQL_CONNECTIONS)
        opened = connections[0][0] if connections else 0
        return cls(statements, rows or 0, statements["COMMIT"], statements["ROLLBACK"], opened, errors or 0)

    def since(self, before: Self) -> Self:
        """Return the increments."""
        statements = Counter(self.statements)
        statements.subtract(before.statements)
        added = (mine - earlier for mine, earlier in zip(self[1:], before[1:], strict=True))
        return type(self)(+statements, *added)


def _of_postgres(port: int) -> tuple[Counter[str], int, int, int, int, int]:
    """Ask over another database, because pg_stat_database counts the questions as well."""
    address = {"host": "127.0.0.1", "port": port, "user": "postgres", "password": ROOT_PASSWORD, "dbname": "postgres"}
    with closing(psycopg.connect(**address, autocommit=True)) as connection:  # type: ignore[arg-type]
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        # A session adds its last counts as it ends.
        until(lambda: connection.execute(_POSTGRES_CONNECTED).fetchone() == (0,), "all sessions have ended")
        statements = Counter(dict(connection.execute(_POSTGRES_STATEMENTS).fetchall()))
        ((rows,),) = connection.execute(_POSTGRES_ROWS).fetchall()
        ((commits, rollbacks, sessions),) = connection.execute(_POSTGRES_DATABASE).fetchall()
    return statements, rows, commits, rollbacks, sessions, 0
