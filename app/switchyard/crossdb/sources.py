"""Read the keys of a source in bounded memory: as a stream, by pages, or those among a list of candidates.

Each function is a generator of lists of at most CHUNK_SIZE keys. Keys are distinct, and in order, where `is_ordered()`
says so. NULL is left out.
"""

import pickle
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import islice
from tempfile import TemporaryFile
from typing import Any

from django.db import connections
from django.db.models import QuerySet

from switchyard.crossdb.columns import columns_of
from switchyard.crossdb.execution import has_conditions
from switchyard.crossdb.key_list import KeyList
from switchyard.crossdb.key_types import KeyType, key_type, source_field
from switchyard.crossdb.reading_ahead import read_ahead, reads_one_cursor

CHUNK_SIZE = 10_000  # keys


def is_fixed(source: QuerySet[Any, Any]) -> bool:
    """Return True if one more condition, or another order, would change which keys the source has."""
    query = source.query
    return bool(query.is_sliced or query.combinator or query.distinct_fields)


def is_ordered(source: QuerySet[Any, Any]) -> bool:
    """Return True if the keys of the source can be read in order and distinct."""
    # The collation of the source would take keys for equal that the target distinguishes.
    return not is_fixed(source) and key_type(source_field(source)) is not KeyType.TEXT


def stream(source: QuerySet[Any, Any], *, descending: bool = False) -> Iterator[list[Any]]:
    """Yield all keys by one query, which stays open on its connection until the last key."""
    rows = _prepared(source, descending=descending)
    rows = rows.using(rows.db)  # asked once: each question is a decision of the routers
    connection = connections[rows.db]
    keys = _unbuffered(rows, connection) if connection.vendor == "mysql" else rows.iterator(CHUNK_SIZE)
    chunks = _in_chunks(keys if is_ordered(source) else _distinct(keys))
    return read_ahead(chunks, CHUNK_SIZE, lambda: reads_one_cursor(rows))


def spooled(chunks: Iterable[list[Any]]) -> Iterator[list[Any]]:
    """Yield the chunks from a temporary file, after the last one was read: no query is open while the caller works."""
    with TemporaryFile() as file:
        for chunk in chunks:
            pickle.dump(chunk, file, pickle.HIGHEST_PROTOCOL)
        end = file.tell()
        file.seek(0)
        while file.tell() < end:
            yield pickle.load(file)  # noqa: S301 - this process has written it


def pages(source: QuerySet[Any, Any], *, descending: bool, first: int) -> Iterator[list[Any]]:
    """Yield keys in order by a query for each page, for a caller that needs few of them. The first has `first` keys."""
    column = column_of(source)
    ordered, size = _prepared(source, descending=descending), min(first, CHUNK_SIZE)
    rest = ordered
    while page := list(rest[:size]):
        yield page
        if len(page) < size:
            return
        rest = ordered.filter(**{f"{column}__{'lt' if descending else 'gt'}": page[-1]})
        size = min(size * 10, CHUNK_SIZE)


def present(source: QuerySet[Any, Any], candidates: list[Any]) -> set[Any]:
    """Return the candidates that are keys of the source. One query for each CHUNK_SIZE candidates."""
    rows, column = _prepared(source, ordered=False), column_of(source)
    found: set[Any] = set()
    for chunk in _in_chunks(iter(candidates)):
        found.update(rows.filter(KeyList(column, chunk)))
    return found


def _distinct(keys: Iterable[Any]) -> Iterator[Any]:
    """Yield each key once, without NULL. Such keys are never divided: their number is bounded."""
    seen = {None}
    for key in keys:
        if key not in seen:
            seen.add(key)
            yield key


def _in_chunks(keys: Iterator[Any]) -> Iterator[list[Any]]:
    return iter(lambda: list(islice(keys, CHUNK_SIZE)), [])


def column_of(source: QuerySet[Any, Any]) -> str:
    """Return the name of the queryset's only column."""
    (column,) = columns_of(source)
    return column


def _prepared(source: QuerySet[Any, Any], *, ordered: bool = True, descending: bool = False) -> QuerySet[Any, Any]:
    column = column_of(source)
    if not is_ordered(source):
        rows = source if is_fixed(source) else source.order_by()
        return rows.values_list(column, flat=True)
    rows = source.filter(**{f"{column}__isnull": False}) if _is_nullable(source) else source
    order = (f"-{column}" if descending else column,) if ordered else ()
    return rows.order_by(*order).values_list(column, flat=True).distinct()


def _is_nullable(source: QuerySet[Any, Any]) -> bool:
    return bool(getattr(source_field(source), "null", True)) or "__" in column_of(source)


def _unbuffered(rows: QuerySet[Any, Any], connection: Any) -> Iterator[Any]:
    """Yield the keys by a cursor of mysqlclient that fetches rows as they are read: Django's fetches all at once."""
    from MySQLdb.cursors import SSCursor  # noqa: PLC0415 - of this vendor only

    compiler = rows.query.get_compiler(connection.alias, connection)
    if has_conditions(compiler):
        yield from rows.iterator(CHUNK_SIZE)  # an execution, in which each of these conditions gets its plan
        return
    sql, params = compiler.as_sql()
    converters = compiler.get_converters([expression for expression, *_ in compiler.select])
    with closing(connection.cursor()) as cursor:
        cursor.cursor.cursor = connection.connection.cursor(SSCursor)
        cursor.execute(sql, params)
        fetched = iter(lambda: cursor.fetchmany(CHUNK_SIZE), ())
        values = (row for some in fetched for row in some)
        for key, *_ in compiler.apply_converters(values, converters) if converters else values:
            yield key
