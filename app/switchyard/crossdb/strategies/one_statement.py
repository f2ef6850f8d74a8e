"""All keys are one parameter of one statement."""

from typing import Any

from switchyard.crossdb.execution import Fragment
from switchyard.crossdb.expression import CrossDatabaseIn
from switchyard.crossdb.key_list import KeyList


def fragment(condition: CrossDatabaseIn, keys: list[Any]) -> Fragment:
    """Return the fragment with these keys."""
    return KeyList(condition.lhs, keys).as_sql
