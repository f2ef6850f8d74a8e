"""The way past a pooler: the settings for a connection to the server of an alias itself.

`DATABASES[alias]["DIRECT"]` has the keys that differ from the entry, such as HOST and PORT. The monitor and `migrate`
use them: a pooler that gives each transaction another session keeps no lock of a session, and may lead anywhere.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

DIRECT = "DIRECT"
# Key in the settings of a replica behind a pooler: the pooler leads to several servers, whatever the monitor has seen.
SHARED = "SHARED"


def has_shared_session(settings: Mapping[str, Any]) -> bool:
    """Return True behind a pooler that gives each transaction another session. Django's setting for it says so."""
    return bool(settings.get("DISABLE_SERVER_SIDE_CURSORS"))


def direct_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of an alias for its server itself; the same settings for an alias without `DIRECT`."""
    if not settings.get(DIRECT):
        return dict(settings)
    return {**settings, "DISABLE_SERVER_SIDE_CURSORS": False, **settings[DIRECT], DIRECT: {}}


@contextmanager
def past_pooler(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Let the connection lead to the server itself in this block. It is closed before and after the block."""
    if not connection.settings_dict.get(DIRECT):
        yield
        return
    with other_settings(connection, direct_settings(connection.settings_dict)):
        yield


@contextmanager
def other_settings(connection: BaseDatabaseWrapper, settings: dict[str, Any]) -> Iterator[None]:
    """Give the connection these settings in this block. The drivers read them when they connect, so it is closed."""
    before = connection.settings_dict
    connection.close()
    connection.settings_dict = settings
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict = before
