"""Filters by a reference give the rows of a filter by the keys."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.core.exceptions import FieldError
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Value
from tests.support.referring import Author, Book, Page

from accounts.models import User
from analytics.models import AnalyticsEvent
from switchyard.crossdb import CrossDatabaseIn, explain_cross
from switchyard.routing.errors import CrossOwnerQueryError
from switchyard.testing import assert_queries

pytestmark = pytest.mark.django_db(databases=["default", "replica", "analytics"], transaction=True)

type Rows = dict[str, Any]


def titles(queryset: QuerySet[Book]) -> list[str]:
    """Return the titles of the books in their order."""
    return sorted(queryset.values_list("title", flat=True))


# Each filter, and the titles that it finds: of ada are Engine, Notes and Letters, of bob is Logic; bob edits Engine,
# ada edits Letters, and nobody edits the others.
FILTERS: dict[str, tuple[Callable[[Rows], QuerySet[Book]], list[str]]] = {
    "instance": (lambda rows: Book.objects.filter(author=rows["bob"]), ["Logic"]),
    "key": (lambda rows: Book.objects.filter(author=rows["bob"].pk), ["Logic"]),
    "column": (lambda rows: Book.objects.filter(author_id=rows["bob"].pk), ["Logic"]),
    "key by path": (lambda rows: Book.objects.filter(author__pk=rows["bob"].pk), ["Logic"]),
    "key by the parent's name": (lambda rows: Book.objects.filter(author__id=rows["bob"].pk), ["Logic"]),
    "key as a text": (lambda rows: Book.objects.filter(author=str(rows["bob"].pk)), ["Logic"]),
    "greater": (lambda rows: Book.objects.filter(author__gt=rows["ada"].pk), ["Logic"]),
    "list of instances": (
        lambda rows: Book.objects.filter(editor__in=[rows["ada"], rows["bob"]]),
        ["Engine", "Letters"],
    ),
    "list of keys": (lambda rows: Book.objects.filter(editor__in=[rows["bob"].pk, 404]), ["Engine"]),
    "empty list": (lambda rows: Book.objects.filter(author__in=[]), []),
    "null": (lambda rows: Book.objects.filter(editor=None), ["Logic", "Notes"]),
    "isnull": (lambda rows: Book.objects.filter(editor__isnull=True), ["Logic", "Notes"]),
    "not isnull": (lambda rows: Book.objects.filter(editor__isnull=False), ["Engine", "Letters"]),
    "exclude instance": (lambda rows: Book.objects.exclude(editor=rows["bob"]), ["Letters", "Logic", "Notes"]),
    "another column": (lambda rows: Book.objects.filter(author=F("editor")), ["Letters"]),
    "or": (lambda rows: Book.objects.filter(Q(author=rows["bob"]) | Q(editor=rows["bob"])), ["Engine", "Logic"]),
}


@pytest.mark.parametrize("name", FILTERS)
def test_filter__by_a_key(name: str, rows: Rows) -> None:
    """A filter by the reference reads the child's owner only, once."""
    queryset, expected = FILTERS[name]

    with assert_queries(analytics=0 if name == "empty list" else 1):
        assert titles(queryset(rows)) == expected


def ada(**using: Any) -> QuerySet[Author]:
    """Return the queryset of the author ada."""
    return Author.objects.filter(name="ada")


SOURCES: dict[str, tuple[Callable[[], QuerySet[Book]], list[str]]] = {
    "queryset": (lambda: Book.objects.filter(editor__in=ada()), ["Letters"]),
    "values of the key": (lambda: Book.objects.filter(editor__in=ada().values("pk")), ["Letters"]),
    "flat list of values": (lambda: Book.objects.filter(editor__in=ada().values_list("id", flat=True)), ["Letters"]),
    "by the column": (lambda: Book.objects.filter(editor_id__in=ada()), ["Letters"]),
    "only one column loaded": (lambda: Book.objects.filter(editor__in=ada().only("name")), ["Letters"]),
    "slice": (lambda: Book.objects.filter(author__in=Author.objects.order_by("-name")[:1]), ["Logic"]),
    "excluded": (lambda: Book.objects.exclude(editor__in=ada()), ["Engine", "Logic", "Notes"]),
    "negated": (lambda: Book.objects.filter(~Q(editor__in=ada())), ["Engine", "Logic", "Notes"]),
    "or": (lambda: Book.objects.filter(Q(editor__in=ada()) | Q(title="Logic")), ["Letters", "Logic"]),
    "and": (lambda: Book.objects.filter(Q(author__in=ada()) & Q(title__lt="F")), ["Engine"]),
    "two sources": (lambda: Book.objects.filter(author__in=ada(), editor__in=ada()), ["Letters"]),
    "none": (lambda: Book.objects.filter(author__in=Author.objects.none()), []),
    "nobody": (lambda: Book.objects.filter(author__in=Author.objects.filter(name="eve")), []),
}


@pytest.mark.parametrize("name", SOURCES)
def test_filter__by_a_queryset_of_parents(name: str, rows: Rows) -> None:
    """The keys of the queryset are read on the parents' replica, and the rows on the child's owner."""
    queryset, expected = SOURCES[name]
    found = queryset()
    sources = {"none": 0, "two sources": 2}.get(name, 1)
    targets = 0 if name in {"none", "nobody"} else 1

    with assert_queries(replica=sources, analytics=targets):
        assert titles(found) == expected


def test_filter__by_a_queryset_with_an_alias(rows: Rows) -> None:
    """`using()` of the inner queryset decides where the keys are read."""
    books = Book.objects.filter(author__in=ada().using("default"))

    with assert_queries(default=1, analytics=1):
        assert books.count() == 3


def test_filter__runs_anew(rows: Rows) -> None:
    """The keys are read when the query runs, each time."""
    books = Book.objects.filter(author__in=Author.objects.filter(name="eve"))
    with assert_queries():
        assert "keys of accounts.Author" in str(books.query)
    assert titles(books) == []

    Author.objects.filter(name="bob").update(name="eve")

    assert titles(books.all()) == ["Logic"]


def test_filter__plan(rows: Rows) -> None:
    """The condition is a CrossDatabaseIn, which explains itself."""
    plan = explain_cross(Book.objects.filter(author__in=ada()))

    assert plan.startswith("Book.author on 'analytics' among the keys Author.pk on 'replica'"), plan


def test_filter__on_the_same_owner(rows: Rows) -> None:
    """A queryset of the same owner stays Django's subquery."""
    engine = Book.objects.filter(title="Engine")
    by_the_same_author = Book.objects.filter(author__in=engine.values("author"))

    with assert_queries(analytics=1):
        assert titles(by_the_same_author) == ["Engine", "Letters", "Notes"]


def test_filter__by_a_column_of_another_type(rows: Rows) -> None:
    """Keys of another type are refused when the queryset is built."""
    with pytest.raises(FieldError, match=r"analytics\.Book\.author is compared with accounts\.Author\.name"):
        Book.objects.filter(author__in=Author.objects.values("name"))


def test_filter__by_a_column_of_another_model(rows: Rows) -> None:
    """A named column gives the keys, and not the primary key of its model."""
    User.objects.create(pk=rows["bob"].pk, username="bob")
    LogEntry.objects.bulk_create([LogEntry(user_id=rows["bob"].pk, action_flag=1) for _ in range(3)])

    with assert_queries(default=1, analytics=1):
        assert titles(Book.objects.filter(author__in=LogEntry.objects.values("user_id"))) == ["Logic"]


def test_filter__by_the_key_of_the_parent_and_a_queryset() -> None:
    """`user__pk__in` with a queryset is no lookup of the reference: the guard names the condition to use."""
    with assert_queries(), pytest.raises(CrossOwnerQueryError, match="CrossDatabaseIn"):
        list(AnalyticsEvent.objects.filter(user__pk__in=User.objects.values("pk")))


def test_filter__by_another_model(rows: Rows) -> None:
    """A queryset of another model is refused, as by any foreign key."""
    with pytest.raises(ValueError, match='Cannot use QuerySet for "User": Use a QuerySet for "Author"'):
        Book.objects.filter(author__in=User.objects.all())


def test_filter__with_outer_ref(rows: Rows) -> None:
    """No queryset of another database can refer to the outer query: Django's own error."""
    with pytest.raises(ValueError, match="outer query"):
        list(Book.objects.filter(author__in=Author.objects.filter(name=OuterRef("title"))))


def test_filter__over_a_foreign_key(rows: Rows) -> None:
    """The reference of a joined table of the same owner is filtered by keys and by querysets of parents."""
    Page.objects.bulk_create([Page(book=rows[title]) for title in ("Engine", "Logic", "Logic")])

    with assert_queries(analytics=1):
        assert Page.objects.filter(book__author=rows["bob"]).count() == 2
    with assert_queries(replica=1, analytics=1):
        assert Page.objects.filter(book__author__in=ada()).count() == 1
    with assert_queries(replica=1, analytics=1):
        assert Page.objects.exclude(book__author__in=ada()).count() == 2


def test_filter__in_a_subquery(rows: Rows) -> None:
    """A condition inside a subquery of the same owner is answered as well."""
    Page.objects.create(book=rows["Engine"])
    written = Book.objects.filter(pk=OuterRef("book"), author__in=ada())

    with assert_queries(replica=1, analytics=1):
        assert Page.objects.filter(Exists(written)).count() == 1


USES: dict[str, tuple[Callable[[QuerySet[Book]], Any], Any]] = {
    "count": (lambda books: books.count(), 3),
    "exists": (lambda books: books.exists(), True),
    "first": (lambda books: books.order_by("title").first().title, "Engine"),  # type: ignore[union-attr]
    "slice": (lambda books: [book.title for book in books.order_by("title")[1:2]], ["Letters"]),
    "values": (lambda books: list(books.order_by("title").values_list("title", "author__pk")[:1]), [("Engine", 1)]),
    "groups": (lambda books: list(books.values_list("author").annotate(Count("pk"))), [(1, 3)]),
    "update": (lambda books: books.update(editor=None), 3),
    "delete": (lambda books: books.delete()[1]["analytics.Book"], 3),
    "iterator": (lambda books: len(list(books.iterator(2))), 3),
}


@pytest.mark.parametrize("use", USES)
def test_filter__each_use(use: str, rows: Rows) -> None:
    """Each use of a filtered queryset gives what Django gives for a list of keys."""
    run, expected = USES[use]

    assert rows["ada"].pk == 1
    assert run(Book.objects.filter(author__in=ada())) == expected


def test_annotation__of_the_condition(rows: Rows) -> None:
    """The filter can stand in an aggregate."""
    found = Book.objects.aggregate(of_ada=Count("pk", filter=Q(author__in=ada())))

    assert found == {"of_ada": 3}


def test_columns__of_the_key(rows: Rows) -> None:
    """The key can be ordered, grouped, counted, selected and compared without a join."""
    with assert_queries(analytics=5):
        assert next(book.title for book in Book.objects.order_by("-author_id", "title")) == "Logic"
        assert list(Book.objects.values_list("author", flat=True).distinct().order_by("author_id")) == [1, 2]
        assert dict(Book.objects.values_list("author__id").annotate(Count("pk"))) == {1: 3, 2: 1}
        assert Book.objects.aggregate(Count("author", distinct=True)) == {"author__count": 2}
        assert titles(Book.objects.annotate(key=F("author") + Value(0)).filter(key=2)) == ["Logic"]


def test_condition__named_by_the_program(rows: Rows) -> None:
    """CrossDatabaseIn takes the name of the reference and of its column."""
    for name in ("author", "author_id"):
        assert titles(Book.objects.filter(CrossDatabaseIn(name, ada()))) == ["Engine", "Letters", "Notes"]


def test_writes__by_an_instance(rows: Rows) -> None:
    """`get_or_create()`, `update()` and `bulk_update()` take parents."""
    engine, created = Book.objects.get_or_create(author=rows["ada"], title="Engine")
    assert (engine.pk, created) == (rows["Engine"].pk, False)

    Book.objects.filter(title="Engine").update(author=rows["bob"])
    rows["Notes"].editor = rows["bob"]
    Book.objects.bulk_update([rows["Notes"]], ["editor"])

    assert titles(Book.objects.filter(author=rows["bob"])) == ["Engine", "Logic"]
    assert titles(Book.objects.filter(editor=rows["bob"])) == ["Engine", "Notes"]
