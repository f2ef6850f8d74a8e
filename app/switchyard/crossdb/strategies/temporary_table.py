"""All keys in a temporary table of the outer alias, for a query that cannot be divided: its memory does not grow.

The statements for the table are sent on the driver's connection. They change no row of an owner: no guard refuses them,
no later read waits for them, and no metric counts them.
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
from switchyard.routing.guards.guard import check_statement
from switchyard.sql import statements_of


def _copy(cursor: Any, table: str, keys: list[Any]) -> None:
    with cursor.copy(f"COPY {table} FROM STDIN") as copy:
        copy.write("".join(f"{key}\n" for key in keys))


def _insert(cursor: Any, table: str, keys: list[Any]) -> None:
    cursor.executemany(f"INSERT IGNORE INTO {table} VALUES (%s)", [(key,) for key in keys])


def _insert_into_sqlite(cursor: Any, table: str, keys: list[Any]) -> None:
    cursor.executemany(f"INSERT OR IGNORE INTO {table} VALUES (?)", [(key,) for key in keys])


@dataclass(frozen=True)
class _Vendor:
    """How a vendor makes the table, and takes keys into it."""

    create: str
    insert: Callable[[Any, str, list[Any]], None]
    after: tuple[str, ...] = ()  # statements after the last key


_VENDORS: Mapping[str, _Vendor] = {
    "postgresql": _Vendor("CREATE TEMPORARY TABLE {} (k {})", _copy, ("CREATE INDEX ON {} (k)", "ANALYZE {}")),
    "mysql": _Vendor("CREATE TEMPORARY TABLE {} (k {} PRIMARY KEY) ENGINE = InnoDB", _insert),
    "sqlite": _Vendor("CREATE TEMPORARY TABLE {} (k {} PRIMARY KEY)", _insert_into_sqlite),
}
_numbers = count(1)  # a query may have several tables, and an outer query may wait


def fits(alias: str, condition: CrossDatabaseIn) -> bool:
    """Return True if a temporary table of such keys may be made on the alias: an owner that this block may write."""
    vendor = connections[alias].vendor
    text = _VENDORS[vendor].create.format("switchyard_keys", "bigint")
    is_allowed = check_statement(alias, statements_of(vendor)[text], text) is None
    return is_allowed and key_type(condition.lhs.output_field) in EXACT


@contextmanager
def held(alias: str, condition: CrossDatabaseIn, chunks: Iterable[list[Any]]) -> Generator[Fragment | None]:
    """Hold the keys in a table while the block runs, in one transaction; yield its fragment.

    Yields None, and takes no keys, if the server refuses the table: the role may have no right to it.
    """
    connection = connections[alias]
    vendor, table = _VENDORS[connection.vendor], f"switchyard_keys_{next(_numbers)}"
    field = key_field(condition.lhs.output_field)
    with transaction.atomic(using=alias):
        try:
            with transaction.atomic(using=alias), _driver_cursor(connection) as cursor:
                cursor.execute(vendor.create.format(table, _column_type(field, connection)))
        except DatabaseError:
            yield None
            return
        with _driver_cursor(connection) as cursor:
            for keys in chunks:
                vendor.insert(cursor, table, prepared_keys(keys, connection, field))
            for statement in vendor.after:
                cursor.execute(statement.format(table))
        yield _fragment(condition, table)
        with _driver_cursor(connection) as cursor:
            cursor.execute(f"DROP {'TEMPORARY ' if connection.vendor == 'mysql' else ''}TABLE {table}")


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


@contextmanager
def _driver_cursor(connection: Any) -> Generator[Any]:
    with connection.wrap_database_errors, closing(connection.connection.cursor()) as cursor:
        yield cursor
