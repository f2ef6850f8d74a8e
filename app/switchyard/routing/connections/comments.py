"""The comment that tells a server's log which program sent a statement, in the format of sqlcommenter.

    SELECT ... /*alias='replica',app='accounts',reason='replica',route='api%2Fusers',traceparent='00-...-01'*/

https://google.github.io/sqlcommenter/spec/: keys in order, values URL-encoded. The comment is added below the execute
wrappers, when the alias is certain, and after the statement is classified: no cache by text ever sees it.
"""

import re
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from switchyard.sql import Statement

# On SQLite nobody but the program sees a text, and sqlite3 keeps prepared statements by their texts.
_VENDORS = frozenset({"postgresql", "mysql"})
_COMMENTED = re.compile(r"/\*[^*]*\b(?:alias|app|reason|route|traceparent)='")


def takes_comment(vendor: str, statement: Statement, text: str) -> bool:
    """Return True if a comment may be added to the statement.

    MySQL keeps the text of views, triggers and routines, so no definition gets a comment. A statement keeps a comment
    of sqlcommenter's that it has.
    """
    return vendor in _VENDORS and statement.operation != "ddl" and not ("/*" in text and _COMMENTED.search(text))


def is_prepared(vendor: str, cursor: Any, options: dict[str, Any]) -> bool:
    """Return True if psycopg prepares the statement, or counts its executions until it does.

    It knows a prepared statement by its text, and each comment would make a new one.
    """
    return vendor == "postgresql" and (
        options.get("prepare") is True or cursor.connection.prepare_threshold is not None
    )


def with_comment(
    query: Any,
    text: str,
    *,
    has_parameters: bool,
    traceparent: str | None = None,
    **values: str | None,
) -> Any:
    """Return the query with a comment of these values, without those that are None.

    `text` is the text of the query, which may be bytes or an object that a driver composes. `has_parameters`: the
    driver reads the query as a format, so each `%` of the comment is doubled.
    """
    pairs = _pairs(tuple(values.items()), has_parameters)
    if traceparent:
        pairs = f"{pairs}{',' * bool(pairs)}traceparent='{traceparent}'"
    if not pairs:
        return query
    if isinstance(query, bytes):
        return _appended(query.decode("latin-1"), pairs).encode("latin-1")  # which keeps each byte
    return _appended(text, pairs)


def _appended(text: str, pairs: str) -> str:
    """Return the text with the comment at its end: before a semicolon, after which MySQL sees an empty statement."""
    text = text.rstrip()
    end = ";" * text.endswith(";")
    return f"{text.removesuffix(';')} /*{pairs}*/{end}"


@lru_cache(maxsize=1024)
def _pairs(values: tuple[tuple[str, str | None], ...], is_format: bool) -> str:
    pairs = ",".join(f"{key}='{quote(value, safe='')}'" for key, value in sorted(values) if value)
    return pairs.replace("%", "%%") if is_format else pairs
