"""Whether the server may write when it runs a statement: what a position is taken for. What is refused is guard.py's.

A function counts as harmless if `sql_functions.HARMLESS` has it, the alias' own server says so or the setting names
it. All others may write. MySQL's servers are not asked: nothing there holds a function to what it declares.
"""

import time
from collections.abc import Iterable
from math import inf
from typing import Any

from django.db import connections

from switchyard.conf import conf
from switchyard.sql.classifier import Statement

# One schema's overload may be harmless and another's not, and a call does not say which it means. An aggregate is
# never volatile itself; the functions that it runs may be.
_NOT_VOLATILE = """
    SELECT lower(p.proname::text) FROM pg_catalog.pg_proc p
    LEFT JOIN pg_catalog.pg_aggregate a ON a.aggfnoid = p.oid
    LEFT JOIN pg_catalog.pg_proc f ON f.provolatile = 'v' AND f.oid IN
        (a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggmtransfn, a.aggminvtransfn, a.aggmfinalfn)
    GROUP BY 1 HAVING bool_and(p.provolatile <> 'v' AND f.oid IS NULL)
"""
_EVERY = 60.0  # seconds
_loaded: dict[str, frozenset[str]] = {}


def may_write(statement: Statement, alias: str) -> bool:
    """Tell whether the alias' server may write when it runs the statement."""
    if statement.changes is not None:
        return statement.changes
    unknown = set(statement.calls) - _loaded.get(alias, frozenset())
    return bool(unknown) and not conf.read_only_functions.issuperset(unknown)


def read_only_functions_of(cursor: Any) -> frozenset[str]:
    """Return the functions that a PostgreSQL database calls stable or immutable, under whatever schema."""
    cursor.execute(_NOT_VOLATILE)
    return frozenset(name for (name,) in cursor.fetchall())


def cache_read_only_functions(alias: str, names: Iterable[str]) -> None:
    """Take these for the functions that are harmless on the alias, in place of those loaded before."""
    _loaded[alias] = frozenset(names)


class VolatilityLoader:
    """Asks an owner for its harmless functions now and then: a function may be replaced by one that writes."""

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self._again_at = 0.0 if connections[alias].vendor == "postgresql" else inf

    def __call__(self, cursor: Any) -> str:
        """Load them where it is time to; nothing can be wrong with that."""
        if time.monotonic() >= self._again_at:
            cache_read_only_functions(self._alias, read_only_functions_of(cursor))
            self._again_at = time.monotonic() + _EVERY
        return ""
