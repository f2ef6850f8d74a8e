"""How many queries each alias sees."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from django.db import connections

from switchyard.sql.classifier import classify, statement_text


@contextmanager
def assert_queries(**expected: int) -> Iterator[None]:
    """Assert the number of queries of the block on each alias, as in `assert_queries(default=1, replica=2)`.

    An alias that is not named must see none. Transaction statements are left out: whether `atomic()` makes a
    savepoint depends on the test. Give a name that is no Python name by `**{"my-alias": 1}`.
    """
    seen: dict[str, list[str]] = {alias: [] for alias in connections}
    unknown = expected.keys() - seen.keys()
    if unknown:
        raise ValueError(f"assert_queries() names no alias: {', '.join(sorted(unknown))}. Aliases: {', '.join(seen)}.")

    def count(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
        connection = context["connection"]
        text = statement_text(sql, connection)
        if classify(text, connection.vendor).operation != "tx":
            seen[connection.alias].append(text)
        return execute(sql, params, many, context)

    with ExitStack() as stack:
        for alias in seen:
            stack.enter_context(connections[alias].execute_wrapper(count))
        yield
    counted = {alias: len(queries) for alias, queries in seen.items() if queries}
    if counted != {alias: number for alias, number in expected.items() if number}:
        lines = [f"  {alias}: {query}" for alias, queries in seen.items() for query in queries]
        raise AssertionError("\n".join([f"Expected queries {expected}, got {counted}.", *lines]))
