"""A condition across databases gives the rows of Django's own condition over a list of the same keys."""

import datetime as dt
from typing import Any

import pytest
from django.db.models import Case, Count, Q, Sum, Value, When
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import User
from analytics.models import AnalyticsEvent
from switchyard.crossdb import CrossDatabaseIn, sources
from switchyard.crossdb.strategies import probe

NOON = dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC)
databases = pytest.mark.django_db(databases=["default", "replica", "analytics"], transaction=True)


def moment(seconds: int | None) -> dt.datetime | None:
    """Return a moment; None for None."""
    return None if seconds is None else NOON + dt.timedelta(seconds=seconds)


def store(users: dict[int, int | None], events: list[tuple[int, int]]) -> None:
    """Store users, each with the second of the last login, and events of users, each with a second."""
    User.objects.all().delete()
    AnalyticsEvent.objects.all().delete()
    User.objects.bulk_create(
        [
            User(pk=key, username=f"user{key}", first_name="abc"[key % 3], last_login=moment(second), password="!")
            for key, second in users.items()
        ]
    )
    AnalyticsEvent.objects.bulk_create(
        [AnalyticsEvent(user_id=key, kind="abc"[at % 3], at=moment(at)) for key, at in events]
    )


# A pair of the outer queryset and its field, and the queryset of keys.
PAIRS = {
    "unique": (User.objects, "id", lambda: AnalyticsEvent.objects.values("user_id")),
    "many rows of a key": (AnalyticsEvent.objects, "user_id", lambda: User.objects.values("pk")),
    "no columns named": (AnalyticsEvent.objects, "user_id", User.objects.all),
    "NULL in the column": (User.objects, "last_login", lambda: AnalyticsEvent.objects.values("at")),
    "NULL among the keys": (AnalyticsEvent.objects, "at", lambda: User.objects.values("last_login")),
    "filtered keys": (User.objects, "id", lambda: AnalyticsEvent.objects.filter(kind="a").values("user_id")),
    "sliced keys": (User.objects, "id", lambda: AnalyticsEvent.objects.order_by("at", "id").values("user_id")[:4]),
    "one owner": (User.objects, "id", lambda: User.objects.filter(first_name="a").values("id")),
    "NULL of one owner": (User.objects, "last_login", lambda: User.objects.filter(pk__lt=5).values("last_login")),
}
SHOWN = {
    User: ("default", ("username", "first_name")),
    AnalyticsEvent: ("analytics", ("user_id", "kind", "at")),
}
NAME = {User: "first_name", AnalyticsEvent: "kind"}


def pks(queryset: Any) -> list[int]:
    """Return the keys of the rows, in the order of the queryset."""
    return [row.pk for row in queryset]


# Each takes the outer manager, its condition, the field of the condition, and a field with few values.
READS = {
    "filter": lambda rows, is_in, field, name: sorted(pks(rows.filter(is_in))),
    "exclude": lambda rows, is_in, field, name: sorted(pks(rows.exclude(is_in))),
    "not": lambda rows, is_in, field, name: sorted(pks(rows.filter(~Q(is_in)))),
    "or": lambda rows, is_in, field, name: sorted(pks(rows.filter(Q(**{name: "a"}) | is_in))),
    "and": lambda rows, is_in, field, name: sorted(pks(rows.filter(is_in & Q(**{name: "a"})))),
    "twice": lambda rows, is_in, field, name: sorted(pks(rows.filter(is_in).filter(is_in))),
    "count": lambda rows, is_in, field, name: rows.filter(is_in).count(),
    "count of the rest": lambda rows, is_in, field, name: rows.exclude(is_in).count(),
    "count of a slice": lambda rows, is_in, field, name: rows.filter(is_in).order_by("pk")[1:4].count(),
    "exists": lambda rows, is_in, field, name: rows.filter(is_in).exists(),
    "ordered by the key": lambda rows, is_in, field, name: pks(rows.filter(is_in).order_by(field, "pk")),
    "from the last key": lambda rows, is_in, field, name: pks(rows.filter(is_in).order_by(f"-{field}", "pk")),
    "ordered by another": lambda rows, is_in, field, name: pks(rows.filter(is_in).order_by(name, "pk")),
    "slice by the key": lambda rows, is_in, field, name: pks(rows.filter(is_in).order_by(field, "pk")[:3]),
    "slice from the last": lambda rows, is_in, field, name: pks(rows.filter(is_in).order_by(f"-{field}", "-pk")[:3]),
    "slice by another": lambda rows, is_in, field, name: pks(rows.filter(is_in).order_by(name, "-pk")[:3]),
    "slice with an offset": lambda rows, is_in, field, name: pks(rows.filter(is_in).order_by(field, "pk")[1:4]),
    "slice of another": lambda rows, is_in, field, name: pks(rows.filter(is_in).order_by(name, "pk")[2:4]),
    "slice of the rest": lambda rows, is_in, field, name: pks(rows.exclude(is_in).order_by(name, "pk")[:3]),
    "first": lambda rows, is_in, field, name: rows.filter(is_in).order_by("-pk").first(),
    "last": lambda rows, is_in, field, name: rows.filter(is_in).order_by(name, "pk").last(),
    "iterator": lambda rows, is_in, field, name: sorted(pks(rows.filter(is_in).iterator(2))),
    "ordered iterator": lambda rows, is_in, field, name: pks(rows.filter(is_in).order_by(field, "pk").iterator(2)),
    "values": lambda rows, is_in, field, name: sorted(rows.filter(is_in).values_list(name, "pk")),
    "distinct": lambda rows, is_in, field, name: sorted(rows.filter(is_in).values_list(name, flat=True).distinct()),
    "aggregate": lambda rows, is_in, field, name: rows.filter(is_in).aggregate(Sum("pk"), Count("pk")),
    "aggregate of a slice": lambda rows, is_in, field, name: rows.filter(is_in).order_by("pk")[:3].aggregate(Sum("pk")),
    "conditional aggregate": lambda rows, is_in, field, name: rows.aggregate(n=Count("pk", filter=Q(is_in))),
    "groups": lambda rows, is_in, field, name: sorted(rows.filter(is_in).values_list(name).annotate(Count("pk"))),
    "annotate": lambda rows, is_in, field, name: sorted(
        rows.annotate(has=Case(When(is_in, then=Value(1)), default=Value(0))).values_list("pk", "has")
    ),
    "order by": lambda rows, is_in, field, name: pks(
        rows.order_by(Case(When(is_in, then=Value(1)), default=Value(0)), "pk")
    ),
    "union": lambda rows, is_in, field, name: sorted(pks(rows.filter(is_in).union(rows.filter(**{name: "a"})))),
    "subquery": lambda rows, is_in, field, name: sorted(pks(rows.filter(pk__in=rows.filter(is_in).values("pk")))),
}
WRITES = {
    "update": lambda rows, is_in, field, name: rows.filter(is_in).update(**{name: "z"}),
    "update the rest": lambda rows, is_in, field, name: rows.exclude(is_in).update(**{name: "z"}),
    "delete": lambda rows, is_in, field, name: rows.filter(is_in).delete()[0],
    "delete the rest": lambda rows, is_in, field, name: rows.exclude(is_in).delete()[0],
}

seconds = st.integers(0, 4)
contents = st.tuples(
    st.dictionaries(st.integers(1, 12), st.none() | seconds, max_size=9),
    st.lists(st.tuples(st.integers(1, 12), seconds), max_size=14),
)


def comparable(result: Any) -> Any:
    """Return the result as a value: a queryset as a list."""
    return list(result) if hasattr(result, "query") else result


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let few rows need several chunks, and a probe give up."""
    monkeypatch.setattr(sources, "CHUNK_SIZE", 3)
    monkeypatch.setattr(probe, "PROBE_SIZES", (2, 4, 8))


def keys_of(source: Any) -> list[Any]:
    """Return the keys of the source, without NULL, as the guide reads them."""
    keys = [row.pk if hasattr(row, "pk") else next(iter(row.values())) for row in source]
    return [key for key in keys if key is not None]


@databases
@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("pair", PAIRS)
@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(contents=contents)
def test_condition__reads(pair: str, contents: Any) -> None:
    """Each use of the ORM gives the rows of the list of keys, whatever the strategy."""
    store(*contents)
    rows, field, source = PAIRS[pair]
    name = NAME[rows.model]

    def results(condition: Any) -> dict[str, Any]:
        return {use: comparable(read(rows, condition, field, name)) for use, read in READS.items()}

    assert results(CrossDatabaseIn(field, source())) == results(Q(**{f"{field}__in": keys_of(source())}))


@databases
@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("use", WRITES)
@pytest.mark.parametrize("pair", PAIRS)
@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(contents=contents)
def test_condition__writes(pair: str, use: str, contents: Any) -> None:
    """Each write changes the rows of the list of keys, and returns their number."""
    rows, field, source = PAIRS[pair]
    name, (owner, shown) = NAME[rows.model], SHOWN[rows.model]

    def results(*, across: bool) -> Any:
        store(*contents)
        condition = CrossDatabaseIn(field, source()) if across else Q(**{f"{field}__in": keys_of(source())})
        return WRITES[use](rows, condition, field, name), sorted(rows.using(owner).values_list(*shown))

    assert results(across=True) == results(across=False)
