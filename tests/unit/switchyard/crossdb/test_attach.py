"""Rows with their rows of another database."""

import datetime as dt
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from importlib import import_module
from typing import Any
from unittest import mock

import pytest
from asgiref.sync import async_to_sync
from django.apps.registry import Apps
from django.core.exceptions import FieldError
from django.db import models
from django.db.models import F, QuerySet, Value
from django.db.models.functions import Upper
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.scratch_tables import scratch_tables

from accounts.models import User
from legacy.models import Customer
from switchyard.crossdb import Keyed, aattach, attach, attachment
from switchyard.telemetry import snapshot
from switchyard.testing import assert_queries

MODULE = import_module("switchyard.crossdb.attach")
NOW = dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC)
LABELS = (("source", "analytics"), ("target", "default"), ("strategy", "attach"))
databases = pytest.mark.django_db(databases=["default", "replica", "analytics"], transaction=True)


class Visit(models.Model):
    """A row on `analytics` whose user may be unknown."""

    user_id = models.BigIntegerField(null=True)
    name = models.CharField(max_length=20, default="")

    class Meta:
        apps = Apps()
        app_label = "analytics"
        db_table = "test_visit"

    def __str__(self) -> str:
        return str(self.user_id)


class Purchase(models.Model):
    """A row on `analytics` with a foreign key to another database."""

    user = models.ForeignKey(User, models.DO_NOTHING, null=True, db_constraint=False, related_name="+")
    seller = models.ForeignKey(User, models.DO_NOTHING, db_constraint=False, related_name="+", default=0)

    class Meta:
        apps = Visit._meta.apps
        app_label = "analytics"
        db_table = "test_purchase"

    def __str__(self) -> str:
        return str(self.user_id)


@pytest.fixture
def tables(db: None) -> Iterator[None]:
    """The tables of both models."""
    with scratch_tables("analytics", (Visit, Purchase)):
        yield


@pytest.fixture
def visits(tables: None) -> QuerySet[Visit]:
    """Visits of ada, of nobody, of a deleted user, of bob and of ada, in this order."""
    User.objects.bulk_create([User(pk=1, username="ada"), User(pk=2, username="bob"), User(pk=3, username="eve")])
    Visit.objects.bulk_create([Visit(user_id=key) for key in (1, None, 404, 2, 1)])
    return Visit.objects.order_by("id")


def names() -> QuerySet[Any, Any]:
    """Return the names of users as single values."""
    return User.objects.values_list("username", flat=True)


def batches_of(size: int) -> Any:
    """Read so many rows at a time in a block."""
    return mock.patch.multiple(MODULE, ROWS_OF_VALUES=size, ROWS_OF_INSTANCES=size)


@databases
def test_attach__instances(visits: QuerySet[Visit]) -> None:
    """Each instance has its user; NULL and a deleted user are None; each side is asked once."""
    with assert_queries(analytics=1, replica=1):
        rows = list(attach(visits, user=User.objects.only("username")))

        assert [row.user and row.user.username for row in rows] == ["ada", None, None, "bob", "ada"]
    assert all(isinstance(row, Visit) for row in rows)


@databases
@pytest.mark.parametrize(
    ("users", "expected"),
    [
        (names(), [(1, "ada"), (None, None)]),
        (User.objects.values_list("username", "is_active"), [(1, ("ada", True)), (None, None)]),
        (User.objects.values_list("username", "id"), [(1, ("ada", 1)), (None, None)]),
        (User.objects.values_list("pk", flat=True), [(1, 1), (None, None)]),
        (User.objects.values("username"), [(1, {"username": "ada"}), (None, None)]),
        (User.objects.values("id", "username"), [(1, {"id": 1, "username": "ada"}), (None, None)]),
        (User.objects.values_list(Upper("username"), flat=True), [(1, "ADA"), (None, None)]),
        (User.objects.annotate(x=Value(7)).values_list("username", "x"), [(1, ("ada", 7)), (None, None)]),
        (User.objects.values_list("username").annotate(x=Value(7)), [(1, ("ada", 7)), (None, None)]),
    ],
    ids=["flat", "tuple", "with key", "only key", "dict", "dict with key", "expression", "annotation", "later"],
)
def test_attach__tuples(users: Any, expected: list[Any], visits: QuerySet[Visit]) -> None:
    """Each tuple gets one more element, in the form of the other queryset."""
    assert list(attach(visits.values_list("user_id")[:2], user=users)) == expected


@databases
def test_attach__dictionaries(visits: QuerySet[Visit]) -> None:
    """Each dictionary gets one more key, and the instance of the other queryset."""
    rows = list(attach(visits.values("user_id")[:2], user=User.objects.all()))

    assert rows == [{"user_id": 1, "user": User(pk=1)}, {"user_id": None, "user": None}]


@databases
def test_attach__all_columns(visits: QuerySet[Visit]) -> None:
    """Rows with all columns have the key, wherever it is."""
    rows = list(attach(visits.values_list()[:1], user=names()))

    assert [row[1:] for row in rows] == [(1, "", "ada")]


@databases
def test_attach__many_keywords(visits: QuerySet[Visit]) -> None:
    """Each keyword has its query, and its place in the order of the keywords."""
    with assert_queries(analytics=1, replica=2):
        rows = list(
            attach(
                visits.values_list("user_id"), user=names(), active=Keyed(User.objects.values("is_active"), "user_id")
            )
        )

    assert rows[0] == (1, "ada", {"is_active": True})
    assert rows[1] == (None, None, None)


@databases
def test_attach__other_pair(visits: QuerySet[Visit]) -> None:
    """`Keyed` names the key and the field with the same values."""
    visits.filter(user_id=404).update(name="eve")
    rows = attach(visits.values_list("name"), who=Keyed(User.objects.values_list("pk", flat=True), "name", "username"))

    assert list(rows) == [("", None), ("", None), ("eve", 3), ("", None), ("", None)]


@databases
def test_attach__key_of_another_type(visits: QuerySet[Visit]) -> None:
    """A key of another type is converted as a lookup converts it."""
    visits.filter(user_id=404).update(name="2")

    assert list(attach(visits.filter(name="2").values_list("name"), who=Keyed(names(), key="name"))) == [("2", "bob")]


@databases
def test_attach__key_of_an_annotation(visits: QuerySet[Visit]) -> None:
    """An annotation holds the key, for instances and for tuples."""
    annotated = visits.annotate(next_id=F("user_id") + 1)

    assert [row.next and row.next.pk for row in attach(annotated, next=User.objects.all())] == [2, None, None, 3, 2]
    assert next(attach(annotated.values_list("next_id"), next=names())) == (2, "bob")


@databases
def test_attach__foreign_key(tables: None) -> None:
    """The object of a foreign key is cached, also where its row is missing: its use sends no query."""
    User.objects.create(pk=1, username="ada")
    Purchase.objects.bulk_create([Purchase(user_id=key) for key in (1, None, 404)])
    rows = list(attach(Purchase.objects.order_by("id"), user=User.objects.all(), seller=User.objects.all()))

    with assert_queries():
        assert [row.user and row.user.username for row in rows] == ["ada", None, None]
        with pytest.raises(User.DoesNotExist):
            _ = rows[0].seller
    assert [row.user_id for row in rows] == [1, None, 404]


@databases
@pytest.mark.parametrize("column", ["user", "user_id"])
def test_attach__foreign_key_as_a_column(column: str, tables: None) -> None:
    """The column of a foreign key may have either name."""
    User.objects.create(pk=1, username="ada")
    Purchase.objects.create(user_id=1)

    assert list(attach(Purchase.objects.values_list(column), user=names())) == [(1, "ada")]


@databases
def test_prefetch_related__across_owners(tables: None) -> None:
    """Django's own prefetch of a foreign key to another owner asks the alias of the parent once."""
    User.objects.create(pk=1, username="ada")
    Purchase.objects.bulk_create([Purchase(user_id=key, seller_id=1) for key in (1, None, 404)])

    with assert_queries(analytics=1, replica=1):
        rows = list(Purchase.objects.order_by("id").prefetch_related("user"))
        assert [row.user and row.user.username for row in rows] == ["ada", None, None]


@databases
def test_attach__no_keys(tables: None) -> None:
    """A batch without a key costs no query on the second alias."""
    Visit.objects.create(user_id=None)

    with assert_queries(analytics=1):
        assert [row.user for row in attach(Visit.objects.all(), user=User.objects.all())] == [None]


@databases
@pytest.mark.parametrize(("kept", "queries"), [(2, 3), (100, 2)], ids=["few", "many"])
def test_attach__kept_keys(kept: int, queries: int, visits: QuerySet[Visit]) -> None:
    """A key is asked for once while it is kept, with or without a row; only so many keys are kept."""
    Visit.objects.all().delete()
    Visit.objects.bulk_create([Visit(user_id=key) for key in (1, 404, 404, 1, 2, 2, 1, 2)])

    with (
        assert_queries(analytics=1, replica=queries),
        batches_of(2),
        mock.patch.object(attachment, "MAX_KEPT_KEYS", kept),
    ):
        rows = list(attach(visits.values_list("user_id"), user=names()))

    assert [name for _, name in rows] == ["ada", None, None, "ada", "bob", "bob", "ada", "bob"]


@databases
def test_attach__using(visits: QuerySet[Visit]) -> None:
    """The alias that a queryset names is asked."""
    with assert_queries(analytics=1, default=1):
        list(attach(visits, user=User.objects.using("default")))


@databases
def test_attach__filtered_users(visits: QuerySet[Visit]) -> None:
    """A row that the other queryset leaves out is None."""
    rows = attach(visits.values_list("user_id"), user=names().exclude(username="ada"))

    assert [name for _, name in rows] == [None, None, None, "bob", None]


@databases
def test_attach__runs_when_iterated(visits: QuerySet[Visit]) -> None:
    """The call itself sends no query, and a consumer that stops early ends the reading."""
    with assert_queries(analytics=1, replica=1), batches_of(1):
        rows = attach(visits, user=User.objects.all())
        assert next(rows).user.username == "ada"
        rows.close()


@databases
def test_attach__counted(visits: QuerySet[Visit]) -> None:
    """Each call counts as one execution, with the keys that it asked for."""
    before = snapshot()

    with batches_of(2):
        list(attach(visits, user=User.objects.all()))

    added = {
        name.removeprefix("switchyard_cross_database_"): value - before[name, labels]
        for (name, labels), value in snapshot().items()
        if labels == LABELS
    }
    assert (added["queries_total"], added["keys_total"]) == (1, 3)


@databases
@pytest.mark.parametrize("size", [1, 2, 100])
def test_aattach__same_rows(size: int, visits: QuerySet[Visit]) -> None:
    """The async form yields the rows of `attach()`."""

    async def rows() -> list[Any]:
        return [row async for row in aattach(visits.values_list("user_id"), user=names())]

    with batches_of(size):
        assert async_to_sync(rows)() == list(attach(visits.values_list("user_id"), user=names()))


@databases
def test_aattach__closed(visits: QuerySet[Visit]) -> None:
    """A consumer that stops early ends the reading, and the execution counts."""
    before = snapshot()["switchyard_cross_database_queries_total", LABELS]

    async def first() -> str:
        rows = aattach(visits, user=User.objects.all())
        found = await anext(rows)
        await rows.aclose()
        return found.user.username

    assert async_to_sync(first)() == "ada"
    assert snapshot()["switchyard_cross_database_queries_total", LABELS] == before + 1


TAKEN = (
    r"The rows of analytics\.Visit have a value 'name' of their own, which attach\(\.\.\., name=\.\.\.\) would"
    r" replace\. Choose another name for the keyword: other=Keyed\(queryset, key='user_id'\)"
)
WRONG: dict[str, tuple[Any, dict[str, Any], str]] = {
    "single values": (Visit.objects.values_list("user_id", flat=True), {"user": names()}, "Leave out flat=True"),
    "named tuples": (Visit.objects.values_list("user_id", named=True), {"user": names()}, "without named=True"),
    "named tuples to attach": (
        Visit.objects.all(),
        {"user": User.objects.values_list("username", named=True)},
        "without named=True",
    ),
    "no keyword": (Visit.objects.all(), {}, "needs a keyword"),
    "no such field": (Visit.objects.all(), {"owner": User.objects.all()}, "no field 'owner_id'"),
    "no such column": (Visit.objects.values_list("name"), {"user": names()}, "Add 'user_id' to values"),
    "not unique": (Visit.objects.all(), {"user": Keyed(names(), "name", "email")}, "not a unique column"),
    "slice": (Visit.objects.all(), {"user": User.objects.all()[:5]}, "cannot take a slice"),
    "not instances": (Purchase.objects.all(), {"user": names()}, "Choose another name"),
    "another key": (Purchase.objects.all(), {"user": Keyed(User.objects.all(), "seller_id")}, "Choose another name"),
    "list of rows": ([1], {"user": names()}, r"attach\(\) needs a queryset, and got list \[1\]: give Model\.objects"),
    "manager": (Visit.objects, {"user": names()}, r"got a manager of analytics\.Visit: add \.all\(\)\.$"),
    "model": (Visit, {"user": names()}, r"got the model analytics\.Visit: add \.objects\.all\(\)\.$"),
    "list to attach": (Visit.objects.all(), {"user": [1]}, r"attach\(\.\.\., user=\.\.\.\) needs a queryset, and got"),
    "manager to attach": (Visit.objects.all(), {"user": Keyed(User.objects, "user_id")}, r"manager of accounts\.User"),
    "field of the instances": (Visit.objects.all(), {"name": Keyed(User.objects.all(), "user_id")}, TAKEN),
    "primary key": (Visit.objects.all(), {"pk": Keyed(User.objects.all(), "user_id")}, "a value 'pk' of their own"),
    "key itself": (Visit.objects.all(), {"user_id": User.objects.all()}, "have a value 'user_id' of their own"),
    "annotation": (
        Visit.objects.annotate(owner=F("user_id")),
        {"owner": Keyed(User.objects.all(), "user_id")},
        "have a value 'owner' of their own",
    ),
    "column of dictionaries": (Visit.objects.values("name", "user_id"), {"name": Keyed(names(), "user_id")}, TAKEN),
    "another model": (Purchase.objects.all(), {"user": Customer.objects.all()}, "Give a queryset of accounts.User"),
}


@pytest.mark.parametrize(("queryset", "rows", "message"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("function", [attach, aattach])
def test_attach__refused(function: Any, queryset: Any, rows: dict[str, Any], message: str) -> None:
    """The call names the mistake before any query."""
    with pytest.raises((FieldError, TypeError), match=message):
        function(queryset, **rows)


@databases
def test_attach__name_of_a_field_that_is_no_column(visits: QuerySet[Visit]) -> None:
    """Tuples, and dictionaries without a column of this name, lose nothing."""
    who = Keyed(names(), "user_id")

    assert list(attach(visits.values_list("user_id", "name")[:1], name=who)) == [(1, "", "ada")]
    assert list(attach(visits.values("user_id")[:1], name=who)) == [{"user_id": 1, "name": "ada"}]


@databases
def test_attach__reference_in_dictionaries(tables: None) -> None:
    """The row takes the place of the key of its own relation."""
    User.objects.create(pk=1, username="ada")
    Purchase.objects.create(user_id=1)

    assert list(attach(Purchase.objects.values("user"), user=names())) == [{"user": "ada"}]


@databases
def test_attach__key_without_a_common_value(visits: QuerySet[Visit]) -> None:
    """A text that is no number cannot be the key of a row with an integer: the error names both columns."""
    visits.filter(user_id=404).update(name="hello")

    with pytest.raises(FieldError) as raised:
        list(attach(visits.filter(name="hello"), twin=Keyed(User.objects.all(), "name")))

    assert str(raised.value) == (
        "attach(..., twin=...) looks for the keys of analytics.Visit.name in accounts.User.id, which is a BigAutoField"
        " and cannot have the value 'hello'. Name two columns with the same values:"
        " twin=Keyed(queryset, key='...', to='...')."
    )


@databases
def test_attach__error_of_the_program(visits: QuerySet[Visit]) -> None:
    """An error of the other queryset that is not about a key is raised as it is."""

    def from_db(*_: Any, **__: Any) -> Any:
        raise ValueError("no such user")

    with (
        mock.patch.object(User, "from_db", classmethod(from_db)),
        pytest.raises(ValueError, match=r"^no such user$"),
    ):
        list(attach(visits, user=User.objects.all()))


@databases
def test_attach__deferred_key(visits: QuerySet[Visit]) -> None:
    """Keys that would cost a query for each row are refused, on both sides."""
    with pytest.raises(FieldError, match="Add 'user_id' to only"):
        next(attach(visits.only("name"), user=User.objects.all()))
    visits.update(name="ada")
    with pytest.raises(FieldError, match="Add 'username' to only"):
        next(attach(visits, user=Keyed(User.objects.only("email"), "name", "username")))


keys = st.none() | st.integers(1, 6)
OUTER = {
    "instances": (lambda visits: visits, lambda row, name: (row.user_id, getattr(row, name))),
    "tuples": (lambda visits: visits.values_list("name", "user_id"), lambda row, name: row[1:]),
    "dictionaries": (lambda visits: visits.values("user_id"), lambda row, name: (row["user_id"], row[name])),
}
INNER = {
    "instances": (lambda users: users, lambda user: user.username),
    "tuples": (lambda users: users.values_list("username", "email"), lambda user: user[0]),
    "dictionaries": (lambda users: users.values("username"), lambda user: user["username"]),
    "single values": (lambda users: users.values_list("username", flat=True), lambda user: user),
}


@databases
@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize("outer", OUTER)
@pytest.mark.parametrize("inner", INNER)
@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    users=st.sets(st.integers(1, 6)),
    visited=st.lists(keys, max_size=12),
    sizes=st.tuples(st.integers(1, 5), st.integers(0, 6)),
)
def test_attach__same_as_a_left_join(
    outer: str, inner: str, users: set[int], visited: list[int | None], sizes: tuple[int, int]
) -> None:
    """The rows are those of a LEFT JOIN of the same rows in one database, in its order, for any size of batches."""
    User.objects.all().delete()
    Visit.objects.all().delete()
    User.objects.bulk_create([User(pk=key, username=f"user{key}") for key in users])
    Visit.objects.bulk_create([Visit(user_id=key) for key in visited])
    of_visits, value = OUTER[outer]
    of_users, name = INNER[inner]

    size, kept = sizes
    with batches_of(size), mock.patch.object(attachment, "MAX_KEPT_KEYS", kept):
        rows = [
            value(row, "user")
            for row in attach(of_visits(Visit.objects.order_by("id")), user=of_users(User.objects.all()))
        ]

    assert [(key, user if user is None else name(user)) for key, user in rows] == joined(users, visited)


def joined(users: set[int], visited: list[int | None]) -> list[tuple[int | None, str | None]]:
    """Return the key and the name in each row of the join, by SQL in a database of its own."""
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, username TEXT)")
        database.execute("CREATE TABLE visits (id INTEGER PRIMARY KEY, user_id INTEGER)")
        database.executemany("INSERT INTO users VALUES (?, ?)", [(key, f"user{key}") for key in users])
        database.executemany("INSERT INTO visits (user_id) VALUES (?)", [(key,) for key in visited])
        return database.execute(
            "SELECT user_id, username FROM visits LEFT JOIN users ON users.id = user_id ORDER BY visits.id"
        ).fetchall()
