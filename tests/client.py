"""What tests of the API share: a client that holds the token, and the statements on each alias."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from django.conf import settings
from django.db import connections
from django.test import Client

TRANSACTION_CONTROL = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")


def api_client() -> Client:
    """Return a client that bears the API's token, and sees a failure as any client does: as a response."""
    return Client(headers={"Authorization": f"Bearer {settings.API_TOKEN}"}, raise_request_exception=False)


@contextmanager
def assert_queries(**expected: int) -> Iterator[None]:
    """Assert how many statements each alias sees, but for transaction control; an alias that is left out sees none."""
    seen: dict[str, list[str]] = {}

    def record(alias: str, execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if not sql.startswith(TRANSACTION_CONTROL):
            seen.setdefault(alias, []).append(sql)
        return execute(sql, *rest)

    with ExitStack() as stack:
        for alias in settings.DATABASES:
            stack.enter_context(connections[alias].execute_wrapper(partial(record, alias)))
        yield

    assert {alias: len(statements) for alias, statements in seen.items()} == expected, seen
