"""Which replicas are fit to be read: judged beside the decisions, by threads that ask each replica once a second.

A replica that was never asked counts as fit, so that a management command, which watches nothing, can read it.
"""

import logging
import os
import threading
import time
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from contextlib import closing
from functools import cache
from typing import Any

from django.db import connections
from django.db.migrations import Migration
from django.db.migrations.loader import MigrationLoader
from django.db.utils import load_backend

from switchyard.routing.known_tables import is_owned
from switchyard.routing.owners import owner_of_app, replicated_by

logger = logging.getLogger(__name__)

ROUND = 1.0
DEADLINE = 2.0

# The real question, per vendor; a replica says yes. What is not here is no server that could be away (SQLite).
QUESTIONS = {
    "postgresql": "SELECT pg_is_in_recovery() /* switchyard probe */",
    "mysql": "SELECT 1 /* switchyard probe */",
}
# What ends a connection that hangs. A server that is stopped holds the prober; the deadline judges it all the same.
DEADLINES: dict[str, dict[str, Any]] = {
    "postgresql": {
        "connect_timeout": 2,
        "tcp_user_timeout": 2000,
        "keepalives_idle": 1,
        "keepalives_interval": 1,
        "keepalives_count": 2,
        "application_name": "switchyard probe",
    },
    "mysql": {"connect_timeout": 2, "read_timeout": 2, "write_timeout": 2},
}

_unfit: dict[str, str] = {}
_lock = threading.Lock()
_watched_by: int | None = None


def is_fit(alias: str) -> bool:
    """Tell whether the replica may be read. No I/O."""
    return alias not in _unfit


def watch() -> None:
    """Judge the replicas from now on, in this process and those forked from it; a second call changes nothing."""
    global _watched_by  # noqa: PLW0603 - the one fact about this process
    with _lock:
        if _watched_by == os.getpid():
            return
        _watched_by = os.getpid()
    probers = [Prober(alias) for alias in connections if is_watched(alias)]
    if probers:
        for prober in probers:
            prober.start()
        threading.Thread(target=_judge_for_ever, args=(probers,), name="switchyard-replicas", daemon=True).start()


def is_watched(alias: str) -> bool:
    """Tell whether the alias is a replica on a server that can be asked."""
    return replicated_by(alias) is not None and connections[alias].vendor in QUESTIONS


class Prober(threading.Thread):
    """Ask one replica in every round, over a connection of its own. It may hang; who judges it does not."""

    def __init__(self, alias: str) -> None:
        super().__init__(name=f"switchyard-probe-{alias}", daemon=True)
        self.alias = alias
        self._question = Question(alias)
        self._asked: float | None = None
        self._answer: str | None = None

    def run(self) -> None:
        while True:
            self.ask()
            time.sleep(ROUND)

    def ask(self) -> None:
        """Ask once and keep the answer."""
        self._asked = time.monotonic()
        self._answer = self._question.ask()
        self._asked = None

    def verdict(self) -> str | None:
        """Return why the replica is unfit, None when it is fit or was not asked yet."""
        asked = self._asked
        if asked is not None and time.monotonic() - asked > DEADLINE:
            return f"no answer within {DEADLINE:g} s"
        return self._answer


def judge(probers: Iterable[Prober]) -> None:
    """Take each prober's verdict over, and log what became unfit and what became fit."""
    for prober in probers:
        alias, before, now = prober.alias, _unfit.get(prober.alias), prober.verdict()
        if now is not None:
            _unfit[alias] = now
            if before is None:
                logger.warning("Replica '%s' is unfit (%s): its reads go to another or to the owner.", alias, now)
        elif before is not None:
            del _unfit[alias]
            logger.info("Replica '%s' is fit again.", alias)


def _judge_for_ever(probers: list[Prober]) -> None:
    while True:
        judge(probers)
        time.sleep(ROUND / 4)


class Question:
    """Ask a replica whether it answers as one, and until it says so once, whether it has replayed the migrations."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.owner = replicated_by(alias) or alias
        self.vendor = connections[alias].vendor
        self._migrated = False

    def ask(self) -> str | None:
        """Return why the replica is unfit, None when it is fit."""
        try:
            with closing(own_connection(self.alias, self.vendor)) as connection:
                return self._ask(connection)
        except Exception as error:  # noqa: BLE001 - drivers raise what they like, and each means that it cannot be read
            self._migrated = False
            return f"{type(error).__name__} when asked"

    def _ask(self, connection: Any) -> str | None:
        cursor = connection.cursor()
        cursor.execute(QUESTIONS[self.vendor])
        (yes,) = cursor.fetchone()
        if not yes:
            return "is no standby, or was promoted"
        if not self._migrated and missing_migrations(self.owner, frozenset()):
            cursor.execute("SELECT app, name FROM django_migrations")
            missing = missing_migrations(self.owner, {(app, name) for app, name in cursor.fetchall()})
            if missing:
                return f"has not replayed {len(missing)} migrations"
            self._migrated = True
        return None


def own_connection(alias: str, vendor: str) -> Any:
    """Return a new driver connection: no pool's, no thread's, and known to no wrapper that judges or counts."""
    settings = connections.settings[alias]
    options = {**settings["OPTIONS"], **DEADLINES[vendor]}
    options.pop("pool", None)
    wrapper = load_backend(settings["ENGINE"]).DatabaseWrapper({**settings, "OPTIONS": options}, alias)
    return wrapper.get_new_connection(wrapper.get_connection_params())


def missing_migrations(owner: str, applied: AbstractSet[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the migrations on disk of the owner's apps that are not among the applied ones.

    A squashed migration and those it replaces stand for each other, and what is applied beyond the disk's is fine.
    """
    on_disk = {key: migration for key, migration in _on_disk().items() if owner_of_app(key[0]) == owner}
    covered = set(applied)
    for key, migration in on_disk.items():
        if key in applied:
            covered.update(migration.replaces)
        elif migration.replaces and covered.issuperset(migration.replaces):
            covered.add(key)
    return sorted(on_disk.keys() - covered)


@cache
def _on_disk() -> dict[tuple[str, str], Migration]:
    migrations = MigrationLoader(None, ignore_no_migrations=True).disk_migrations
    return {key: migration for key, migration in migrations.items() if is_owned(key[0])}


def _after_fork() -> None:
    """Watch again in a process whose parent watched: threads stay behind at a fork."""
    global _watched_by  # noqa: PLW0603 - as in watch()
    if _watched_by is not None:
        _watched_by = None
        _unfit.clear()
        watch()


os.register_at_fork(after_in_child=_after_fork)
