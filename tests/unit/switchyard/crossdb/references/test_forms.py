"""Forms and formsets offer the parents of their owner, and refuse keys of no parent."""

from typing import Any

import pytest
from django.forms import ModelChoiceField, inlineformset_factory, modelform_factory, modelformset_factory
from tests.support.referring import Author, Book

from switchyard.testing import assert_queries

pytestmark = pytest.mark.django_db(databases=["default", "replica", "analytics"], transaction=True)

type Rows = dict[str, Any]

BookForm: Any = modelform_factory(Book, fields=["title", "author", "editor"])


def test_form__choices(rows: Rows) -> None:
    """The field offers all parents, read from where their model is read, in their own order."""
    field = BookForm().fields["author"]

    assert isinstance(field, ModelChoiceField)
    with assert_queries(replica=1):
        assert [label for _, label in field.choices][1:] == ["ada", "bob"]


def test_form__valid(rows: Rows) -> None:
    """A parent is found by its key, once for the field and once for the model, and the child is stored."""
    form = BookForm({"title": "New", "author": rows["bob"].pk, "editor": ""})

    with assert_queries(replica=2):
        assert form.is_valid(), form.errors
    with assert_queries(analytics=1):
        book = form.save()

    assert (book.author, book.editor) == (rows["bob"], None)


def test_form__missing_parent(rows: Rows) -> None:
    """A key without a row is no choice, and a deleted parent of a child that is edited is none either."""
    created = BookForm({"title": "New", "author": 404})
    Author.objects.filter(name="ada").delete()
    edited = BookForm({"title": "Changed", "author": rows["Engine"].author_id}, instance=rows["Engine"])

    for form in (created, edited):
        assert form.errors["author"] == [
            "Select a valid choice. That choice is not one of the available choices.",
        ]


def test_form__initial(rows: Rows) -> None:
    """The form of a child shows its parent's key without a query, and knows which field was changed."""
    book = Book.objects.get(title="Engine")
    form = BookForm({"title": "Engine", "author": rows["bob"].pk, "editor": rows["bob"].pk}, instance=book)

    with assert_queries():
        assert form.initial["author"] == rows["ada"].pk
    assert form.changed_data == ["author"]


def test_form__limited_choices(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    """`limit_choices_to` filters the parents on their own side."""
    monkeypatch.setattr(Book._meta.get_field("author").remote_field, "limit_choices_to", {"name__startswith": "b"})

    form = modelform_factory(Book, fields=["author"])()  # type: ignore[var-annotated]

    assert [label for _, label in form.fields["author"].choices][1:] == ["bob"]


def test_formset__of_children(rows: Rows) -> None:
    """A formset changes, adds and deletes children."""
    make: Any = modelformset_factory(Book, fields=["title", "author"], extra=1, can_delete=True)
    engine, logic = rows["Engine"], rows["Logic"]
    formset = make(
        {
            "form-TOTAL_FORMS": 3,
            "form-INITIAL_FORMS": 2,
            "form-0-id": engine.pk,
            "form-0-title": "Engine",
            "form-0-author": rows["bob"].pk,
            "form-1-id": logic.pk,
            "form-1-title": "Logic",
            "form-1-author": rows["bob"].pk,
            "form-1-DELETE": "on",
            "form-2-title": "New",
            "form-2-author": rows["ada"].pk,
        },
        queryset=Book.objects.filter(pk__in=[engine.pk, logic.pk]).order_by("pk"),
    )

    assert formset.is_valid(), formset.errors
    formset.save()

    assert dict(Book.objects.values_list("title", "author")) == {
        "Engine": rows["bob"].pk,
        "Notes": rows["ada"].pk,
        "Letters": rows["ada"].pk,
        "New": rows["ada"].pk,
    }


def test_inline_formset__of_a_parent(rows: Rows) -> None:
    """The formset of a parent shows its children, and gives a new child the parent."""
    make: Any = inlineformset_factory(Author, Book, fk_name="author", fields=["title"], extra=1)
    data = {
        "books-TOTAL_FORMS": 2,
        "books-INITIAL_FORMS": 1,
        "books-0-id": rows["Logic"].pk,
        "books-0-author": rows["bob"].pk,
        "books-0-title": "Logic 2",
        "books-1-author": rows["bob"].pk,
        "books-1-title": "New",
    }
    formset = make(data, instance=rows["bob"])

    assert formset.is_valid(), formset.errors
    formset.save()

    assert set(rows["bob"].books.values_list("title", flat=True)) == {"Logic 2", "New"}
