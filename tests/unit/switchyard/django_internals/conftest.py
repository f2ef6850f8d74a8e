"""A connection of Django's own class, which no hook of Switchyard has changed before it opens."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.db.backends.sqlite3.base import DatabaseWrapper as SQLiteWrapper
from pytest_django.plugin import DjangoDbBlocker
from tests.support.noting import file_in, noting


@pytest.fixture
def scratch(django_db_blocker: DjangoDbBlocker, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Return a function that makes the connection `scratch`, which notes the calls of these methods."""

    def make(*names: str) -> Any:
        connection = noting(SQLiteWrapper, *names)(file_in(tmp_path), "scratch")
        connection.noted = []
        connections["scratch"] = connection
        made_here.append(connection)
        return connection

    made_here: list[Any] = []

    with django_db_blocker.unblock():
        yield make
        for connection in made_here:
            connection.close()
            del connections["scratch"]
