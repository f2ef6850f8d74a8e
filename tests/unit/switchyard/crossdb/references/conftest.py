"""Authors on one database, and books that refer to them on another database."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.referring import made, stored


@pytest.fixture
def tables(db: None) -> Iterator[None]:
    """The tables of authors, books and pages."""
    with made():
        yield


@pytest.fixture
def rows(tables: None) -> dict[str, Any]:
    """Books of ada, edited by bob, by nobody and by ada, and one of bob; each row by its name."""
    return stored(Engine=("ada", "bob"), Notes=("ada", None), Letters=("ada", "ada"), Logic=("bob", None))
