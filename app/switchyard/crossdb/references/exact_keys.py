"""The parents' keys that children hold, equal only if all their characters are: no collation decides. No query."""

from collections.abc import Collection
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BinaryField, Func, QuerySet
from django.db.models.sql.compiler import SQLCompiler

from switchyard.crossdb.key_list import KeyList
from switchyard.crossdb.key_types import KeyType, key_type
from switchyard.crossdb.references.registry import Reference


class TextBytes(Func):
    """The bytes of a text in UTF-8. Each server compares and orders them in the same way; no index helps."""

    template = "CAST(%(expressions)s AS BLOB)"
    output_field = BinaryField()

    def as_postgresql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> Any:
        """Compile for PostgreSQL."""
        return self.as_sql(compiler, connection, template="convert_to(%(expressions)s, 'UTF8')")

    def as_mysql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> Any:
        """Compile for MySQL and MariaDB."""
        return self.as_sql(compiler, connection, template="CAST(CONVERT(%(expressions)s USING utf8mb4) AS BINARY)")


def has_text_key(reference: Reference) -> bool:
    """Return True if a collation may take different keys of the children for equal."""
    return key_type(reference.field) is KeyType.TEXT


def children_of(reference: Reference, keys: Collection[Any]) -> QuerySet[Any, Any]:
    """Return the children with exactly these keys."""
    found_by_index = reference.children().filter(KeyList(reference.field.attname, keys))
    return with_exact_keys(found_by_index, reference, keys)


def with_exact_keys(children: QuerySet[Any, Any], reference: Reference, keys: Collection[Any]) -> QuerySet[Any, Any]:
    """Leave out children whose key a collation takes for equal to one of these keys."""
    if not has_text_key(reference):
        return children
    return children.filter(KeyList(TextBytes(reference.field.attname), [key.encode() for key in keys]))
