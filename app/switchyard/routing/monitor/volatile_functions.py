"""Whether a server may write when it runs a statement, so that the client must see the position after it.

A function counts as read-only if `switchyard.sql.function_names` lists it, if the server of the alias calls it stable
or immutable, or if SWITCHYARD["READ_ONLY_FUNCTIONS"] names it. Every other function may write. MySQL is not asked: it
does not check the declaration of a function. The refusal of statements is not in this module.
"""

import time
from collections.abc import Iterable
from math import inf
from typing import Any

from django.db import connections

from switchyard.conf import conf
from switchyard.sql import Statement

# A call may mean any overload of the name in any schema, so none of them may be volatile. PostgreSQL does not mark an
# aggregate as volatile, so the functions that the aggregate runs count.
_READ_ONLY_QUERY = """
    SELECT lower(p.proname::text) FROM pg_catalog.pg_proc p
    LEFT JOIN pg_catalog.pg_aggregate a ON a.aggfnoid = p.oid
    LEFT JOIN pg_catalog.pg_proc f ON f.provolatile = 'v' AND f.oid IN
        (a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggmtransfn, a.aggminvtransfn, a.aggmfinalfn)
    GROUP BY 1 HAVING bool_and(p.provolatile <> 'v' AND f.oid IS NULL)
"""
_RELOAD_INTERVAL_SECONDS = 60.0
_loaded: dict[str, frozenset[str]] = {}  # by alias


def may_write(statement: Statement, alias: str) -> bool:
    """Return True if the server of the alias may write when it runs the statement. No query."""
    if statement.changes is not None:
        return statement.changes
    unknown = set(statement.calls) - _loaded.get(alias, frozenset())
    return bool(unknown) and not conf.read_only_functions.issuperset(unknown)


def read_only_functions_of(cursor: Any) -> frozenset[str]:
    """Return the functions that are stable or immutable in every schema of a PostgreSQL database. One query."""
    cursor.execute(_READ_ONLY_QUERY)
    return frozenset(name for (name,) in cursor.fetchall())


def cache_read_only_functions(alias: str, names: Iterable[str]) -> None:
    """Replace the alias' read-only functions by these names: lower case, without schema."""
    _loaded[alias] = frozenset(names)


class VolatilityLoader:
    """Load the read-only functions of an owner again and again: a new version of a function may write."""

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self._next_load_at = 0.0 if connections[alias].vendor == "postgresql" else inf

    def __call__(self, cursor: Any) -> str:
        """Load the functions if they are due. The empty result says that the probed server has no fault."""
        if time.monotonic() >= self._next_load_at:
            cache_read_only_functions(self._alias, read_only_functions_of(cursor))
            self._next_load_at = time.monotonic() + _RELOAD_INTERVAL_SECONDS
        return ""
