"""The bounds of a condition, and the columns that it refuses."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import FieldError
from django.db.models import F, OuterRef, QuerySet
from tests.support.users_with_events import FEW, MANY, named, seen, store

from accounts.models import User
from analytics.models import AnalyticsEvent
from switchyard.crossdb import CrossDatabaseIn, TooManyKeysError, planning

pytestmark = pytest.mark.usefixtures("small_chunks")
databases = pytest.mark.django_db(databases=["default", "replica", "analytics"], transaction=True)
users, events = User.objects, AnalyticsEvent.objects


@databases
def test_max_keys__exceeded() -> None:
    """More keys than `max_keys` are an error that names the source, the bound and the remedy."""
    store()

    with pytest.raises(TooManyKeysError) as raised:
        list(users.filter(seen(max_keys=6)))

    assert raised.value.bound == 6
    assert str(raised.value) == (
        "The queryset of keys of analytics.AnalyticsEvent has more than 6 keys."
        " Filter it, or raise `max_keys` of CrossDatabaseIn."
    )


@databases
@pytest.mark.parametrize(
    "run",
    [
        lambda is_in: list(users.exclude(is_in)),
        lambda is_in: users.filter(is_in).count(),
        lambda is_in: list(users.filter(is_in, named())),
        lambda is_in: list(users.filter(is_in).iterator()),
        lambda is_in: users.filter(is_in).update(first_name="z"),
    ],
    ids=["exclude", "count", "two conditions", "iterator", "update"],
)
def test_max_keys__whatever_the_query(run: Callable[[Any], Any]) -> None:
    """The bound holds where all keys are read."""
    store()

    with pytest.raises(TooManyKeysError, match="more than 6 keys"):
        run(seen(max_keys=6))


@databases
def test_max_keys__update_that_exceeds() -> None:
    """An update that fails at the bound has changed no row."""
    store()

    with pytest.raises(TooManyKeysError):
        users.filter(seen(max_keys=6)).update(first_name="z")

    assert not users.filter(first_name="z").exists()


@databases
def test_max_keys__reached() -> None:
    """As many keys as `max_keys` are allowed."""
    store()

    assert users.filter(seen(max_keys=len(MANY))).count() == len(MANY)


@databases
def test_max_keys__few_are_read() -> None:
    """A query that needs some of the keys only does not fail because there are more."""
    store()

    assert [user.pk for user in users.filter(seen(max_keys=2)).order_by("id")[:2]] == [2, 3]
    assert [user.pk for user in users.filter(seen(max_keys=2)).order_by("username")[:2]] == [2, 3]


@databases
def test_one_statement__too_many_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """A query that cannot be divided has a bound, and the error names what prevents the parts."""
    monkeypatch.setattr(planning, "MAX_KEYS_OF_ONE_STATEMENT", 6)
    store()

    with pytest.raises(TooManyKeysError) as raised:
        list(users.exclude(seen()))

    assert raised.value.bound == 6
    assert str(raised.value) == (
        "The queryset of keys of analytics.AnalyticsEvent has more than 6 keys. This query needs all of them in one"
        " statement, because its result cannot be united from parts. Filter the source, or leave out what prevents the"
        " parts: exclude(), OR, distinct(), an aggregate, or another order than that of the key."
    )


@databases
def test_one_statement__bound_of_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A query that can be divided has no such bound."""
    monkeypatch.setattr(planning, "MAX_KEYS_OF_ONE_STATEMENT", 6)
    store()

    assert users.filter(seen()).count() == len(MANY)


@pytest.mark.parametrize(
    ("field", "source", "message"),
    [
        ("id", lambda: events.values("kind"), r"accounts.User.id is compared with analytics.AnalyticsEvent.kind: "),
        ("id", lambda: events.values("at"), r"the types BigAutoField and DateTimeField have no common key type"),
        (
            "username",
            lambda: events.values("user"),
            r"User.username is compared with analytics.AnalyticsEvent.user: the types CharField and BigAutoField",
        ),
        ("username", events.all, r"the types CharField and BigAutoField have no common key type"),
        ("is_active", lambda: users.values("is_active"), r"BooleanField and BooleanField have no common key type"),
    ],
    ids=["integer and text", "integer and moment", "text and reference", "text and primary key", "no key"],
)
def test_condition__types(field: str, source: Callable[[], QuerySet[Any]], message: str) -> None:
    """A FieldError names both columns and their types, before any query."""
    with pytest.raises(FieldError, match=message):
        users.filter(CrossDatabaseIn(field, source()))


@pytest.mark.parametrize(
    ("source", "columns"),
    [
        (lambda: events.values("kind", "user_id"), "2 columns: kind, user_id"),
        (events.values, "4 columns: id, user_id, kind, at"),
        (lambda: events.annotate(next=F("user_id") + 1).values("user_id", "next"), "2 columns: user_id, next"),
    ],
    ids=["two", "all", "with an annotation"],
)
def test_condition__several_columns(source: Callable[[], QuerySet[Any]], columns: str) -> None:
    """A FieldError lists the columns of the source, and says what to write."""
    expected = rf"keys of analytics.AnalyticsEvent has {columns}\. Name one of them by values\(\.\.\.\)\."

    with pytest.raises(FieldError, match=expected):
        CrossDatabaseIn("id", source())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (events, r"CrossDatabaseIn needs a queryset, and got a manager of analytics.AnalyticsEvent: add \.all\(\)\.$"),
        (AnalyticsEvent, r"got the model analytics.AnalyticsEvent: add \.objects\.all\(\)\.$"),
        ([1, 2], r"got list \[1, 2\]: use `__in` for a list of keys\.$"),
    ],
    ids=["manager", "model", "list"],
)
def test_condition__no_queryset(given: Any, message: str) -> None:
    """A TypeError names the object, and what makes a queryset of it."""
    with pytest.raises(TypeError, match=message):
        CrossDatabaseIn("id", given)


def test_condition__field_is_an_expression() -> None:
    """A TypeError says that the field is a name."""
    field: Any = F("id")

    with pytest.raises(TypeError, match=r"needs the name of a field, and got F\(id\): give a text such as 'user_id'\."):
        CrossDatabaseIn(field, events.values("user_id"))


@pytest.mark.parametrize(("bound", "error"), [("a", TypeError), (1.5, TypeError), (True, TypeError), (-1, ValueError)])
def test_max_keys__no_bound(bound: Any, error: type[Exception]) -> None:
    """Only a number of keys is a bound; the error comes when the condition is made."""
    with pytest.raises(error, match=rf"max_keys is {bound!r}\. Give "):
        seen(max_keys=bound)


@databases
def test_max_keys__zero() -> None:
    """The bound 0 allows a source without keys, and no other one."""
    assert not users.filter(seen(max_keys=0)).exists()
    store()

    with pytest.raises(TooManyKeysError, match="more than 0 keys"):
        users.filter(seen(max_keys=0)).count()


@databases
@pytest.mark.parametrize(
    ("rows", "name", "shown"),
    [
        (users.all(), "id", "id"),
        (users.all(), "id__in", "id"),
        (users.all(), "username", "username"),
        (users.annotate(next=F("id") + 1), "next", "an expression"),
        (events.all(), "user", "user"),
    ],
    ids=["exact", "in", "text", "expression", "reference"],
)
@pytest.mark.parametrize("function", ["filter", "exclude"])
def test_condition__value_of_a_name(function: str, rows: Any, name: str, shown: str) -> None:
    """A condition that is compared with a column is refused when the query runs, whatever the keys."""
    condition: Any = seen() if rows.model is User else CrossDatabaseIn("user", users.values("id"))

    with pytest.raises(TypeError, match=rf"compared with '{shown}'\. Give the condition to filter\(\) without a name"):
        list(getattr(rows, function)(**{name: condition}))


@databases
def test_condition__value_of_a_boolean() -> None:
    """A column of true and false may be compared with the condition."""
    store(FEW)

    assert {user.pk for user in users.filter(is_active=seen())} == set(FEW)


@databases
def test_condition__outer_reference() -> None:
    """A source that refers to the outer query is Django's own error."""
    correlated = CrossDatabaseIn("id", events.filter(user_id=OuterRef("pk")).values("user_id"))

    with pytest.raises(ValueError, match="contains a reference to an outer query and may only be used in a subquery"):
        list(users.filter(correlated))


@databases
def test_max_keys__of_texts() -> None:
    """The bound is a number of distinct keys, whatever their type."""
    store()
    source = events.values("kind")

    assert users.filter(CrossDatabaseIn("username", source, max_keys=len(MANY))).count() == len(MANY)
