"""Other databases behind the aliases of this process for one test, without Django's test databases."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.db import connections


@contextmanager
def connected(databases: Mapping[str, Mapping[str, Any]]) -> Iterator[None]:
    """Use these `DATABASES` in this block, and the connections from before after it.

    Connections that were opened in the block are closed at its end.
    """
    embedded = {alias: connections[alias] for alias in connections}
    settings = connections.settings
    connections.settings = connections.configure_settings({alias: dict(entry) for alias, entry in databases.items()})
    for alias in embedded:
        del connections[alias]
    try:
        yield
    finally:
        connections.close_all()
        for connection in connections.all(
            initialized_only=True
        ):  # the next block must not find connections of other aliases
            del connections[connection.alias]
        connections.settings = settings
        for alias, connection in embedded.items():
            connections[alias] = connection
