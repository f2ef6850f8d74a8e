"""All keys in a temporary table of the outer alias, for a query that cannot be divided: its memory does not grow.

The statements for the table are sent on the driver's connection. They change no row of an owner: no guard refuses them,
and no later read waits for them. The metrics count them.
"""

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

from django.db import DatabaseError, connections, transaction

from switchyard.crossdb.execution import Fragment
from switchyard.crossdb.expression import CrossDatabaseIn
from switchyard.crossdb.key_list import is_unsigned, key_field, prepared_keys
from switchyard.crossdb.key_types import EXACT, KeyType, key_type
from switchyard.routing.connections.calls import DriverCall
from switchyard.routing.guards.guard import check_statement
from switchyard.routing.monitor.waits import waits_for
from switchyard.sql import statements_of


def _copy(cursor: Any, statement: str, keys: list[Any]) -> None:
    with cursor.copy(statement) as copy:
        copy.write("".join(f"{key}\n" for key in keys))


def _insert(cursor: Any, statement: str, keys: list[Any]) -> None:
    cursor.executemany(statement, [(key,) for key in keys])


@dataclass(frozen=True)
class _Vendor:
    """How a vendor makes the table, and takes keys into it."""

    create: str
    insert: str
    send_keys: Callable[[Any, str, list[Any]], None] = _insert
    after: tuple[str, ...] = ()  # statements after the last key
    drop: str = "DROP TABLE {}"


_VENDORS: Mapping[str, _Vendor] = {
    "postgresql": _Vendor(
        "CREATE TEMPORARY TABLE {} (k {})",
        "COPY {} FROM STDIN",
        _copy,
        after=("CREATE INDEX ON {} (k)", "ANALYZE {}"),
    ),
    "mysql": _Vendor(
        "CREATE TEMPORARY TABLE {} (k {} PRIMARY KEY) ENGINE = InnoDB",
        "INSERT IGNORE INTO {} VALUES (%s)",
        drop="DROP TEMPORARY TABLE {}",
    ),
    "sqlite": _Vendor("CREATE TEMPORARY TABLE {} (k {} PRIMARY KEY)", "INSERT OR IGNORE INTO {} VALUES (?)"),
}
_NAME = "switchyard_keys"
_numbers = count(1)  # a query may have several tables, and an outer query may wait


def fits(alias: str, condition: CrossDatabaseIn) -> bool:
    """Return True if a temporary table of such keys may be made on the alias: an owner that this block may write."""
    vendor = connections[alias].vendor
    text = _VENDORS[vendor].create.format(_NAME, "bigint")
    is_allowed = check_statement(alias, statements_of(vendor)[text], text) is None
    return is_allowed and key_type(condition.lhs.output_field) in EXACT


@contextmanager
def held(alias: str, condition: CrossDatabaseIn, chunks: Iterable[list[Any]]) -> Generator[Fragment | None]:
    """Hold the keys in a table while the block runs, in one transaction; yield its fragment.

    Yields None, and takes no keys, if the server refuses the table: the role may have no right to it.
    """
    connection = connections[alias]
    vendor, table = _VENDORS[connection.vendor], f"{_NAME}_{next(_numbers)}"
    field = key_field(condition.lhs.output_field)
    with transaction.atomic(using=alias):
        try:
            with transaction.atomic(using=alias):
                _send(connection, vendor.create, table, _column_type(field, connection))
        except DatabaseError:
            yield None
            return
        for keys in chunks:
            _send(connection, vendor.insert, table, keys=prepared_keys(keys, connection, field))
        for statement in vendor.after:
            _send(connection, statement, table)
        yield _fragment(condition, table)
        _send(connection, vendor.drop, table)


def _send(connection: Any, template: str, table: str, *types: str, keys: list[Any] | None = None) -> None:
    """Send a statement for the table on the driver's connection, as a call of the alias."""
    text = template.format(_NAME, *types)  # without a number: one text for all tables
    statement, sql = statements_of(connection.vendor)[text], template.format(table, *types)
    with (
        connection.wrap_database_errors,
        closing(connection.connection.cursor()) as cursor,
        DriverCall(waits_for(connection.alias), connection.vendor, statement, text, cursor),
    ):
        if keys is None:
            cursor.execute(sql)
        else:
            _VENDORS[connection.vendor].send_keys(cursor, sql, keys)


def _fragment(condition: CrossDatabaseIn, table: str) -> Fragment:
    def render(compiler: Any, _connection: Any) -> tuple[str, Any]:
        sql, params = compiler.compile(condition.lhs)
        # EXISTS is never NULL, and uses the index where it is negated or in an OR: IN scans all keys for each row.
        return f"EXISTS (SELECT 1 FROM {table} WHERE {table}.k = {sql})", params

    return render


def _column_type(field: Any, connection: Any) -> str:
    """Return a type that holds each prepared key: a key of another table may be larger than the column."""
    if key_type(field) is not KeyType.INTEGER:
        return str(field.rel_db_type(connection))
    return "bigint unsigned" if is_unsigned(field, connection) else "bigint"
