"""How replicas are judged: by threads that may hang, over connections that no wrapper sees."""

import logging
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest
from django.db import connections
from django.db.migrations.loader import MigrationLoader

from switchyard.routing import replicas
from switchyard.routing.replicas import Prober, Question, is_fit, judge, missing_migrations


@pytest.fixture
def hanging() -> Iterator[tuple[str, socket.socket]]:
    """Return an alias whose server accepts connections and never says a word, and the server."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        connections.settings["hanging"] = {
            **connections.settings["default"],
            "ENGINE": "django.db.backends.postgresql",
            "NAME": "x",
            "HOST": "127.0.0.1",
            "PORT": str(server.getsockname()[1]),
            "USER": "x",
            "OPTIONS": {"pool": True},
        }
        yield "hanging", server
        del connections.settings["hanging"]
        replicas._unfit.pop("hanging", None)


def test_is_fit__a_replica_that_was_never_asked() -> None:
    """It is fit, so that commands read it."""
    assert is_fit("replica")


def test_prober__a_server_that_hangs(
    hanging: tuple[str, socket.socket], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The deadline judges it while the question still waits; the change is logged once, with its reason."""
    alias, server = hanging
    monkeypatch.setattr(replicas, "DEADLINE", 0.0)
    prober = Prober(alias)
    asking = threading.Thread(target=prober.ask)
    asking.start()
    held, _ = server.accept()  # the question is on its way, and nobody answers it
    with held, caplog.at_level(logging.INFO, "switchyard.routing.replicas"):
        judge([prober])
        judge([prober])
        assert not is_fit(alias)
    asking.join()

    assert caplog.messages == [
        "Replica 'hanging' is unfit (no answer within 0 s): its reads go to another or to the owner."
    ]


def test_prober__a_server_that_refuses(hanging: tuple[str, socket.socket], caplog: pytest.LogCaptureFixture) -> None:
    """It is unfit by the error's class, without a host's name; once it is fit again that is logged, too."""
    alias, server = hanging
    server.close()
    prober = Prober(alias)
    prober.ask()
    with caplog.at_level(logging.INFO, "switchyard.routing.replicas"):
        judge([prober])
        assert not is_fit(alias)
        prober._answer = None
        judge([prober])
        assert is_fit(alias)

    assert "Replica 'hanging' is unfit (OperationalError when asked)" in caplog.messages[0]
    assert caplog.messages[1:] == ["Replica 'hanging' is fit again."]


def test_question__leaves_the_threads_own_connection_alone(hanging: tuple[str, socket.socket]) -> None:
    """The prober asks outside Django's connections: none is opened, and no pool is made."""
    alias, server = hanging
    server.close()

    assert Question(alias).ask() == "OperationalError when asked"
    assert connections[alias].connection is None
    assert alias not in connections[alias]._connection_pools  # type: ignore[attr-defined]  # PostgreSQL's


def test_question__owner_that_does_not_migrate() -> None:
    """A replica of an owner without migrations is not asked for a table that nobody makes."""
    question = Question("replica")
    question.vendor = "mysql"
    with closing(sqlite3.connect(":memory:")) as empty:
        with pytest.raises(sqlite3.OperationalError, match="no such table: django_migrations"):
            question._ask(empty)
        question.owner = "of no app"

        assert question._ask(empty) is None


def test_watch__embedded_databases() -> None:
    """A SQLite file is no server that could be away: no thread is started for it, and a second call changes nothing."""
    before = threading.active_count()
    replicas.watch()
    replicas.watch()

    assert threading.active_count() == before
    assert not replicas.is_watched("replica")


def test_missing_migrations__a_fresh_replica() -> None:
    """All of the owner's are missing, and none of another owner's."""
    missing = missing_migrations("default", set())

    assert ("accounts", "0001_initial") in missing
    assert {"analytics", "reporting", "legacy"}.isdisjoint(app for app, _ in missing)


def test_missing_migrations__a_replica_ahead_of_the_code() -> None:
    """Nothing is missing where more is applied than lies on disk."""
    applied = set(MigrationLoader(None, ignore_no_migrations=True).disk_migrations) | {("accounts", "9999_later")}

    assert missing_migrations("default", applied) == []
    assert missing_migrations("default", applied - {("accounts", "0001_initial")}) == [("accounts", "0001_initial")]
