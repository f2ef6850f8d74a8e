"""Mirrors: in tests, replicas that share the driver connection of their owner.

Django connects a `TEST: {"MIRROR": owner}` alias to the owner's test database by a second connection. The second
connection does not see the uncommitted rows of a `TestCase`, and on SQLite it finds the tables locked. Here both
aliases share one driver connection, and everything that Django and Switchyard keep for each alias stays apart.

A replica takes no part in the transactions of its owner. Therefore a mirror does not send BEGIN, COMMIT, ROLLBACK and
savepoints. Sent as savepoints they would do harm: a rollback on one alias would undo writes of the other alias, and two
aliases that number their savepoints independently give one name twice, of which MySQL forgets the first. On PostgreSQL
an error breaks the open transaction, which is the owner's; there each statement of a mirror runs in a savepoint of its
own.

A mirror has no `OPTIONS` and no snapshot of its own, and its server accepts writes; the guard refuses them. A test
names the owner in its `databases` as well.
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
    """Let the mirrors that are set up inside the block share the connection of their owner, in all threads.

    `DiscoverRunner` and the pytest fixtures use this block; a runner of your own puts it around the set-up and the
    tear-down of the test databases. Blocks may be nested. No query.

    Stops the monitor: a test module that makes the application at import time has started it on the databases outside
    the tests.

    In a runner of your own:

        with shared_mirrors():
            old_config = setup_databases(verbosity=1, interactive=False)
            ...
            teardown_databases(old_config, verbosity=1)
    """
    monitor.stop()
    create_connection = connections.create_connection
    set_as_test_mirror = BaseDatabaseCreation.set_as_test_mirror

    def create(alias: str) -> Any:
        wrapper = create_connection(alias)
        # In nested blocks the wrapper is a mirror already: a forked test worker runs inside the block of its parent.
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
        if connections.create_connection is create:  # otherwise a later replacement still calls `create`
            connections.create_connection = create_connection  # type: ignore[method-assign]
        for alias in connections:
            if (owner := connections.settings[alias].pop(SHARES_CONNECTION_OF, None)) is not None:
                _make_anew(alias)
                replication_set(owner).detect_shared_storage()


def is_mirror(alias: str) -> bool:
    """Return True if the alias is a replica that tests read from the database of its owner."""
    return replicated_by(alias) is not None and bool(connections.settings[alias]["TEST"]["MIRROR"])


def _make_anew(alias: str) -> None:
    connections[alias].close()
    del connections[alias]


def _shared(wrapper: BaseDatabaseWrapper) -> BaseDatabaseWrapper:
    wrapper.__class__ = _mirror_class(type(wrapper))  # type: ignore[arg-type]
    # The wrapper is new: wrappers of a test come after this one, and the guard puts itself first.
    wrapper.execute_wrappers.append(_apart)
    return wrapper


@cache
def _mirror_class(backend: type[BaseDatabaseWrapper]) -> type[BaseDatabaseWrapper]:
    return type(f"Mirror{backend.__name__}", (Mirror, backend), {})


class Mirror(BaseDatabaseWrapper):
    """The part of a backend's wrapper that differs when the driver connection belongs to another alias."""

    @property
    def shares_connection_of(self) -> str:
        """The alias whose driver connection this alias uses."""
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
        """Do nothing: the owner has set up the session."""

    def close_if_unusable_or_obsolete(self) -> None:
        """Do nothing: the owner decides, and a check of a connection that the owner closed would open a new one."""

    def close_if_health_check_failed(self) -> None:
        connections[self.shares_connection_of].close_if_health_check_failed()

    def _close(self) -> None:
        """Leave the connection of the owner open."""

    def _set_autocommit(self, autocommit: bool) -> None:
        """Begin no transaction."""

    def _commit(self) -> None:
        with debug_transaction(self, "COMMIT"):  # logged as Django logs it, and not sent
            pass

    def _rollback(self) -> None:
        with debug_transaction(self, "ROLLBACK"):
            pass

    def copy(self, alias: str | None = None) -> Any:
        """Return a wrapper with a connection of its own, which is the purpose of a copy."""
        backend: Any = next(cls for cls in type(self).__mro__ if not issubclass(cls, Mirror))
        return backend(deepcopy(self.settings_dict), alias or self.alias)

    def _cursor(self, name: str | None = None) -> Any:
        # Each alias numbers its server-side cursors independently; on one connection their names must differ.
        return super()._cursor(name and f"{name}_{self.alias}")  # type: ignore[misc]


def _apart(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
    """Run a statement of a mirror without an effect on the owner's transaction (an execute wrapper)."""
    mirror = context["connection"]
    if classify(statement_text(sql, mirror), mirror.vendor).operation == "tx":
        return None
    if mirror.vendor != "postgresql" or _is_idle(mirror.connection):
        return execute(sql, params, many, context)
    with mirror.connection.cursor() as cursor:  # a cursor of the driver, which is not counted
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
    # Without autocommit the next statement begins a transaction, which would be the owner's.
    return bool(connection.autocommit) and connection.info.transaction_status == 0
