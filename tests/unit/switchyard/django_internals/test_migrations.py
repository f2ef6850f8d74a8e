"""Migrations: the commands, the loader, the recorder and the executor."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.commands import makemigrations, migrate
from django.db import connections
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.db.migrations.state import ProjectState
from tests.support.noting import StopHereError, parameters

in_testcase = pytest.mark.django_db(databases=["default"])
in_transactions = pytest.mark.django_db(databases=["default", "replica"], transaction=True)


@in_testcase
def test_migrate__executor_is_a_global(monkeypatch: pytest.MonkeyPatch) -> None:
    """`migrate` takes `MigrationExecutor` from its module and checks the history with the executor's loader."""
    checked: list[Any] = []

    class Executor(MigrationExecutor):
        def __init__(self, connection: Any, progress_callback: Any = None) -> None:
            super().__init__(connection, progress_callback)
            self.loader.check_consistent_history = self.stop  # type: ignore[method-assign]

        def stop(self, connection: Any) -> None:
            checked.append(connection)
            raise StopHereError

    monkeypatch.setattr(migrate, "MigrationExecutor", Executor)
    with pytest.raises(StopHereError):
        call_command(migrate.Command(), database="default", verbosity=0)

    assert checked == [connections["default"]]


def test_makemigrations__loader_is_a_global(monkeypatch: pytest.MonkeyPatch) -> None:
    """`makemigrations` takes `MigrationLoader` from its module and calls it without a connection."""
    calls: list[tuple[Any, ...]] = []

    def stop(*args: Any, **kwargs: Any) -> None:
        calls.append((*args, kwargs))
        raise StopHereError

    monkeypatch.setattr(makemigrations, "MigrationLoader", stop)
    with pytest.raises(StopHereError):
        call_command(makemigrations.Command(), verbosity=0)

    assert calls == [(None, {"ignore_no_migrations": True})]


@in_testcase
def test_loader__builds_its_graph_at_once() -> None:
    """A loader calls `build_graph()` when it is made, and fills these attributes; an executor makes a loader."""
    key = ("accounts", "0001_initial")
    loader: Any = type("Loader", (MigrationLoader,), {"build_graph": lambda self: setattr(self, "built", True)})(None)
    assert (loader.built, loader.connection) == (True, None)

    loader = MigrationExecutor(connections["default"]).loader
    assert type(loader) is MigrationLoader
    assert key in loader.applied_migrations
    assert key in MigrationRecorder(connections["default"]).applied_migrations()
    assert (loader.disk_migrations[key].replaces, loader.replacements) == ([], {})
    assert (MigrationLoader(None).applied_migrations, parameters(loader.check_consistent_history)) == (
        {},
        ["connection"],
    )


def test_loader__graph() -> None:
    """The graph knows the nodes, their parents, the leaves and the plans in both directions."""
    graph = MigrationLoader(None).graph
    initial, last = ("sessions", "0001_initial"), ("admin", "0003_logentry_add_action_flag_choices")
    assert graph.nodes[initial].name == "0001_initial"
    assert last in graph.leaf_nodes()
    assert [parent.key for parent in graph.node_map[last].parents] == [(last[0], "0002_logentry_remove_auto_add")]
    assert graph.forwards_plan(last)[-1] == last
    assert graph.backwards_plan(("admin", "0001_initial"))[0] == last


def test_recorder__without_a_table(scratch: Callable[..., Any]) -> None:
    """A recorder finds no migrations where the table is not there, and makes no table."""
    connection = scratch()

    assert MigrationRecorder(connection).applied_migrations() == {}
    assert connection.introspection.table_names() == []


@in_transactions
def test_executor__applies_one_at_a_time() -> None:
    """`migrate()` calls `apply_migration()` and `unapply_migration()` for each migration, with these arguments."""
    calls: list[tuple[Any, ...]] = []

    class Executor(MigrationExecutor):
        def apply_migration(self, state: Any, migration: Any, fake: bool = False, fake_initial: bool = False) -> Any:
            calls.append(("apply", migration.name, fake, fake_initial))
            return migration.mutate_state(state, preserve=False)

        def unapply_migration(self, state: Any, migration: Any, fake: bool = False) -> Any:
            calls.append(("unapply", migration.name, fake))
            return state

    executor = Executor(connections["default"], lambda *_progress: None)
    executor.migrate([("sessions", None)], fake=True)
    executor.loader.applied_migrations.pop(("sessions", "0001_initial"), None)
    executor.migrate([("sessions", "0001_initial")], fake_initial=True)

    assert calls == [("unapply", "0001_initial", True), ("apply", "0001_initial", False, True)]


def test_migration__mutates_the_state() -> None:
    """`mutate_state(preserve=False)` changes the state itself, and no database."""
    state = ProjectState()
    migration = MigrationLoader(None).disk_migrations["sessions", "0001_initial"]

    assert migration.mutate_state(state, preserve=False) is state
    assert ("sessions", "session") in state.models
