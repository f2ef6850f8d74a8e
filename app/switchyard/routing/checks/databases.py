"""System checks of DATABASES and MAX_LAG_SECONDS, and of the settings of the servers (E010, E013-E015, W002, W005)."""

from collections.abc import Iterator, Mapping, Sequence
from math import inf
from typing import Any

from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 - Django's name
from django.db import DEFAULT_DB_ALIAS, connections

from switchyard.conf import conf
from switchyard.positions import mariadb, mysql
from switchyard.positions.registry import dialect_for
from switchyard.routing.topology.direct import DIRECT, has_shared_session
from switchyard.routing.topology.ownership import database_aliases, owners, replicas_of, replicated_by
from switchyard.routing.topology.replication import supports_positions
from switchyard.routing.topology.sqlite_files import sqlite_file

# The limits of a session, and the values that the service gives them without a pooler.
_LIMITS = {"statement_timeout": "30s", "lock_timeout": "10s", "idle_in_transaction_session_timeout": "60s"}
_DEFAULT_POOL_SIZE = 4  # of psycopg, for `pool: True`

# The query for whether the server keeps positions, and the setting that makes it. PostgreSQL always keeps them.
_POSITION_SETTINGS: dict[Any, tuple[str, str]] = {
    mysql: ("SELECT @@global.gtid_mode = 'ON'", "gtid_mode=ON and enforce_gtid_consistency=ON"),
    mariadb: ("SELECT @@global.log_bin", "log_bin"),
}


def check_servers(*, databases: Sequence[str] | None = None, **_kwargs: Any) -> list[CheckMessage]:
    """Return the mistakes in the settings of these aliases' servers.

    One query on each owner that has replicas, and one on each alias behind a pooler. The check has the tag `database`,
    so it runs only for the aliases of `check --database` and `migrate`.
    """
    owners = [alias for alias in databases or () if replicas_of(alias) and supports_positions(alias)]
    pooled = [alias for alias in databases or () if connections.settings[alias].get(DIRECT)]
    return [
        *(message for alias in owners for message in _without_positions(alias)),
        *(message for alias in pooled for message in _without_limits(alias)),
    ]


def _without_positions(alias: str) -> Iterator[CheckMessage]:
    with connections[alias].cursor() as cursor:
        dialect = dialect_for(connections[alias].vendor, connections[alias].connection)
        if dialect not in _POSITION_SETTINGS:
            return
        query, remedy = _POSITION_SETTINGS[dialect]
        cursor.execute(query)
        if not cursor.fetchone()[0]:
            yield Warning(
                f"The server of '{alias}' keeps no positions: it is not known how far its replicas have caught up.",
                hint=f"Set {remedy} on the server. Until then, a client that wrote on '{alias}' reads only there.",
                id="switchyard.W005",
            )


def _without_limits(alias: str) -> Iterator[CheckMessage]:
    """Yield a warning if sessions through the pooler of PostgreSQL have no limit for statements, locks or idleness."""
    if connections[alias].vendor != "postgresql":
        return
    with connections[alias].cursor() as cursor:
        cursor.execute(
            "SELECT name FROM pg_settings WHERE name = ANY(%s) AND setting = '0' ORDER BY name", [list(_LIMITS)]
        )
        missing = [name for (name,) in cursor.fetchall()]
    if missing:
        user = connections.settings[alias]["USER"]
        remedy = " ".join(f"ALTER ROLE {user} SET {name} = '{_LIMITS[name]}';" for name in missing)
        yield Warning(
            f"Sessions on '{alias}' come from a pooler, which refuses limits at their start, and the role '{user}' has "
            f"none: {', '.join(missing)}. A statement may run, and a lock may be waited for, without an end.",
            hint=f"Give the role its limits, for example: {remedy}",
            id="switchyard.W010",
        )


def _unknown_way_past_a_pooler() -> Iterator[CheckMessage]:
    for owner, replicas in conf.replicas.items():
        for alias in (owner, *replicas):
            settings = connections.settings[alias] if alias in connections else {}
            if has_shared_session(settings) and not settings.get(DIRECT):
                yield Warning(
                    f"DATABASES['{alias}'] is behind a pooler (DISABLE_SERVER_SIDE_CURSORS), and the address of its "
                    "server is not known: positions and locks of migrations go through the pooler, which may lead "
                    "each transaction to another server.",
                    hint=f"Set DATABASES['{alias}']['DIRECT'] = {{'HOST': ..., 'PORT': ...}} to the server's address.",
                    id="switchyard.W007",
                )


def _atomic_requests() -> Iterator[CheckMessage]:
    """Yield an error for each alias but one: `default` if it has the key or owns an app, else the first owner."""
    atomic = [alias for alias in database_aliases() if connections.settings[alias]["ATOMIC_REQUESTS"]]
    owning = [alias for alias in atomic if alias in owners() and not replicated_by(alias)]
    allowed = DEFAULT_DB_ALIAS if DEFAULT_DB_ALIAS in (*atomic, *owners()) else next(iter(owning), None)
    for alias in atomic:
        if alias != allowed:
            yield Error(
                f"DATABASES['{alias}']['ATOMIC_REQUESTS'] opens a transaction on '{alias}' in every request, "
                f"so every request fails if '{alias}' is down, and most write while a second transaction is open.",
                hint=f"Remove it, and open transaction.atomic(using='{alias}') in the views that write there.",
                id="switchyard.E010",
            )


def _persistent_pools() -> Iterator[CheckMessage]:
    for alias in connections:
        settings = connections.settings[alias]
        if settings["OPTIONS"].get("pool") and settings["CONN_MAX_AGE"] != 0:
            yield Error(
                f"DATABASES['{alias}'] has a pool and CONN_MAX_AGE = {settings['CONN_MAX_AGE']}: "
                "Django refuses to connect.",
                hint="Leave CONN_MAX_AGE out, because the pool keeps the connections.",
                id="switchyard.E013",
            )


def _small_pools() -> Iterator[CheckMessage]:
    for alias in connections:
        pool = connections.settings[alias]["OPTIONS"].get("pool")
        size = _size(pool) if pool else inf
        if conf.threads is not None and size < conf.threads:
            yield Warning(
                f"The pool of '{alias}' has {size} connections for {conf.threads} threads: some threads will wait "
                "for a connection, and fail after the time-out of the pool.",
                hint=f"Set DATABASES['{alias}']['OPTIONS']['pool']['max_size'] to {conf.threads} or more, or run fewer "
                "threads and set SWITCHYARD['THREADS'] to their number.",
                id="switchyard.W002",
            )


def _size(pool: Any) -> int:
    given = pool if isinstance(pool, Mapping) else {}
    size: int = given.get("max_size") or given.get("min_size", _DEFAULT_POOL_SIZE)
    return size


def _wrong_max_lag() -> Iterator[CheckMessage]:
    given = conf.max_lag_seconds
    replicas = {alias for aliases in conf.replicas.values() for alias in aliases}
    for alias, seconds in given.items() if isinstance(given, Mapping) else [("", given)]:
        key = f"SWITCHYARD['MAX_LAG_SECONDS']['{alias}']" if alias else "SWITCHYARD['MAX_LAG_SECONDS']"
        if alias and alias not in replicas:
            yield Error(
                f"{key} names no replica, so it has no effect.",
                hint=f"Name one of: {', '.join(sorted(replicas))}." if replicas else "Remove it: REPLICAS is empty.",
                id="switchyard.E014",
            )
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
            yield Error(
                f"{key} is {seconds!r}, not a positive number of seconds.",
                hint="Set a number of seconds above 0; the default is 30.",
                id="switchyard.E014",
            )


def _unreplicated_files() -> Iterator[CheckMessage]:
    for owner, replicas in conf.replicas.items():
        for alias in replicas:
            files = {sqlite_file(each) for each in (owner, alias) if each in connections}
            if len(files - {None}) > 1:
                yield Error(
                    f"The SQLite replica '{alias}' opens another file than its owner '{owner}', and nothing copies "
                    "rows from file to file: reads on the replica never see the owner's rows.",
                    hint=f"Set DATABASES['{alias}']['NAME'] to the file of '{owner}', read-only: "
                    "'file:/path/to/file?mode=ro'.",
                    id="switchyard.E015",
                )


CHECKS = (
    _atomic_requests,
    _persistent_pools,
    _small_pools,
    _wrong_max_lag,
    _unreplicated_files,
    _unknown_way_past_a_pooler,
)
