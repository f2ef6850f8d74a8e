"""Let a test use other databases than the settings name, without Django's test databases."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.db import connections


@contextmanager
def connected(databases: Mapping[str, Mapping[str, Any]]) -> Iterator[None]:
    """Point this process' aliases at other databases in this block."""
    embedded = {alias: connections[alias] for alias in connections}
    settings = connections.settings
    connections.settings = connections.configure_settings({alias: dict(entry) for alias, entry in databases.items()})
    for alias in embedded:
        del connections[alias]
    try:
        yield
    finally:
        connections.close_all()
        for connection in connections.all(initialized_only=True):  # those of other aliases would be taken for the next
            del connections[connection.alias]
        connections.settings = settings
        for alias, connection in embedded.items():
            connections[alias] = connection
