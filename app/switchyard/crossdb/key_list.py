"""A condition over thousands of keys that takes one parameter, where `field__in` takes one parameter for each key.

The text of the statement is the same for any number of keys, so nothing has to parse a list of placeholders. A key is
equal to a column exactly when it is for `field__in`. This module runs no query.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Expression, F, Field, IntegerField, Lookup, Value
from django.db.models.expressions import Col
from django.db.models.sql.compiler import SQLCompiler

Condition = tuple[str, list[Any]]  # SQL and its parameters

# Without length and precision: a cast to varchar(3) or numeric(5, 2) would change keys, and find rows of other keys.
# PostgreSQL uses an index of each integer type for bigint keys.
_ARRAY_TYPES = {
    **dict.fromkeys(("smallint", "integer", "bigint"), "bigint"),
    **{name: name for name in ("varchar", "text", "uuid", "date", "numeric")},
    "timestamp with time zone": "timestamptz",
}
_BIGINT = range(-(2**63), 2**63)
_UNSIGNED_BIGINT = range(2**64)


class KeyList(Lookup):
    """Match rows whose `field` is one of the keys: `field__in` with a single parameter.

    `field` is the name of a field, or an expression. NULL among the keys is ignored, and a row with NULL in the field
    does not match: `exclude()` returns it. No query.

    A Lookup, because SQLite and MySQL write other expressions as `expression = True`, which uses no index.

        >>> from switchyard.crossdb.key_list import KeyList
        >>> adas = [User.objects.create(username=name).pk for name in ("ada", "lovelace")]
        >>> [user.username for user in User.objects.using("default").filter(KeyList("id", adas)).order_by("id")]
        ['ada', 'lovelace']
    """

    def __init__(self, field: str | Expression, keys: Iterable[Any]) -> None:
        distinct = dict.fromkeys(keys)
        distinct.pop(None, None)
        # As an expression, so that Django does not take the keys for one value of the field.
        super().__init__(F(field) if isinstance(field, str) else field, Value(tuple(distinct)))

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> Any:
        """Compile for the vendor of the connection. Raises EmptyResultSet without keys, as `field__in` does."""
        column = self.lhs
        field = key_field(column.output_field)
        column_sql, column_params = compiler.compile(column)
        sql, params = key_list_sql(column_sql, connection, field, prepared_keys(self.rhs.value, connection, field))
        if not _may_be_null(column, compiler):
            return sql, [*column_params, *params]
        return f"({sql} AND {column_sql} IS NOT NULL)", [*column_params, *params, *column_params]


def key_field(field: "Field[Any, Any]") -> "Field[Any, Any]":
    """Return the field that prepares the keys: of a foreign key, the field at the end of the references."""
    while (target := getattr(field, "target_field", field)) is not field:
        field = target
    return field


def prepared_keys(keys: Iterable[Any], connection: BaseDatabaseWrapper, field: "Field[Any, Any]") -> list[Any]:
    """Return the keys as the field prepares them for this connection, without those that fit in no integer column.

    Raises what the field raises for a value that it cannot convert.
    """
    if not isinstance(field, IntegerField):
        prepared = [field.get_db_prep_value(key, connection) for key in keys]
        if connection.vendor == "postgresql":  # no text there has this character, and the driver refuses it
            prepared = [key for key in prepared if not isinstance(key, str) or "\0" not in key]
        return prepared

    prepared = list(keys)
    if not _are_all(prepared, int) or not type(field).__module__.startswith("django."):
        prepared = [field.get_db_prep_value(key, connection) for key in prepared]
        if not all(isinstance(key, int) for key in prepared):
            return prepared  # of a field that stores something else
        prepared = [*map(int, prepared)]  # without the subclasses of int that Django makes for psycopg
    fits = _UNSIGNED_BIGINT if is_unsigned(field, connection) else _BIGINT
    if prepared and (min(prepared) not in fits or max(prepared) not in fits):
        return [key for key in prepared if key in fits]
    return prepared


def key_list_sql(
    column_sql: str, connection: BaseDatabaseWrapper, field: "Field[Any, Any]", keys: list[Any]
) -> Condition:
    """Return the condition that the compiled column is one of the keys of `prepared_keys()`.

    The parameters are those of the keys only. The condition is NULL for a NULL column. Raises EmptyResultSet without
    keys.
    """
    if not keys:
        raise EmptyResultSet
    match connection.vendor:
        case "postgresql":
            condition = _array(field.db_type(connection) or "", keys)
        case "mysql":
            condition = _mysql(field, connection, keys)
        case "sqlite":
            condition = _json_each(keys)
        case _:
            condition = None
    sql, params = condition or (f"IN ({', '.join(['%s'] * len(keys))})", keys)
    return f"{column_sql} {sql}", params


def _array(column_type: str, keys: list[Any]) -> Condition | None:
    array_type = _ARRAY_TYPES.get(column_type.partition("(")[0])
    if array_type is None:
        return None
    # The driver would convert the integers one by one.
    return f"= ANY(%s::{array_type}[])", [f"{{{','.join(map(str, keys))}}}" if array_type == "bigint" else keys]


def _mysql(field: "Field[Any, Any]", connection: BaseDatabaseWrapper, keys: list[Any]) -> Condition:
    """Take a third less time with a table of integers; keep literals otherwise.

    A literal is compared by the column's collation and uses its index. A column of JSON_TABLE has a collation of its
    own, and the server refuses to compare it with a column of another one. The driver writes one list as (1, 2, 3).
    """
    if not isinstance(field, IntegerField) or not _are_all(keys, int):
        return "IN %s", [tuple(keys)]
    column = "BIGINT UNSIGNED" if is_unsigned(field, connection) else "BIGINT"
    return f"IN (SELECT k FROM JSON_TABLE(%s, '$[*]' COLUMNS (k {column} PATH '$')) AS t)", [json.dumps(keys)]


def _json_each(keys: list[Any]) -> Condition | None:
    if not _are_all(keys, int) and not _are_all(keys, str):
        return None  # JSON has no bytes, and not every float
    listed = json.dumps(keys)
    if "\\u0000" in listed:
        return None  # SQLite ends a text of JSON there
    return "IN (SELECT value FROM json_each(%s))", [listed]


def _are_all(keys: Sequence[Any], of_type: type) -> bool:
    return {*map(type, keys)} <= {of_type}


def is_unsigned(field: "Field[Any, Any]", connection: BaseDatabaseWrapper) -> bool:
    """Return True if the column of the field holds no negative keys, and larger ones than other columns."""
    return "unsigned" in (field.db_type(connection) or "") and connection.vendor == "mysql"


def _may_be_null(column: Any, compiler: SQLCompiler) -> bool:
    """Return False only for a column that is NOT NULL in the table of the query: an outer join gives NULL as well."""
    of_table = isinstance(column, Col) and column.alias == compiler.query.base_table
    return not of_table or column.target.null
