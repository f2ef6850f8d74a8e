"""Whether a server may write when it runs a statement, so that the client must see the position after it.

A function counts as read-only if `switchyard.sql.function_names` lists it, if the server of the alias calls it stable
or immutable, or if SWITCHYARD["READ_ONLY_FUNCTIONS"] names it. Every other function may write, and so may a listed one
if the database has a function of its own with this name. The refusal of statements is not in this module.
"""

import time
from collections.abc import Collection
from math import inf
from typing import Any, NamedTuple

from django.db import connections

from switchyard.conf import conf
from switchyard.routing.topology.ownership import replicated_by
from switchyard.sql import Statement

# A call may mean any overload of the name in any schema, so none of them may be volatile. PostgreSQL does not mark an
# aggregate as volatile, so the functions that the aggregate runs count. A stable function can run a text that it gets
# as an argument, as `crosstab(text)` does: SQL functions cannot, PL/pgSQL needs EXECUTE for it. The server's own
# functions have an oid below 16384.
_POSTGRESQL_QUERY = """
    WITH functions AS (
        SELECT lower(p.proname::text COLLATE "C") AS name, p.oid >= 16384 AS is_own,
            p.provolatile <> 'v' AND f.oid IS NULL AND NOT (
                p.oid >= 16384 AND p.provolatile = 's' AND p.proargtypes::oid[] && '{25,1009,1043}'::oid[]
                AND CASE l.lanname WHEN 'sql' THEN false WHEN 'plpgsql' THEN p.prosrc ~* 'execute' ELSE true END
            ) AS is_read_only
        FROM pg_catalog.pg_proc p
        JOIN pg_catalog.pg_language l ON l.oid = p.prolang
        LEFT JOIN pg_catalog.pg_aggregate a ON a.aggfnoid = p.oid
        LEFT JOIN pg_catalog.pg_proc f ON f.provolatile = 'v' AND f.oid IN
            (a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggmtransfn, a.aggminvtransfn, a.aggmfinalfn)
    )
    SELECT name, bool_and(is_read_only), bool_or(is_own AND NOT is_read_only) FROM functions GROUP BY name
"""
# MySQL does not check the declaration of a function: each one may write. The functions of `sys` are the server's own.
_MYSQL_QUERY = """
    SELECT routine_name, 0, 1 FROM information_schema.routines
    WHERE routine_type = 'FUNCTION' AND routine_schema <> 'sys'
"""
_QUERIES = {"postgresql": _POSTGRESQL_QUERY, "mysql": _MYSQL_QUERY}
_RELOAD_INTERVAL_SECONDS = 60.0


class Catalog(NamedTuple):
    """The functions of a database: names in lower case, without schema."""

    read_only: frozenset[str] = frozenset()  # no function of the name may write
    overloaded: frozenset[str] = frozenset()  # the database has a function of its own that may write
    is_loaded: bool = True  # False until the server has answered: then every function may be one of its own
    loaded_at: float = 0.0  # time.monotonic()


_NOT_LOADED = Catalog(is_loaded=False)
_catalogs: dict[str, Catalog] = {}  # by owner


def may_write(statement: Statement, alias: str) -> bool:
    """Return True if the server of the alias may write when it runs the statement. No query."""
    if statement.changes or not (statement.calls or statement.built_in):
        return bool(statement.changes)
    catalog = _catalogs.get(alias) or _catalog_of(replicated_by(alias) or alias)
    shadowed: Collection[str] = catalog.overloaded
    if not catalog.is_loaded:
        shadowed = statement.built_in
    elif shadowed:
        shadowed = catalog.overloaded.intersection(statement.built_in)
    if not (statement.calls or shadowed):
        return False
    unknown = {*shadowed, *statement.calls} - catalog.read_only
    return bool(unknown) and not conf.read_only_functions.issuperset(unknown)


def read_catalog(cursor: Any, vendor: str) -> Catalog:
    """Return the catalog of the database behind a driver's cursor. One query."""
    cursor.execute(_QUERIES[vendor])
    rows = [(name.lower(), is_read_only, is_overloaded) for name, is_read_only, is_overloaded in cursor.fetchall()]
    return Catalog(
        read_only=frozenset(name for name, is_read_only, _ in rows if is_read_only),
        overloaded=frozenset(name for name, _, is_overloaded in rows if is_overloaded),
    )


def known_catalog(alias: str) -> Catalog:
    """Return the catalog of the owner, also before its server has answered."""
    return _catalog_of(alias)


def cache_catalog(alias: str, catalog: Catalog) -> None:
    """Replace the catalog of the alias."""
    _catalogs[alias] = catalog


class VolatilityLoader:
    """Load the catalog of an owner again and again: a new version of a function may write."""

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self._vendor = connections[alias].vendor
        self._next_load_at = 0.0 if self._vendor in _QUERIES else inf

    def __call__(self, cursor: Any) -> str:
        """Load the functions if they are due. The empty result says that the probed server has no fault."""
        if time.monotonic() >= self._next_load_at:
            loaded_at = time.monotonic()
            cache_catalog(self._alias, read_catalog(cursor, self._vendor)._replace(loaded_at=loaded_at))
            self._next_load_at = loaded_at + _RELOAD_INTERVAL_SECONDS
        return ""


def _catalog_of(owner: str) -> Catalog:
    """Return the owner's catalog, also before the server has answered. On SQLite a program makes the functions."""
    if owner not in _catalogs:
        _catalogs[owner] = _NOT_LOADED if connections[owner].vendor in _QUERIES else Catalog()
    return _catalogs[owner]
