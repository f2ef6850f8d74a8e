"""Cases 10, 11, 12 and 15: relations, queries and deletions from the rows of one owner to the rows of another."""

import pytest
from django.apps.registry import Apps
from django.db import models
from django.db.models import Exists, OuterRef
from django.db.models.signals import post_delete
from tests.support.servers import Servers
from tests.support.watching import NOON, others

from accounts.models import User
from analytics.models import AnalyticsEvent
from legacy.models import Customer
from reporting.models import AnalyticsReport
from switchyard.routing import RoutingError, use_primary
from switchyard.testing import assert_queries

pytestmark = pytest.mark.docker

_apps = Apps(["accounts", "analytics"])  # not Django's registry: the system checks refuse such a relation


class Reader(models.Model):
    """A user, for a relation without a constraint."""

    username = models.CharField(max_length=150)

    class Meta:
        apps = _apps
        app_label = "accounts"
        db_table = "accounts_user"

    def __str__(self) -> str:
        return self.username


class Deed(models.Model):
    """An event with a foreign key to its user, across owners."""

    user = models.ForeignKey(Reader, models.CASCADE, db_constraint=False, related_name="deeds")
    kind = models.CharField(max_length=64)

    class Meta:
        apps = _apps
        app_label = "analytics"
        db_table = "analytics_analyticsevent"

    def __str__(self) -> str:
        return self.kind


@pytest.fixture
def bob(watched: Servers) -> User:
    """A user with an event; the standby has the user."""
    with others():
        user = User.objects.create(username="bob")
        AnalyticsEvent.objects.create(user_id=user.pk, kind="a", at=NOON)
    watched.caught_up()
    return user


def test_case_10__across_owners(watched: Servers, bob: User) -> None:
    """An instance of one owner cannot be assigned to a relation of another owner."""
    with assert_queries(replica=1, analytics=1):
        reader, deed = Reader.objects.get(), Deed.objects.get()

    with pytest.raises(ValueError, match="router prevents this relation"):
        deed.user = reader


@pytest.mark.parametrize(
    "query",
    [
        lambda: AnalyticsEvent.objects.filter(pk__in=User.objects.values("pk")),
        lambda: User.objects.filter(Exists(AnalyticsEvent.objects.filter(user_id=OuterRef("pk")))),
        lambda: AnalyticsEvent.objects.values("user_id").union(User.objects.values("pk")),
        lambda: Customer.objects.filter(pk__in=AnalyticsReport.objects.values("events")),
        lambda: Deed.objects.select_related("user"),
        lambda: Deed.objects.filter(user__username="bob"),
        lambda: Reader.objects.filter(deeds__kind="a"),
    ],
    ids=["subquery", "exists", "union", "mysql", "select_related", "lookup", "reverse"],
)
def test_case_11__query_across_owners(watched: Servers, query) -> None:
    """A query across owners raises an error before SQL; the error names the models, the aliases and the replacement."""
    Customer.objects.exists()  # Django sends its first queries about MySQL itself
    with assert_queries(), pytest.raises(RoutingError, match=r"(?s)owned by '.*owned by '.*CrossDatabaseIn"):
        list(query())


def test_case_12__prefetch_across_owners(watched: Servers, bob: User) -> None:
    """Both models of a prefetch are read on their own alias, in both directions."""
    with assert_queries(analytics=1, replica=1):
        (deed,) = Deed.objects.prefetch_related("user")
    with assert_queries(analytics=1, replica=1):
        (reader,) = Reader.objects.prefetch_related("deeds")

    assert (deed.user.username, deed._state.db, deed.user._state.db) == ("bob", "analytics", "replica")
    assert [each._state.db for each in reader.deeds.all()] == ["analytics"]


def test_case_12__pins(watched: Servers, bob: User) -> None:
    """A model with a pending write, or inside an override, is read from its owner."""
    with watched.held_back():
        with assert_queries(analytics=1, default=1), use_primary():
            list(Deed.objects.prefetch_related("user"))
        User.objects.filter(pk=bob.pk).update(username="robert")
        with assert_queries(analytics=1, default=1):
            (deed,) = Deed.objects.prefetch_related("user")

    assert deed.user.username == "robert"


def refused(reader: Reader) -> None:
    """Assert that deleting the user is refused before SQL, with both models, the alias and the remedy in the error."""
    message = r"accounts\.Reader on 'default'.*analytics\.Deed, owned by 'analytics'.*DO_NOTHING"
    with assert_queries(), pytest.raises(RoutingError, match=message):
        reader.delete()


def test_case_15__cascade(watched: Servers, bob: User) -> None:
    """A cascade to a child on another owner is refused before SQL on the parent's alias, and nothing is deleted."""
    with use_primary():
        reader = Reader.objects.get()

    refused(reader)

    assert User.objects.using("default").count() == AnalyticsEvent.objects.count() == 1


def test_case_15__cascade_that_loads_the_children(watched: Servers, bob: User) -> None:
    """If a signal receiver needs the deleted children, Django would first read them from the parent's alias."""

    def listen(**_signal: object) -> None:
        """Receive the signal, so that Django loads the children."""

    with use_primary():
        reader = Reader.objects.get()
    post_delete.connect(listen, sender=Deed)
    try:
        refused(reader)
    finally:
        post_delete.disconnect(listen, sender=Deed)
