"""The declaration that a parent's deletions are recorded, and what Django's migrations make of it."""

from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

import pytest
from django.apps import apps as project
from django.apps.registry import Apps
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import connections, models
from django.db.migrations import AddConstraint, RemoveConstraint
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ModelState, ProjectState
from django.db.migrations.writer import MigrationWriter
from django.db.models import CASCADE, DO_NOTHING, SET_NULL
from tests.support.referring import Author, Book
from tests.support.scratch_models import scratch_model

from accounts.models import User
from switchyard.crossdb import CrossDatabaseForeignKey, RecordDeletions
from switchyard.crossdb.references.registry import references
from switchyard.crossdb.references.tombstones import Tombstone

databases = pytest.mark.django_db(databases=["default", "replica", "analytics"], transaction=True)

OF_AUTHOR = RecordDeletions(reference="analytics.Book.author", name="deletions_test_book_author_id")
OF_EDITOR = RecordDeletions(reference="analytics.Book.editor", name="deletions_test_book_editor_id")


def reference(to: str = "accounts.Parent", on_delete: Any = CASCADE, **options: Any) -> CrossDatabaseForeignKey:
    """Return a reference without a name on the other side."""
    return CrossDatabaseForeignKey(to, on_delete=on_delete, null=True, related_name="+", **options)


def state(**references_of_child: Any) -> ProjectState:
    """Return the state of a project with a parent and a child that has these references."""
    registry = Apps(["accounts", "analytics"])
    scratch_model("Parent", "accounts", registry)
    scratch_model("Child", "analytics", registry, **references_of_child)
    return ProjectState.from_apps(registry)


def changes(before: ProjectState, after: ProjectState) -> list[str]:
    """Return the operations on the parent's app that `makemigrations` finds, as texts."""
    found = MigrationAutodetector(before, after).changes(MigrationLoader(None).graph)
    return [operation.describe() for migration in found.get("accounts", []) for operation in migration.operations]


def declared(cls: type[models.Model]) -> dict[str, str]:
    """Return the names of a model's declarations by their references."""
    return {each.reference: each.name for each in cls._meta.constraints if isinstance(each, RecordDeletions)}


def test_declaration__of_two_references() -> None:
    """A parent has one declaration for each reference."""
    assert Author._meta.constraints == [OF_AUTHOR, OF_EDITOR]


def test_declaration__of_the_service() -> None:
    """The model that takes the place of Django's user has the declaration, and its migrations have the same."""
    in_migrations = MigrationLoader(None).project_state().apps.get_model("accounts", "User")

    assert declared(User) == {"analytics.AnalyticsEvent.user": "deletions_analytics_analyticsevent_user_id"}
    assert declared(in_migrations) == declared(User)


def test_declaration__of_nothing() -> None:
    """A reference with DO_NOTHING records nothing."""
    registry = Apps()
    parent = scratch_model("Parent", "accounts", registry)
    scratch_model("Child", "analytics", registry, parent=reference(on_delete=DO_NOTHING))

    assert parent._meta.constraints == []


def test_declaration__by_signals() -> None:
    """A reference that is recorded by signals says so."""
    registry = Apps()
    parent = scratch_model("Parent", "accounts", registry)
    child = scratch_model("Child", "analytics", registry, parent=reference(recorded_by="signals"))

    (found,) = parent._meta.constraints
    assert found.by == "signals"
    models.signals.post_delete.disconnect(
        sender=parent, dispatch_uid=f"switchyard.deletions.{child._meta.label}.parent"
    )


def test_declaration__of_a_proxy() -> None:
    """The rows of a proxy are those of its concrete model, which has the declaration."""
    registry = Apps()
    parent = scratch_model("Parent", "accounts", registry)
    proxy = scratch_model("Shown", "accounts", registry, parent, meta={"proxy": True})
    scratch_model("Child", "analytics", registry, parent=reference("accounts.Shown"))

    assert declared(parent) == {"analytics.Child.parent": "deletions_analytics_child_parent_id"}
    assert proxy._meta.constraints == []


def test_declaration__of_an_inherited_table() -> None:
    """A reference to a model with a table of its own is declared there, and not on the table that it inherits."""
    registry = Apps()
    parent = scratch_model("Parent", "accounts", registry)
    special = scratch_model("Special", "accounts", registry, parent)
    scratch_model("Child", "analytics", registry, parent=reference("accounts.Special"))

    assert declared(special) == {"analytics.Child.parent": "deletions_analytics_child_parent_id"}
    assert parent._meta.constraints == []


def test_declaration__of_an_abstract_child() -> None:
    """Each model that inherits the reference has a declaration of its own."""
    registry = Apps()
    parent = scratch_model("Parent", "accounts", registry)
    child = scratch_model("Child", "analytics", registry, meta={"abstract": True}, parent=reference())
    scratch_model("One", "analytics", registry, child)
    scratch_model("Two", "analytics", registry, child)

    assert list(declared(parent)) == ["analytics.One.parent", "analytics.Two.parent"]


def test_declaration__by_another_registry() -> None:
    """A model outside the parent's registry, as in a test, leaves the parent as it is."""
    before = list(User._meta.constraints)

    scratch_model("Child", "analytics", Apps(), user=reference(User))  # type: ignore[arg-type]

    assert User._meta.constraints == before
    assert [each.label for each in references()] == ["analytics.AnalyticsEvent.user"]


def test_declaration__name() -> None:
    """The name is short enough for each vendor, with the endings of triggers, and says which column it is for."""
    registry = Apps()
    parent = scratch_model("Parent", "accounts", registry)
    long = "a" * 40
    scratch_model("Child", "analytics", registry, meta={"db_table": long}, first=reference(), second=reference())

    names = list(declared(parent).values())
    assert len(set(names)) == 2
    assert all(name.startswith("deletions_aaa") and len(name) <= 50 for name in names)


CHANGES: dict[str, tuple[Callable[[], Any], Callable[[], Any], list[str]]] = {
    "added": (
        dict,
        lambda: {"parent": reference()},
        ["Create constraint deletions_analytics_child_parent_id on model parent"],
    ),
    "a second one": (
        lambda: {"parent": reference()},
        lambda: {"parent": reference(), "other": reference(on_delete=SET_NULL)},
        ["Create constraint deletions_analytics_child_other_id on model parent"],
    ),
    "removed": (
        lambda: {"parent": reference()},
        dict,
        ["Remove constraint deletions_analytics_child_parent_id from model parent"],
    ),
    "renamed": (
        lambda: {"parent": reference()},
        lambda: {"owner": reference()},
        [
            "Remove constraint deletions_analytics_child_parent_id from model parent",
            "Create constraint deletions_analytics_child_owner_id on model parent",
        ],
    ),
    "of another column": (
        lambda: {"parent": reference()},
        lambda: {"parent": reference(db_column="owner")},
        [
            "Remove constraint deletions_analytics_child_parent_id from model parent",
            "Create constraint deletions_analytics_child_owner on model parent",
        ],
    ),
    "no longer recorded": (
        lambda: {"parent": reference()},
        lambda: {"parent": reference(on_delete=DO_NOTHING)},
        ["Remove constraint deletions_analytics_child_parent_id from model parent"],
    ),
    "another rule": (lambda: {"parent": reference()}, lambda: {"parent": reference(on_delete=SET_NULL)}, []),
    "the same": (lambda: {"parent": reference()}, lambda: {"parent": reference()}, []),
}


@pytest.mark.parametrize("name", CHANGES)
def test_autodetector__of_the_parents_app(name: str) -> None:
    """`makemigrations` changes the parent's declarations with the reference, and with nothing else."""
    before, after, expected = CHANGES[name]

    assert changes(state(**before()), state(**after())) == expected


def test_declaration__written() -> None:
    """A migration has the declaration by its public name."""
    text, imports = MigrationWriter.serialize(OF_AUTHOR)

    assert imports == {"import switchyard.crossdb"}
    assert text == (
        "switchyard.crossdb.RecordDeletions(name='deletions_test_book_author_id', reference='analytics.Book.author')"
    )


def test_declaration__equality() -> None:
    """Declarations of the same arguments are equal, also a clone; another reference or way is not."""
    same = OF_AUTHOR.clone()

    assert (same, hash(same)) == (OF_AUTHOR, hash(OF_AUTHOR))
    assert OF_AUTHOR not in (
        OF_EDITOR,
        RecordDeletions(reference=OF_AUTHOR.reference, name=OF_AUTHOR.name, by="signals"),
    )
    assert OF_AUTHOR != "deletions_test_book_author_id"


def test_state__has_the_declaration_of_its_migrations() -> None:
    """A historical parent has what its migrations declare, and a historical child adds nothing."""
    loader = MigrationLoader(None)
    both = [("analytics", "0002_event_refers_to_user"), ("accounts", "0001_initial")]
    before = loader.project_state(both).apps.get_model("accounts", "User")
    after = loader.project_state([*both, ("accounts", "0002_record_deletions_for_events")])

    assert before._meta.constraints == []
    assert after.apps.get_model("accounts", "User")._meta.constraints == User._meta.constraints


def test_state__of_a_model() -> None:
    """The state of the parent has its declarations, as copies."""
    found = ModelState.from_model(Author).options["constraints"]

    assert found == [OF_AUTHOR, OF_EDITOR]
    assert found[0] is not Author._meta.constraints[0]


@databases
def test_full_clean__of_a_parent(rows: dict[str, Any]) -> None:
    """The declaration refuses no row."""
    Author(name="eve").full_clean()
    rows["ada"].validate_constraints()
    with pytest.raises(ValidationError, match="already exists"):
        Author(name="ada").full_clean()


@databases
def test_sqlmigrate__of_the_declaration() -> None:
    """The SQL of the migration is printed: the table of tombstones, and the triggers with their reference."""
    printed = StringIO()
    call_command("sqlmigrate", "accounts", "0002", no_color=True, stdout=printed)
    sql = printed.getvalue()

    assert 'CREATE TABLE IF NOT EXISTS "switchyard_tombstone"' in sql
    assert 'AFTER DELETE ON "accounts_user"' in sql
    assert "VALUES ('analytics.AnalyticsEvent.user', OLD.\"id\"" in sql
    assert sql.count("CREATE TRIGGER") == 2


@databases
def test_sqlmigrate__backwards() -> None:
    """The way back makes no trigger: SQLite drops those of the table that it copies."""
    printed = StringIO()
    call_command("sqlmigrate", "accounts", "0002", backwards=True, no_color=True, stdout=printed)

    assert 'DROP TABLE "accounts_user"' in printed.getvalue()
    assert "TRIGGER" not in printed.getvalue()


@pytest.fixture
def recorded(tables: None) -> Iterator[Callable[[], list[tuple[str, str]]]]:
    """Return a function that returns the references and keys of the tombstones of the test's models."""
    tombstones = Tombstone.objects.using("default").filter(reference__startswith="analytics.Book.")
    yield lambda: sorted(tombstones.values_list("reference", "parent_key"))
    tombstones.delete()


@databases
def test_triggers__record_each_reference(recorded: Callable[[], Any], rows: dict[str, Any]) -> None:
    """A deleted parent leaves a tombstone for each reference, a parent that stays leaves none."""
    key = str(rows["ada"].pk)

    rows["ada"].delete()

    assert recorded() == [("analytics.Book.author", key), ("analytics.Book.editor", key)]


@databases
def test_triggers__after_changes_of_the_table(recorded: Callable[[], Any], rows: dict[str, Any]) -> None:
    """The triggers are there after changes of the parent's table, which SQLite copies for them."""
    key, name = str(rows["bob"].pk), Author._meta.get_field("name")
    country, longer = models.CharField(max_length=9, db_default=""), models.CharField(max_length=30, unique=True)
    for field, field_name in ((country, "country"), (longer, "name")):
        field.set_attributes_from_name(field_name)
        field.model = Author
    with connections["default"].schema_editor() as editor:
        editor.add_field(Author, country)
        editor.alter_field(Author, name, longer)

    Author.objects.filter(name="bob").delete()

    assert recorded() == [("analytics.Book.author", key), ("analytics.Book.editor", key)]


@databases
def test_operations__of_a_migration(recorded: Callable[[], Any], rows: dict[str, Any]) -> None:
    """AddConstraint and RemoveConstraint go forwards and backwards with a historical model."""
    before, after = ProjectState.from_apps(Author._meta.apps), ProjectState.from_apps(Author._meta.apps)
    operation = RemoveConstraint("author", OF_EDITOR.name)
    operation.state_forwards("accounts", after)
    with connections["default"].schema_editor() as editor:
        operation.database_forwards("accounts", editor, before, after)
    rows["ada"].delete()
    with connections["default"].schema_editor() as editor:
        operation.database_backwards("accounts", editor, after, before)
    rows["bob"].delete()

    assert recorded() == [
        ("analytics.Book.author", "1"),
        ("analytics.Book.author", "2"),
        ("analytics.Book.editor", "2"),
    ]
    assert AddConstraint("author", OF_AUTHOR).deconstruct()[2]["constraint"] == OF_AUTHOR


def test_registry__of_the_project() -> None:
    """The references of the installed models are found, and no others."""
    (found,) = references()

    assert (found.label, found.parent, found.parent_owner, found.child_owner, found.cascades) == (
        *("analytics.AnalyticsEvent.user", User, "default", "analytics", True),
    )
    assert (found.rule, found.recorded_by) == ("CASCADE", "triggers")
    assert Book not in project.get_models()
