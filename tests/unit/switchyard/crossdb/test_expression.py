"""A condition across databases gives the rows of Django's own condition over a list of the same keys."""

from typing import Any

import pytest
from django.db.models import Q
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.moments import moment
from tests.support.orm_uses import WRITES, keys_of, reads

from accounts.models import User
from analytics.models import AnalyticsEvent
from switchyard.crossdb import CrossDatabaseIn, sources
from switchyard.crossdb.strategies import probe

databases = pytest.mark.django_db(databases=["default", "replica", "analytics"], transaction=True)


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
    "NULL in a slice": (User.objects, "last_login", lambda: User.objects.order_by("-pk").values("last_login")[:4]),
    "NULL in a union": (
        User.objects,
        "last_login",
        lambda: (
            User.objects.filter(pk__lt=4).values("last_login").union(User.objects.filter(pk=7).values("last_login"))
        ),
    ),
}
SHOWN = {
    User: ("default", ("username", "first_name")),
    AnalyticsEvent: ("analytics", ("user_id", "kind", "at")),
}
NAME = {User: "first_name", AnalyticsEvent: "kind"}


seconds = st.integers(0, 4)
contents = st.tuples(
    st.dictionaries(st.integers(1, 12), st.none() | seconds, max_size=9),
    st.lists(st.tuples(st.integers(1, 12), seconds), max_size=14),
)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let few rows need several chunks, and a probe give up."""
    monkeypatch.setattr(sources, "CHUNK_SIZE", 3)
    monkeypatch.setattr(probe, "PROBE_SIZES", (2, 4, 8))


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

    expected = reads(rows, Q(**{f"{field}__in": keys_of(source())}), field, name)
    assert reads(rows, CrossDatabaseIn(field, source()), field, name) == expected


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


@databases
@pytest.mark.usefixtures("small")
@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(contents=contents)
def test_condition__two_sources(contents: Any) -> None:
    """A condition over each of two sources gives the rows of both lists."""
    store(*contents)
    sources_of_users = [AnalyticsEvent.objects.filter(kind=kind).values("user_id") for kind in "ab"]
    lists, conditions = (
        [make(source) for source in sources_of_users]
        for make in (lambda source: Q(id__in=keys_of(source)), lambda source: Q(CrossDatabaseIn("id", source)))
    )

    for combine in (lambda a, b: a & b, lambda a, b: a & ~b, lambda a, b: a | b, lambda a, b: a ^ b):
        expected = set(User.objects.filter(combine(*lists)))
        assert set(User.objects.filter(combine(*conditions))) == expected
