"""Replicas in tests: an alias of its own on the driver connection of its owner.

Django points a `TEST: {"MIRROR": owner}` alias at the owner's test database by a connection of its own. That one sees
nothing of what a `TestCase` has not committed, and on SQLite it finds the tables locked. Here the two aliases share
the driver's connection, and everything that Django and Switchyard keep per alias stays apart.

A replica has no part in its owner's transactions, so a mirror takes none either: its BEGIN, COMMIT, ROLLBACK and
savepoints are not sent. As real savepoints they would go wrong: one alias that rolls back would undo what the other
wrote meanwhile, and two aliases that count for themselves give the same name twice, of which MySQL forgets the first.
What is left is that an error breaks a transaction of PostgreSQL, which is then the owner's: there each statement of a
mirror runs in a savepoint of its own.

What a mirror cannot show: `OPTIONS` of the replica, a snapshot of its own, and that its server refuses writes; the
guard does. A test names the owner in its `databases` as well.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import cache
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.creation import BaseDatabaseCreation
from django.db.backends.signals import connection_created
from django.db.backends.utils import debug_transaction

from switchyard.routing.monitor import monitor
from switchyard.routing.topology.ownership import replicated_by
from switchyard.routing.topology.replication import SHARES_CONNECTION_OF, replication_set
from switchyard.sql.classifier import classify, statement_text


@contextmanager
def shared_mirrors() -> Iterator[None]:
    """Let the replicas whose test databases are set up in this block share their owner's connection, in all threads.

    Nobody judges the servers any more: a test module that makes the application when it is imported, before there are
    test databases, has started that.
    """
    monitor.stop()
    create_connection = connections.create_connection
    set_as_test_mirror = BaseDatabaseCreation.set_as_test_mirror

    def create(alias: str) -> Any:
        wrapper = create_connection(alias)
        # Shared already where blocks are nested: a forked worker of tests has its parent's block around its own.
        return (
            _shared(wrapper)
            if SHARES_CONNECTION_OF in wrapper.settings_dict and not isinstance(wrapper, Mirror)
            else wrapper
        )

    def set_as_mirror(creation: BaseDatabaseCreation, primary_settings: Any) -> None:
        set_as_test_mirror(creation, primary_settings)
        alias = creation.connection.alias
        if is_mirror(alias):
            _make_anew(alias)
            owner = connections.settings[alias][SHARES_CONNECTION_OF] = connections.settings[alias]["TEST"]["MIRROR"]
            replication_set(owner).detect_shared_storage()

    connections.create_connection = create  # type: ignore[method-assign]
    BaseDatabaseCreation.set_as_test_mirror = set_as_mirror  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        BaseDatabaseCreation.set_as_test_mirror = set_as_test_mirror  # type: ignore[method-assign]
        if connections.create_connection is create:  # else it is called by what came later, and does nothing more
            connections.create_connection = create_connection  # type: ignore[method-assign]
        for alias in connections:
            if (owner := connections.settings[alias].pop(SHARES_CONNECTION_OF, None)) is not None:
                _make_anew(alias)
                replication_set(owner).detect_shared_storage()


def is_mirror(alias: str) -> bool:
    """Tell whether the alias is a replica that tests are to read from its owner's database."""
    return replicated_by(alias) is not None and bool(connections.settings[alias]["TEST"]["MIRROR"])


def _make_anew(alias: str) -> None:
    connections[alias].close()
    del connections[alias]


def _shared(wrapper: BaseDatabaseWrapper) -> BaseDatabaseWrapper:
    wrapper.__class__ = _mirror_class(type(wrapper))  # type: ignore[arg-type]
    # Made just now, so ahead of what a test adds, and behind the guard, which puts itself first.
    wrapper.execute_wrappers.append(_apart)
    return wrapper


@cache
def _mirror_class(backend: type[BaseDatabaseWrapper]) -> type[BaseDatabaseWrapper]:
    return type(f"Mirror{backend.__name__}", (Mirror, backend), {})


class Mirror(BaseDatabaseWrapper):
    """What a backend's wrapper does differently when the driver's connection belongs to another alias."""

    @property
    def shares_connection_of(self) -> str:
        """The alias whose driver connection this one uses."""
        alias: str = self.settings_dict[SHARES_CONNECTION_OF]
        return alias

    def ensure_connection(self) -> None:
        owner = connections[self.shares_connection_of]
        owner.ensure_connection()
        if self.connection is None:
            super().ensure_connection()
        elif self.connection is not owner.connection:  # the owner has reconnected
            self.connection = owner.connection
            connection_created.send(sender=type(self), connection=self)

    def get_new_connection(self, conn_params: Any) -> Any:
        return connections[self.shares_connection_of].connection

    def init_connection_state(self) -> None:
        """Leave the session as the owner has set it up."""

    def close_if_unusable_or_obsolete(self) -> None:
        """Leave the judgement to the owner: looking at a connection that it closed would open another one."""

    def close_if_health_check_failed(self) -> None:
        connections[self.shares_connection_of].close_if_health_check_failed()

    def _close(self) -> None:
        """Leave the connection open: it is the owner's."""

    def _set_autocommit(self, autocommit: bool) -> None:
        """Begin no transaction."""

    def _commit(self) -> None:
        with debug_transaction(self, "COMMIT"):  # logged as Django does, not sent
            pass

    def _rollback(self) -> None:
        with debug_transaction(self, "ROLLBACK"):
            pass

    def copy(self, alias: str | None = None) -> Any:
        """Return a wrapper with a connection of its own: nothing else is a copy made for."""
        backend: Any = next(cls for cls in type(self).__mro__ if not issubclass(cls, Mirror))
        return backend(deepcopy(self.settings_dict), alias or self.alias)

    def _cursor(self, name: str | None = None) -> Any:
        # Each alias counts its server-side cursors for itself; on one connection their names must differ.
        return super()._cursor(name and f"{name}_{self.alias}")  # type: ignore[misc]


def _apart(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
    """Run a mirror's statement so that its owner's transaction does not notice (an execute wrapper)."""
    mirror = context["connection"]
    if classify(statement_text(sql, mirror), mirror.vendor).operation == "tx":
        return None
    if mirror.vendor != "postgresql" or _is_idle(mirror.connection):
        return execute(sql, params, many, context)
    with mirror.connection.cursor() as cursor:  # the driver's own: counted nowhere
        with mirror.wrap_database_errors:
            cursor.execute("SAVEPOINT switchyard_mirror")
        try:
            return execute(sql, params, many, context)
        except BaseException:
            cursor.execute("ROLLBACK TO SAVEPOINT switchyard_mirror")
            raise
        finally:
            cursor.execute("RELEASE SAVEPOINT switchyard_mirror")


def _is_idle(connection: Any) -> bool:
    # Without autocommit the driver begins a transaction at the next statement, and it would be the owner's.
    return bool(connection.autocommit) and connection.info.transaction_status == 0
