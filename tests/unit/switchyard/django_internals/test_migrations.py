"""Migrations: the commands, the loader, the recorder and the executor."""

from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.management.commands import createsuperuser
from django.contrib.auth.models import Group
from django.core.management import BaseCommand, CommandError, call_command
from django.core.management.commands import (
    dumpdata,
    flush,
    loaddata,
    makemigrations,
    migrate,
    runserver,
    showmigrations,
    sqlflush,
)
from django.db import connections
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.graph import MigrationGraph
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.migration import Migration
from django.db.migrations.recorder import MigrationRecorder
from django.db.migrations.state import ProjectState
from tests.support.noting import StopHereError, parameters

from accounts.models import User

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


@in_testcase
def test_executor__records_after_the_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration with deferred SQL is recorded outside its schema editor; constraints are unchecked before it."""
    recorded: list[bool] = []

    class Editor:
        deferred_sql = ("CREATE INDEX",)
        open = False

        def __enter__(self) -> Any:
            self.open = True
            return self

        def __exit__(self, *_error: object) -> None:
            self.open = False

    editor, connection = Editor(), connections["default"]
    executor = MigrationExecutor(connection)
    monkeypatch.setattr(connection, "schema_editor", lambda atomic: editor)
    monkeypatch.setattr(executor, "record_migration", lambda *_row: recorded.append(editor.open))
    executor.apply_migration(ProjectState(), Migration("0001_none", "accounts"))

    assert recorded == [False]
    assert connection.features.can_rollback_ddl
    assert connection.disable_constraint_checking() in {True, False}
    connection.enable_constraint_checking()


def test_recorder__keeps_any_row(scratch: Callable[..., Any]) -> None:
    """A recorder records a name that no app has, with a time, and forgets it."""
    recorder = MigrationRecorder(scratch())
    recorder.record_applied("no:app", "shop.0001_initial")
    row = recorder.applied_migrations()["no:app", "shop.0001_initial"]

    assert row.applied is not None
    recorder.record_unapplied("no:app", "shop.0001_initial")
    assert recorder.applied_migrations() == {}


@in_transactions
def test_loader__plan_and_sql() -> None:
    """A plan has migrations and directions; the loader gives the SQL of a part of it, and finds names by a prefix."""
    executor = MigrationExecutor(connections["default"])

    plan = executor.migration_plan([("sessions", None)])

    assert [(migration.name, backwards) for migration, backwards in plan] == [("0001_initial", True)]
    assert any("DROP TABLE" in line for line in executor.loader.collect_sql(plan))
    assert executor.loader.get_migration_by_prefix("admin", "0002").name == "0002_logentry_remove_auto_add"


@in_testcase
def test_loader__state_of_the_tables() -> None:
    """The loader gives the state after some migrations; a model of it knows whether the alias has its table."""
    loader = MigrationLoader(connections["default"])
    before, after = loader.project_state([("auth", "0001_initial")]), loader.project_state()

    assert ("sessions", "session") not in before.models
    assert after.apps.get_model("sessions", "Session")._meta.can_migrate(connections["default"])


@in_testcase
def test_introspection__describes_a_table() -> None:
    """The introspection lists the tables with their kinds, and the columns of a table with these attributes."""
    introspection = connections["default"].introspection
    with connections["default"].cursor() as cursor:
        kinds = {info.name: info.type for info in introspection.get_table_list(cursor)}
        columns = {column.name: column for column in introspection.get_table_description(cursor, "auth_group")}

    assert kinds["auth_group"] == "t"
    assert (columns["name"].null_ok, columns["name"].default, columns["name"].display_size) == (False, None, 150)


def test_command__runs_by_run_from_argv(monkeypatch: pytest.MonkeyPatch) -> None:
    """`run_from_argv()` ends with the code of a CommandError, and lets other errors through."""

    def run(error: Exception) -> None:
        def handle(*_args: object, **_options: object) -> None:
            raise error

        command = BaseCommand()
        monkeypatch.setattr(command, "handle", handle)
        command.run_from_argv(["manage.py", "name"])

    with pytest.raises(SystemExit, match="7"):
        run(CommandError("no", returncode=7))
    with pytest.raises(StopHereError):
        run(StopHereError())


def test_migration__mutates_the_state() -> None:
    """`mutate_state(preserve=False)` changes the state itself, and no database."""
    state = ProjectState()
    migration = MigrationLoader(None).disk_migrations["sessions", "0001_initial"]

    assert migration.mutate_state(state, preserve=False) is state
    assert ("sessions", "session") in state.models


@in_testcase
def test_command__runs_by_execute(monkeypatch: pytest.MonkeyPatch) -> None:
    """`call_command()` and the command line run every command by `execute()`, with its options as keywords."""
    calls: list[Any] = []

    def stop(command: BaseCommand, *args: Any, **options: Any) -> None:
        calls.append((type(command), args, options["database"]))
        raise StopHereError

    monkeypatch.setattr(BaseCommand, "execute", stop)
    for run in (
        lambda: call_command(dumpdata.Command(), "accounts", database="default"),
        lambda: dumpdata.Command().run_from_argv(["manage.py", "dumpdata", "accounts", "--database=default"]),
    ):
        with pytest.raises(StopHereError):
            run()

    assert calls == [(dumpdata.Command, ("accounts",), "default")] * 2


@in_testcase
def test_command__warns_by_check_migrations(monkeypatch: pytest.MonkeyPatch) -> None:
    """`runserver` and a command that requires the check call `check_migrations()`."""
    assert createsuperuser.Command.requires_migrations_checks

    def stop(_command: BaseCommand) -> None:
        raise StopHereError

    monkeypatch.setattr(BaseCommand, "check_migrations", stop)
    with pytest.raises(StopHereError):
        call_command("createsuperuser", interactive=False, username="x", email="x@example.com")
    with pytest.raises(StopHereError):
        runserver.Command().inner_run(None, use_threading=False, skip_checks=True)


@in_testcase
def test_fixtures__router_is_a_global(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`dumpdata` and `loaddata` take `router` from their module and ask it by `allow_migrate_model()`."""
    User.objects.create(username="ada")
    (tmp_path / "rows.json").write_text('[{"model": "auth.group", "pk": 1, "fields": {"name": "staff"}}]')
    asked: list[Any] = []
    refusing: Any = type("Router", (), {"allow_migrate_model": lambda _self, *args: asked.append(args)})()
    for module in (dumpdata, loaddata):
        monkeypatch.setattr(module, "router", refusing)

    dumpdata.Command(stdout=StringIO()).handle("accounts.User", **OPTIONS, primary_keys="", use_base_manager=False)
    loaddata.Command(stdout=StringIO()).handle(str(tmp_path / "rows.json"), **OPTIONS, ignore=False, app_label=None)

    assert asked == [("default", User), ("default", Group)]


OPTIONS: dict[str, Any] = {
    "format": "json",
    "indent": None,
    "database": "default",
    "exclude": [],
    "output": None,
    "traceback": True,
    "use_natural_foreign_keys": False,
    "use_natural_primary_keys": False,
    "verbosity": 0,
}


@in_testcase
@pytest.mark.parametrize("module", [flush, sqlflush])
def test_flush__sql_is_a_global(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`flush` and `sqlflush` take `sql_flush` from their module; it gets a style and a connection."""
    calls: list[Any] = []

    def sql_flush(_style: Any, connection: Any, **options: Any) -> list[str]:
        calls.append((connection.alias, sorted(options)))
        return []

    monkeypatch.setattr(module, "sql_flush", sql_flush)
    module.Command(stdout=StringIO(), stderr=StringIO()).handle(database="default", interactive=False, verbosity=0)

    assert calls == [("default", ["allow_cascade", "reset_sequences"] if module is flush else [])]


@in_testcase
def test_showmigrations__loader_is_a_global(monkeypatch: pytest.MonkeyPatch) -> None:
    """`showmigrations` takes `MigrationLoader` from its module, and lists its graph and its `migrated_apps`."""

    class Loader(MigrationLoader):
        def build_graph(self) -> None:
            super().build_graph()
            whole, self.graph = self.graph, MigrationGraph()
            for key in (("auth", "0001_initial"), ("auth", "0002_alter_permission_name_max_length")):
                self.graph.add_node(key, whole.nodes[key])
            self.graph.add_dependency(None, key, ("auth", "0001_initial"))
            self.migrated_apps = {"auth"}

    monkeypatch.setattr(showmigrations, "MigrationLoader", Loader)
    said = StringIO()
    for format_name in ("list", "plan"):
        showmigrations.Command(stdout=said, no_color=True).handle(
            verbosity=1, database="default", app_label=[], format=format_name
        )

    listed = ["0001_initial", "0002_alter_permission_name_max_length"]
    lines = ["auth", *(f" [X] {name}" for name in listed), *(f"[X]  auth.{name}" for name in listed)]

    assert said.getvalue().splitlines() == lines


def test_makemigrations__update_asks_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--update` makes a loader for the alias in the module's `DEFAULT_DB_ALIAS`."""
    calls: list[Any] = []

    def stop(connection: Any) -> None:
        calls.append(connection.alias)
        raise StopHereError

    monkeypatch.setattr(makemigrations, "MigrationLoader", stop)
    monkeypatch.setattr(makemigrations, "DEFAULT_DB_ALIAS", "legacy")
    with pytest.raises(StopHereError):
        makemigrations.Command().write_to_last_migration_files({"legacy": []})

    assert calls == ["legacy"]
