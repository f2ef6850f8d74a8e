"""The field: its definition, and the attribute that holds the parent."""

import copy
import pickle
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import models
from django.db.migrations.writer import MigrationWriter
from django.db.models import CASCADE, DO_NOTHING, PROTECT, SET_NULL, F
from tests.support.referring import Author, Book

from accounts.models import User
from analytics.models import AnalyticsEvent
from switchyard.crossdb import CrossDatabaseForeignKey
from switchyard.routing import use_primary
from switchyard.testing import assert_queries

databases = pytest.mark.django_db(databases=["default", "replica", "analytics"], transaction=True)
author, editor = (Book._meta.get_field(name) for name in ("author", "editor"))


def test_field__is_a_relation() -> None:
    """Django takes the field for a relation from many rows to one, with a column of the parent's key."""
    assert (author.is_relation, author.many_to_one, author.related_model, author.attname) == (
        *(True, True, Author),
        "author_id",
    )
    assert author in Book._meta.fields
    assert [relation.name for relation in Author._meta.related_objects] == ["books", "edited_book"]


def test_field__has_no_constraint() -> None:
    """The database gets a column with an index, and Django does nothing when a parent is deleted."""
    assert (author.db_constraint, author.db_index, author.remote_field.on_delete) == (False, True, DO_NOTHING)
    assert (author.on_delete, editor.on_delete) == (CASCADE, SET_NULL)


ARGUMENTS: dict[str, dict[str, Any]] = {
    "cascade": {"on_delete": CASCADE},
    "set null": {"on_delete": SET_NULL, "null": True},
    "nothing": {"on_delete": DO_NOTHING},
    "without index": {"on_delete": CASCADE, "db_index": False},
    "signals": {"on_delete": CASCADE, "recorded_by": "signals"},
    "checked": {"on_delete": CASCADE, "check_on_save": True},
    "named": {"on_delete": CASCADE, "related_name": "+", "db_column": "owner", "limit_choices_to": {"is_active": True}},
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_deconstruct__gives_the_arguments(name: str) -> None:
    """A field made of the deconstructed arguments has the same, and no argument is a default."""
    field = CrossDatabaseForeignKey("accounts.User", **ARGUMENTS[name])

    _, path, args, kwargs = field.deconstruct()
    again = CrossDatabaseForeignKey(*args, **kwargs)

    assert (path, args) == ("switchyard.crossdb.CrossDatabaseForeignKey", [])
    assert kwargs == {"to": "accounts.user", **ARGUMENTS[name]}
    assert again.deconstruct()[1:] == field.deconstruct()[1:]


def test_deconstruct__of_a_swapped_model() -> None:
    """The reference to the user model is written as the setting."""
    kwargs = AnalyticsEvent._meta.get_field("user").deconstruct()[3]

    assert "settings.AUTH_USER_MODEL" in MigrationWriter.serialize(kwargs["to"])[0]


@pytest.mark.parametrize("rule", [PROTECT, models.SET_DEFAULT, models.RESTRICT, models.SET(1), "CASCADE", None])
def test_on_delete__refused(rule: Any) -> None:
    """Other rules than three are refused, and the error names the three."""
    with pytest.raises(ValueError, match="one of CASCADE, SET_NULL, DO_NOTHING"):
        CrossDatabaseForeignKey("accounts.User", on_delete=rule)


def test_recorded_by__refused() -> None:
    """Another way than the two is refused, before a migration has it."""
    with pytest.raises(ValueError, match="is 'triggers' or 'signals', not 'x'"):
        CrossDatabaseForeignKey("accounts.User", on_delete=CASCADE, recorded_by="x")  # type: ignore[arg-type]


@pytest.mark.parametrize("argument", [{"to_field": "username"}, {"db_constraint": True}, {"parent_link": True}])
def test_argument__refused(argument: dict[str, Any]) -> None:
    """Arguments that need a constraint, or another column than the key, are refused by name."""
    with pytest.raises(TypeError, match=next(iter(argument))):
        CrossDatabaseForeignKey("accounts.User", on_delete=CASCADE, **argument)


def test_check__set_null_without_null(monkeypatch: pytest.MonkeyPatch) -> None:
    """A column that takes no NULL cannot be set to NULL: Django's own error."""
    monkeypatch.setattr(editor, "null", False)

    assert [error.id for error in editor.check()] == ["fields.E320"]


@pytest.mark.parametrize("field", [author, editor], ids=str)
def test_check__right(field: Any) -> None:
    """A right definition has no message."""
    assert field.check() == []


@databases
def test_attribute__reads_the_parent_once(rows: dict[str, Any]) -> None:
    """The parent comes from its replica, by one query, and stays."""
    book = Book.objects.get(title="Engine")

    with assert_queries(replica=1):
        assert (book.author.name, book.author.name) == ("ada", "ada")
    assert book.author._state.db == "replica"


@databases
def test_attribute__inside_use_primary(rows: dict[str, Any]) -> None:
    """The parent comes from its owner, though the book comes from another alias."""
    book = Book.objects.get(title="Engine")

    with use_primary(), assert_queries(default=1):
        assert book.author.name == "ada"


@databases
def test_attribute__without_a_key(rows: dict[str, Any]) -> None:
    """NULL gives None without a query."""
    book = Book.objects.get(title="Notes")

    with assert_queries():
        assert (book.editor, book.editor_id) == (None, None)


@databases
def test_attribute__of_a_deleted_parent(rows: dict[str, Any]) -> None:
    """A key without a row raises the parent's DoesNotExist, as with any foreign key."""
    Author.objects.filter(name="ada").delete()

    with pytest.raises(Author.DoesNotExist):
        _ = Book.objects.get(title="Engine").author


@databases
def test_assignment__of_a_parent(rows: dict[str, Any]) -> None:
    """The key and the parent are set; a parent from the replica serves as well as one from the owner."""
    book, bob = rows["Engine"], Author.objects.using("replica").get(name="bob")

    book.author = bob
    book.save()

    assert (book.author_id, book.author) == (bob.pk, bob)
    assert Book.objects.get(title="Engine").author_id == bob.pk


@databases
def test_assignment__of_a_key(rows: dict[str, Any]) -> None:
    """Another key drops the parent that was read."""
    book = rows["Engine"]
    assert book.author.name == "ada"

    book.author_id = rows["bob"].pk

    assert book.author.name == "bob"


@databases
def test_assignment__of_none(rows: dict[str, Any]) -> None:
    """None sets the column to NULL."""
    book = rows["Engine"]

    book.editor = None
    book.save()

    assert Book.objects.filter(title="Engine", editor=None).exists()


@pytest.mark.parametrize("value", [1, "ada", User(pk=1)])
def test_assignment__of_another_kind(value: Any) -> None:
    """A value that is no parent is refused, and the error names the field and the model."""
    with pytest.raises(ValueError, match=r'"Book\.author" must be a "Author" instance'):
        Book(author=value)


@databases
def test_save__with_an_unsaved_parent(tables: None) -> None:
    """The parent must be saved first, as with any foreign key; afterwards its key is taken."""
    ada = Author(name="ada")
    book = Book(title="Engine", author=ada)
    with pytest.raises(ValueError, match="unsaved related object 'author'"):
        book.save()

    ada.save()
    book.save()

    assert Book.objects.get().author_id == ada.pk


def test_field__pickled() -> None:
    """A pickled field is the field of the model."""
    field = AnalyticsEvent._meta.get_field("user")

    assert pickle.loads(pickle.dumps(field)) == field


def test_field__copied() -> None:
    """A copy for another model keeps the rule, which Django's own attribute does not have."""
    assert (copy.deepcopy(author).on_delete, author.clone().on_delete) == (CASCADE, CASCADE)


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each save of a book ask for its author and its editor."""
    for field in (author, editor):
        monkeypatch.setattr(field, "check_on_save", True)


@databases
@pytest.mark.usefixtures("checked")
def test_check_on_save__existing(rows: dict[str, Any]) -> None:
    """A save asks the owner for each parent, and none for NULL."""
    with assert_queries(default=1, analytics=1):
        Book.objects.create(title="New", author=rows["ada"])
    with assert_queries(default=2, analytics=1):
        Book.objects.create(title="Newer", author=rows["ada"], editor=rows["bob"])


@databases
@pytest.mark.usefixtures("checked")
def test_check_on_save__missing(rows: dict[str, Any]) -> None:
    """A missing parent raises ValidationError for the field, and nothing is stored."""
    with pytest.raises(ValidationError) as raised:
        Book.objects.create(title="New", author_id=404)

    assert raised.value.message_dict == {"author": ["accounts.Author 404 does not exist."]}
    assert not Book.objects.filter(title="New").exists()


@databases
@pytest.mark.usefixtures("checked")
def test_check_on_save__of_other_fields(rows: dict[str, Any]) -> None:
    """A save of other fields asks for no parent."""
    book = Book.objects.get(title="Engine")

    with assert_queries(analytics=1):
        book.save(update_fields=["title"])


@databases
@pytest.mark.usefixtures("checked")
def test_check_on_save__bulk_create(rows: dict[str, Any]) -> None:
    """Each row of a bulk is asked for, and one missing parent stops the bulk."""
    with pytest.raises(ValidationError):
        Book.objects.bulk_create([Book(author=rows["ada"]), Book(author_id=404)])
    with assert_queries(default=2, analytics=1):
        Book.objects.bulk_create([Book(author=rows["ada"]), Book(author=rows["bob"])])


@databases
@pytest.mark.usefixtures("checked")
def test_check_on_save__update(rows: dict[str, Any]) -> None:
    """An update asks for the new parent once, for any number of rows; an expression names no key to ask for."""
    with assert_queries(default=1, analytics=1):
        Book.objects.update(author=rows["bob"])
    with pytest.raises(ValidationError):
        Book.objects.update(author=404)
    with assert_queries(analytics=1):
        Book.objects.update(editor=F("author"))


@databases
@pytest.mark.usefixtures("checked")
def test_check_on_save__bulk_update(rows: dict[str, Any]) -> None:
    """A bulk of updates asks for each key."""
    books = [rows["Engine"], rows["Logic"]]
    for book in books:
        book.author_id = 404

    with pytest.raises(ValidationError):
        Book.objects.bulk_update(books, ["author"])


@databases
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda event: pickle.loads(pickle.dumps(event))])
def test_instance__copied(copied: Any) -> None:
    """A copy of an instance keeps the parent that was read."""
    event = AnalyticsEvent(kind="login", user=User(pk=1, username="ada"))

    with assert_queries():
        assert (copied(event).user.username, copied(event).user_id) == ("ada", 1)


@databases
def test_full_clean__of_a_child(rows: dict[str, Any]) -> None:
    """Validation reads the parent where its model is read, and names the missing key."""
    book = Book(title="New", author=rows["ada"])
    with assert_queries(replica=1):
        book.full_clean()

    book.author_id = 404
    with pytest.raises(ValidationError, match=r"author instance with id 404 "):
        book.full_clean()


@databases
def test_refresh_from_db__drops_the_parent(rows: dict[str, Any]) -> None:
    """After another process has changed the key, the refreshed instance reads the other parent."""
    book = Book.objects.get(title="Engine")
    assert book.author.name == "ada"
    Book.objects.update(author=rows["bob"])

    book.refresh_from_db()

    assert book.author.name == "bob"
