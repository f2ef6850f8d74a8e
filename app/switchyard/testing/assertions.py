"""Assert how many queries each alias gets."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from django.db import connections

from switchyard.sql.classifier import classify, statement_text


@contextmanager
def assert_queries(**expected: int) -> Iterator[None]:
    """Assert the number of queries of the block on each alias.

    `expected` maps an alias to its number; an alias that is not named must get no query. Pass an alias that is no
    Python name as `**{"my-alias": 1}`. BEGIN, COMMIT and savepoints are not counted, because whether `atomic()` makes a
    savepoint depends on the test. Counts the queries of the calling thread.

    Raises AssertionError with the SQL of all queries if a number differs, and ValueError for an unknown alias.

    A write on the owner, and two reads on the replica:

        with assert_queries(default=1, replica=2):
            Order.objects.create(number=1)
            Order.objects.get(number=1)
            Order.objects.count()
    """
    queries: dict[str, list[str]] = {alias: [] for alias in connections}
    unknown = expected.keys() - queries.keys()
    if unknown:
        raise ValueError(
            f"assert_queries() got an unknown alias: {', '.join(sorted(unknown))}. Aliases: {', '.join(queries)}."
        )

    def record(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
        connection = context["connection"]
        text = statement_text(sql, connection)
        if classify(text, connection.vendor).operation != "tx":
            queries[connection.alias].append(text)
        return execute(sql, params, many, context)

    with ExitStack() as wrappers:
        for alias in queries:
            wrappers.enter_context(connections[alias].execute_wrapper(record))
        yield
    counted = {alias: len(texts) for alias, texts in queries.items() if texts}
    if counted != {alias: number for alias, number in expected.items() if number}:
        lines = [f"  {alias}: {text}" for alias, texts in queries.items() for text in texts]
        raise AssertionError("\n".join([f"Expected queries {expected}, got {counted}.", *lines]))
