"""No query joins the databases of a reference; prefetches, related managers and `attach()` read each side."""

from collections.abc import Callable
from typing import Any

import django
import pytest
from django.db.models import Count, Exists, F, FilteredRelation, OuterRef, Prefetch, Q
from tests.support.referring import Author, Book, Page

from accounts.models import User
from analytics.models import AnalyticsEvent
from switchyard.crossdb import CrossDatabaseIn, CrossDatabaseJoinError, attach
from switchyard.routing.errors import CrossOwnerQueryError
from switchyard.testing import assert_queries

pytestmark = pytest.mark.django_db(databases=["default", "replica", "analytics"], transaction=True)

type Rows = dict[str, Any]

JOINS: dict[str, Callable[[], Any]] = {
    "select_related": lambda: list(Book.objects.select_related("author")),
    "select_related of NULL": lambda: list(Book.objects.select_related("editor")),
    "select_related over a foreign key": lambda: list(Page.objects.select_related("book__author")),
    "filter": lambda: list(Book.objects.filter(author__name="ada")),
    "filter of the key's own lookups": lambda: list(Book.objects.filter(author__name__in=["ada"])),
    "exclude": lambda: list(Book.objects.exclude(author__name="ada")),
    "or": lambda: list(Book.objects.filter(Q(author__name="ada") | Q(title="Logic"))),
    "order by a column": lambda: list(Book.objects.order_by("author__name")),
    "order by the order of the parent": lambda: list(Book.objects.order_by("author")),
    "values": lambda: list(Book.objects.values("author__name")),
    "values_list": lambda: list(Book.objects.values_list("title", "editor__name")),
    "annotation": lambda: list(Book.objects.annotate(name=F("author__name"))),
    "aggregate": lambda: Book.objects.aggregate(Count("author__name")),
    "groups": lambda: list(Book.objects.values("title").annotate(Count("author__edited_book"))),
    "only": lambda: list(Book.objects.select_related("author").only("author__name")),
    "count": lambda: Book.objects.filter(author__name="ada").count(),
    "exists": lambda: Book.objects.filter(author__name="ada").exists(),
    "update": lambda: Book.objects.filter(author__name="ada").update(title="x"),
    "delete": lambda: Book.objects.filter(author__name="ada").delete(),
    "dates": lambda: list(AnalyticsEvent.objects.dates("user__date_joined", "day")),
    "distinct": lambda: list(Book.objects.values("author__name").distinct()),
    "over a foreign key": lambda: list(Page.objects.filter(book__author__name="ada")),
    "reverse filter": lambda: list(Author.objects.filter(books__title="Engine")),
    "reverse filter by query name": lambda: list(Author.objects.filter(edited_book__title="Engine")),
    "reverse filter by rows": lambda: list(Author.objects.filter(books__in=[1])),
    "reverse exclude": lambda: list(Author.objects.exclude(books__title="Engine")),
    "reverse isnull": lambda: list(Author.objects.filter(books__isnull=True)),
    "reverse count": lambda: list(Author.objects.annotate(Count("books"))),
    "reverse order": lambda: list(Author.objects.order_by("books__title")),
    "filtered relation": lambda: list(
        Author.objects.annotate(engines=FilteredRelation("books", condition=Q(books__title="Engine"))).filter(
            engines__isnull=False
        )
    ),
    "service": lambda: list(AnalyticsEvent.objects.filter(user__username="ada")),
    "service reverse": lambda: list(User.objects.filter(analyticsevent__kind="login")),
}


@pytest.mark.parametrize("name", JOINS)
def test_join__refused(name: str, tables: None) -> None:
    """A query over columns of both sides raises the error before SQL, with the names of both sides and the remedies."""
    with assert_queries(), pytest.raises(CrossDatabaseJoinError) as raised:
        JOINS[name]()

    message = str(raised.value)
    assert " leads to accounts." in message
    assert "prefetch_related('" in message
    assert "CrossDatabaseIn('" in message


def test_join__error() -> None:
    """The error names the reference, its parent and what to write."""
    with pytest.raises(CrossDatabaseJoinError) as raised:
        list(AnalyticsEvent.objects.filter(user__username="ada"))

    assert str(raised.value) == (
        "analytics.AnalyticsEvent.user leads to accounts.User, which is on another database, and no query can join"
        " the two. Use prefetch_related('user') or attach() in place of select_related('user'), and"
        " filter(user__in=User.objects.filter(...)) in place of a filter that names a column of the other side. From"
        " the other side use CrossDatabaseIn('pk', AnalyticsEvent.objects.filter(...).values('user')). Order by"
        " 'user_id'."
    )


def test_join__remedies(rows: Rows) -> None:
    """What the error says gives the rows: by the parents of children, and by the children of parents."""
    of_ada = Book.objects.filter(author__in=Author.objects.filter(name="ada"))
    engineers = Author.objects.filter(CrossDatabaseIn("pk", Book.objects.filter(title="Engine").values("author")))

    assert of_ada.count() == 3
    assert [author.name for author in engineers] == ["ada"]


def test_exists__over_both_databases(tables: None) -> None:
    """A subquery that names the outer row is no join: the guard refuses it where it knows both tables."""
    with assert_queries(), pytest.raises(CrossOwnerQueryError):
        list(User.objects.filter(Exists(AnalyticsEvent.objects.filter(user=OuterRef("pk")))))


@pytest.mark.filterwarnings("ignore:Calling select_related")
def test_select_related__without_names(rows: Rows) -> None:
    """It follows the foreign keys of the same owner, and leaves references out."""
    Page.objects.create(book=rows["Engine"])

    with assert_queries(analytics=1):
        (page,) = Page.objects.select_related()
        assert page.book.title == "Engine"
    with assert_queries(replica=1):
        assert page.book.author.name == "ada"


def test_select_related__of_the_same_owner_by_name(rows: Rows) -> None:
    """A foreign key beside the reference is joined."""
    Page.objects.create(book=rows["Engine"])

    with assert_queries(analytics=1):
        assert [page.book.title for page in Page.objects.select_related("book")] == ["Engine"]


def test_prefetch__forward(rows: Rows) -> None:
    """All parents of a page of children come by one query for each reference."""
    with assert_queries(analytics=1, replica=2):
        books = Book.objects.order_by("title").prefetch_related("author", "editor")
        names = [(book.author.name, book.editor and book.editor.name) for book in books]

    assert names == [("ada", "bob"), ("ada", "ada"), ("bob", None), ("ada", None)]


def test_prefetch__reverse(rows: Rows) -> None:
    """All children of a page of parents come by one query."""
    with assert_queries(analytics=1, replica=1):
        authors = Author.objects.prefetch_related("books")
        found = {author.name: sorted(book.title for book in author.books.all()) for author in authors}

    assert found == {"ada": ["Engine", "Letters", "Notes"], "bob": ["Logic"]}


def test_prefetch__there_and_back(rows: Rows) -> None:
    """A prefetch goes on over references and foreign keys."""
    Page.objects.create(book=rows["Engine"])

    with assert_queries(analytics=2, replica=1):
        (page,) = Page.objects.prefetch_related("book__author")
        assert page.book.author.name == "ada"
    with assert_queries(analytics=2, replica=1):
        ada = Author.objects.prefetch_related("books__pages").get(name="ada")
        assert sum(len(book.pages.all()) for book in ada.books.all()) == 1


def test_prefetch__with_a_queryset(rows: Rows) -> None:
    """A Prefetch object names the rows, the alias and the attribute."""
    logic = Prefetch("books", Book.objects.filter(title="Logic"), to_attr="logic")
    on_owner = Prefetch("author", Author.objects.using("default").only("name"))

    with assert_queries(analytics=1, replica=1):
        assert [len(author.logic) for author in Author.objects.prefetch_related(logic)] == [0, 1]
    with assert_queries(analytics=1, default=1):
        assert {book.author.name for book in Book.objects.prefetch_related(on_owner)} == {"ada", "bob"}


def test_prefetch__of_a_deleted_parent(rows: Rows) -> None:
    """Where the field takes NULL a missing parent is None, otherwise it raises DoesNotExist, both without a query."""
    Author.objects.filter(name="ada").delete()
    book = Book.objects.prefetch_related("author", "editor").get(title="Letters")

    with assert_queries():
        assert book.editor is None
        with pytest.raises(Author.DoesNotExist):
            _ = book.author


@pytest.mark.skipif(django.VERSION < (6, 1), reason="Django 6.1 has fetch modes")
def test_fetch_mode__peers(rows: Rows) -> None:
    """The first parent that is read brings the parents of all children."""
    books = list(Book.objects.fetch_mode(django.db.models.FETCH_PEERS))

    with assert_queries(replica=1):
        assert len({book.author.name for book in books}) == 2


def test_related_manager__reads(rows: Rows) -> None:
    """The children of a parent are read on their own owner."""
    with assert_queries(analytics=4):
        assert rows["ada"].books.count() == 3
        assert rows["ada"].books.filter(title="Notes").get().editor is None
        assert [book.title for book in rows["bob"].edited.all()] == ["Engine"]
        assert rows["bob"].books.exists()
    assert rows["ada"].books.first().author is rows["ada"]


def test_related_manager__create(rows: Rows) -> None:
    """A child is created for the parent, also for a parent that came from the replica."""
    bob = Author.objects.using("replica").get(name="bob")

    with assert_queries(analytics=1):
        bob.books.create(title="New")
    with assert_queries(analytics=3):
        assert bob.books.get_or_create(title="New")[1] is False
        assert bob.books.update_or_create(title="New", defaults={"editor": bob})[1] is False

    assert Book.objects.get(title="New").editor == bob


def test_related_manager__add(rows: Rows) -> None:
    """Children get another parent by one update."""
    with assert_queries(analytics=1):
        rows["bob"].books.add(rows["Engine"], rows["Notes"])

    assert rows["bob"].books.count() == 3


def test_related_manager__add_one_by_one(rows: Rows) -> None:
    """With `bulk=False` each child is saved, also a new one."""
    rows["bob"].books.add(Book(title="New"), bulk=False)

    assert set(rows["bob"].books.values_list("title", flat=True)) == {"Logic", "New"}


@pytest.mark.parametrize("bulk", [True, False])
def test_related_manager__remove_and_clear(rows: Rows, bulk: bool) -> None:
    """Children lose a parent that may be NULL, and not another child's."""
    rows["bob"].edited.remove(rows["Engine"], bulk=bulk)
    rows["ada"].edited.clear(bulk=bulk)

    assert not Book.objects.exclude(editor=None).exists()
    with pytest.raises(Author.DoesNotExist, match="not related"):
        rows["bob"].edited.remove(rows["Letters"])


def test_related_manager__set(rows: Rows) -> None:
    """The children become these and no others."""
    rows["bob"].edited.set([rows["Notes"], rows["Logic"]])

    assert set(rows["bob"].edited.values_list("title", flat=True)) == {"Notes", "Logic"}


def test_related_manager__without_null(rows: Rows) -> None:
    """A reference that takes no NULL has no `remove()`, as any foreign key."""
    assert not hasattr(rows["ada"].books, "remove")
    assert not hasattr(rows["ada"].books, "clear")


def test_attach__of_a_reference(rows: Rows) -> None:
    """Each child comes with its parents, and `attach()` names the reference as the keyword."""
    with assert_queries(analytics=1, replica=2):
        books = list(attach(Book.objects.order_by("title"), author=Author.objects.all(), editor=Author.objects.all()))

    with assert_queries():
        assert [(book.author.name, book.editor and book.editor.name) for book in books] == [
            ("ada", "bob"),
            ("ada", "ada"),
            ("bob", None),
            ("ada", None),
        ]


def test_attach__of_tuples(rows: Rows) -> None:
    """Tuples get one more element; the key may have the name of the reference or of its column."""
    names = Author.objects.values_list("name", flat=True)

    for column in ("author", "author_id"):
        keys = Book.objects.order_by("title").values_list("title", column)
        assert next(iter(attach(keys, author=names))) == ("Engine", rows["ada"].pk, "ada")


def test_raw__with_prefetch(rows: Rows) -> None:
    """Rows of raw SQL are prefetched as well."""
    books = Book.objects.raw("SELECT * FROM test_book WHERE title = 'Logic'").prefetch_related("author")

    with assert_queries(analytics=1, replica=1):
        assert [book.author.name for book in books] == ["bob"]
