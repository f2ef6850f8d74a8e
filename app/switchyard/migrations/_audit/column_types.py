"""The types of columns, as a table has them and as Django makes them, in a form that can be compared.

Each vendor has functions of its own: PostgreSQL itself reads Django's type, MySQL and MariaDB show a type in other
words than they take, and SQLite keeps only the affinity of a column.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper

type Declared = Mapping[str, str]  # column -> the type that Django gives to CREATE TABLE


class ColumnType(NamedTuple):
    """A type. Two types are the same if their keys are equal."""

    key: object
    shown: str


type Types = dict[str, ColumnType]  # by column

_DISPLAY_WIDTH = re.compile(r"\b((?:tiny|small|medium|big)?int)\(\d+\)")
_MYSQL_NAMES = {
    "bool": "tinyint(1)",
    "boolean": "tinyint(1)",
    "integer": "int",
    "numeric": "decimal",
    "double precision": "double",
    "real": "double",
}
_MARIADB_NAMES = {"json": "longtext"}
# SQLite's rules, in their order.
_AFFINITIES = {
    "integer": ("int",),
    "text": ("char", "clob", "text"),
    "blob": ("blob",),
    "real": ("real", "float", "double"),
}


def existing_types(connection: BaseDatabaseWrapper, table: str, description: Iterable[Any]) -> Types:
    """Return the types of the table's columns; empty for a vendor whose types cannot be compared. One query.

    `description` is what Django's introspection says about the table.
    """
    read = _READERS.get(connection.vendor)
    return read(connection, table, description) if read else {}


def expected_types(connection: BaseDatabaseWrapper, declared: Declared) -> Types:
    """Return the types that the columns would have in a new table. At most one query.

    Raises DatabaseError if the server does not know a type.
    """
    read = _EXPECTED.get(connection.vendor)
    return read(connection, declared) if read and declared else {}


def _postgresql_existing(connection: BaseDatabaseWrapper, table: str, description: Iterable[Any]) -> Types:
    names: dict[str, str] = dict(
        _rows(
            connection,
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = %s::regclass",
            [connection.ops.quote_name(table)],
        )
    )
    return {column.name: ColumnType(_measures(column), names[column.name]) for column in description}


def _postgresql_expected(connection: BaseDatabaseWrapper, declared: Declared) -> Types:
    """Let the server read the types: the description of this result is like that of a table with such columns."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(f'NULL::{text}' for text in declared.values())}")
        description = cursor.description
    return {
        name: ColumnType(_measures(column), text)
        for (name, text), column in zip(declared.items(), description, strict=True)
    }


def _measures(column: Any) -> tuple[Any, ...]:
    """Return the type of a column as the driver and Django's introspection describe it."""
    display_size = column.internal_size if column.display_size is None else column.display_size
    return column.type_code, display_size, column.internal_size, column.precision, column.scale


def _mysql_existing(connection: BaseDatabaseWrapper, table: str, _description: Iterable[Any]) -> Types:
    rows = _rows(
        connection,
        "SELECT column_name, column_type FROM information_schema.columns "
        "WHERE table_schema = DATABASE() AND table_name = %s",
        [table],
    )
    return {name: ColumnType(_mysql_name(connection, text), text) for name, text in rows}


def _mysql_expected(connection: BaseDatabaseWrapper, declared: Declared) -> Types:
    return {name: ColumnType(_mysql_name(connection, text), text) for name, text in declared.items()}


def _mysql_name(connection: BaseDatabaseWrapper, declared: str) -> str:
    """Return the one name of a type that has several. The widths of integers, except of booleans, mean nothing."""
    names = _MYSQL_NAMES | (_MARIADB_NAMES if connection.mysql_is_mariadb else {})  # type: ignore[attr-defined]
    text = declared.lower().replace(" auto_increment", "").replace(", ", ",").strip()
    if text != "tinyint(1)":
        text = _DISPLAY_WIDTH.sub(r"\1", text)
    word = next((word for word in sorted(names, key=len, reverse=True) if re.match(rf"{word}\b", text)), None)
    return names[word] + text[len(word) :] if word else text


def _sqlite_existing(connection: BaseDatabaseWrapper, table: str, _description: Iterable[Any]) -> Types:
    rows = _rows(connection, f"PRAGMA table_xinfo({connection.ops.quote_name(table)})", [])
    return {row[1]: ColumnType(_affinity(row[2]), row[2]) for row in rows}


def _sqlite_expected(_connection: BaseDatabaseWrapper, declared: Declared) -> Types:
    return {name: ColumnType(_affinity(text), text) for name, text in declared.items()}


def _affinity(declared: str) -> str:
    """Return the affinity of a declared type."""
    text = declared.lower()
    if not text:
        return "blob"
    return next((name for name, parts in _AFFINITIES.items() if any(part in text for part in parts)), "numeric")


def _rows(connection: BaseDatabaseWrapper, sql: str, parameters: list[str]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        rows: list[Any] = cursor.fetchall()
    return rows


_READERS: dict[str, Callable[[BaseDatabaseWrapper, str, Iterable[Any]], Types]] = {
    "postgresql": _postgresql_existing,
    "mysql": _mysql_existing,
    "sqlite": _sqlite_existing,
}
_EXPECTED: dict[str, Callable[[BaseDatabaseWrapper, Declared], Types]] = {
    "postgresql": _postgresql_expected,
    "mysql": _mysql_expected,
    "sqlite": _sqlite_expected,
}
