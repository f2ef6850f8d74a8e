"""The settings for the server behind a pooler."""

from typing import Any

import pytest
from django.db import connections

from switchyard.routing.topology.direct import direct_settings, has_shared_session, past_pooler

DIRECT = {"HOST": "server", "OPTIONS": {"connect_timeout": 5}}
POOLED = {"HOST": "pooler", "PORT": "6432", "DISABLE_SERVER_SIDE_CURSORS": True, "OPTIONS": {}, "DIRECT": DIRECT}


def test_direct_settings__behind_a_pooler() -> None:
    """The keys of DIRECT replace those of the entry, and the session is the program's own."""
    direct = direct_settings(POOLED)

    assert direct == {
        "HOST": "server",
        "PORT": "6432",
        "DISABLE_SERVER_SIDE_CURSORS": False,
        "OPTIONS": {"connect_timeout": 5},
        "DIRECT": {},
    }
    assert (has_shared_session(POOLED), has_shared_session(direct)) == (True, False)


def test_direct_settings__without_a_pooler() -> None:
    """The settings are the same."""
    settings = {"HOST": "server", "OPTIONS": {}}

    assert direct_settings(settings) == settings


@pytest.mark.parametrize("direct", [{}, {"NAME": "direct"}])
def test_past_pooler(direct: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection has the settings of its server in the block; it is closed around the block where they differ."""
    connection = connections.create_connection("analytics")
    closed: list[str] = []
    monkeypatch.setattr(connection, "close", lambda: closed.append(connection.settings_dict["NAME"]))
    before = connection.settings_dict = {**connection.settings_dict, "NAME": "pooled", "DIRECT": direct}
    with past_pooler(connection):
        inside = connection.settings_dict["NAME"]

    assert inside == direct.get("NAME", "pooled")
    assert connection.settings_dict is before
    assert closed == (["pooled", "direct"] if direct else [])
