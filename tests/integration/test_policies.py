"""The cases of routing that have a policy, by their numbers, on a real standby and MySQL."""

import pickle
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.contrib.postgres.fields import ArrayField
from django.contrib.sessions.backends.db import SessionStore
from django.db import connections, models, transaction
from django.test import override_settings
from pytest_django.plugin import DjangoDbBlocker
from tests.support.connected import connected
from tests.support.kinds import OTHER, Kind, Special, made
from tests.support.servers import Servers, until

from accounts.models import User
from analytics.models import AnalyticsEvent
from config.databases import topology
from config.settings import SWITCHYARD
from legacy.models import Customer
from switchyard.routing import (
    CrossOwnerTransactionError,
    EarlyOnCommitError,
    StaleSaveError,
    allow_cross_owner_writes,
    allow_writes,
)
from switchyard.testing import assert_queries

pytestmark = pytest.mark.docker

NOON = "2026-01-02T12:00Z"
# a second alias of the server of `legacy`, as a replica without lag
MYSQL_COPY = {"OWNERS": {"*": "legacy"}, "REPLICAS": {"legacy": ["copy"]}}


class Lists(models.Model):
    """Arrays, a type of PostgreSQL only."""

    numbers = ArrayField(models.IntegerField(null=True))
    words = ArrayField(models.CharField(max_length=9))

    class Meta:
        apps = Kind._meta.apps
        app_label = "accounts"
        db_table = "test_lists"

    def __str__(self) -> str:
        return str(self.numbers)


@pytest.fixture
def migrator(servers: Servers, django_db_blocker: DjangoDbBlocker, tmp_path: Path) -> Iterator[Servers]:
    """The servers behind the aliases of this process, as a user who may create tables; `copy` leads to `legacy`."""
    databases = topology(servers.environ("migrator"), data_dir=tmp_path).databases
    with django_db_blocker.unblock(), connected({**databases, "copy": databases["legacy"]}):
        yield servers


@pytest.fixture
def ada(real_databases: Servers) -> User:
    """A user that the owner and the standby have, in the version of the owner."""
    user = User.objects.create(username="ada", email="old@example.org")
    real_databases.caught_up()
    return user


def from_standby() -> User:
    """Return the user in the version of the standby."""
    return User.objects.using("replica").get(username="ada")


def policy(**chosen: Any) -> override_settings:
    """Set POLICIES in a block."""
    return override_settings(SWITCHYARD={**SWITCHYARD, "POLICIES": chosen})


def test_case_4__stale(real_databases: Servers, ada: User) -> None:
    """A full save of an instance from the lagging standby is refused, and the newer row of the owner stays."""
    with real_databases.held_back():
        User.objects.filter(pk=ada.pk).update(email="new@example.org")
        stale = from_standby()
        assert stale.email == "old@example.org"
        stale.first_name = "Ada"
        with pytest.raises(StaleSaveError, match=r"changed: email.*refresh_from_db\(using=\"default\"\)"):
            stale.save()

        stale.refresh_from_db(using="default")
        stale.first_name = "Ada"
        stale.save()

    assert User.objects.using("default").values_list("first_name", "email").get() == ("Ada", "new@example.org")


def test_case_4__some_fields(real_databases: Servers, ada: User) -> None:
    """save(update_fields) overwrites no other field, and is allowed."""
    with real_databases.held_back():
        User.objects.filter(pk=ada.pk).update(email="new@example.org")
        stale = from_standby()
        stale.first_name = "Ada"
        stale.save(update_fields=["first_name"])

    assert User.objects.using("default").values_list("first_name", "email").get() == ("Ada", "new@example.org")


def test_case_4__not_stale(ada: User) -> None:
    """The check needs no query if the row has not changed."""
    loaded = from_standby()
    with assert_queries(default=1):
        loaded.save()


def test_case_4__deleted(real_databases: Servers, ada: User) -> None:
    """A row that was deleted on the owner is not created again."""
    with real_databases.held_back():
        User.objects.filter(pk=ada.pk).delete()
        with pytest.raises(StaleSaveError, match="the row was deleted"):
            from_standby().save()

    assert not User.objects.using("default").exists()


@pytest.mark.parametrize("chosen", ["warn", "allow"])
def test_case_4__policy(real_databases: Servers, ada: User, chosen: str, caplog: pytest.LogCaptureFixture) -> None:
    """With `warn` and `allow` the older row of the standby wins; `warn` logs a warning."""
    with real_databases.held_back(), policy(stale_save={"accounts.User": chosen}):
        User.objects.filter(pk=ada.pk).update(email="new@example.org")
        from_standby().save()

    assert User.objects.using("default").get().email == "old@example.org"
    assert len(caplog.records) == (chosen == "warn")


def test_case_4__many_savers(ada: User) -> None:
    """Of four clients that load one row from the standby and save at once, one wins."""
    barrier = threading.Barrier(4)

    def save(name: str) -> str | None:
        try:
            loaded = from_standby()
            loaded.first_name = name
            barrier.wait(30)
            loaded.save()
        except StaleSaveError:
            return None
        finally:
            connections.close_all()
        return name

    with ThreadPoolExecutor(4) as pool:
        for round_ in range(10):
            User.objects.filter(pk=ada.pk).update(first_name="")
            until(lambda: from_standby().first_name == "", "the standby has replayed it")
            won = [name for name in pool.map(save, [f"{round_}{saver}" for saver in "abcd"]) if name]

            assert [User.objects.using("default").get().first_name] == won


def test_case_4__saver_that_waits(real_databases: Servers, ada: User) -> None:
    """A client that waits for the lock of another client finds a changed row after the lock."""
    first, second = from_standby(), from_standby()
    first.first_name, second.last_name = "Ada", "Lovelace"

    def save() -> None:
        try:
            second.save()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            first.save()
            waiting = pool.submit(save)
            locks = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            until(lambda: real_databases.ask("default", locks) == [(1,)], "the second saver waits")
        with pytest.raises(StaleSaveError, match="changed: first_name"):
            waiting.result(30)

    assert User.objects.using("default").values_list("first_name", "last_name").get() == ("Ada", "")


def check_each(row: models.Model, replica: str, others: dict[str, Any]) -> None:
    """Assert that a change of each field on the owner is found, and that a save without a change is one query."""
    table, owner = type(row)._base_manager, row._state.db
    loaded = {field: table.using(replica).get(pk=row.pk) for field in ("", *others)}
    rows = table.using(owner).filter(pk=row.pk)
    for field, other in others.items():
        before = rows.values_list(field, flat=True).get()
        rows.update(**{field: other})
        with pytest.raises(StaleSaveError, match=f"changed: {field}\\."):
            loaded[field].save()
        rows.update(**{field: before})
    pickle.dumps(loaded[""]._state)
    with assert_queries(**{owner: 1}):
        loaded[""].save()


@pytest.mark.parametrize(
    ("owner", "replica", "switchyard"),
    [("default", "replica", SWITCHYARD), ("legacy", "copy", MYSQL_COPY)],
    ids=["postgresql", "mysql"],
)
def test_case_4__kinds_of_fields(migrator: Servers, owner: str, replica: str, switchyard: dict[str, Any]) -> None:
    """A change of case, a microsecond, a digit or NULL is found; an equal value is no change."""
    with override_settings(SWITCHYARD=switchyard), made(owner):
        kind, other, special = Kind.objects.create(), Kind.objects.create(), Special.objects.create()
        Kind.objects.filter(pk=other.pk).update(**OTHER)
        migrator.caught_up()
        check_each(kind, replica, OTHER)
        check_each(other, replica, {field: getattr(kind, field) for field in OTHER})

        loaded = Special.objects.using(replica).get()
        Kind.objects.using(owner).filter(pk=special.pk).update(text="ada")
        with pytest.raises(StaleSaveError, match="changed: text"):
            loaded.save()


@pytest.mark.parametrize(
    ("owner", "replica", "switchyard"),
    [("default", "replica", SWITCHYARD), ("legacy", "copy", MYSQL_COPY)],
    ids=["postgresql", "mysql"],
)
def test_case_4__sql_compares_otherwise(
    migrator: Servers, owner: str, replica: str, switchyard: dict[str, Any]
) -> None:
    """JSON null is not NULL to the server, and equal to None in Python: the save succeeds."""
    with override_settings(SWITCHYARD=switchyard), made(owner):
        Kind.objects.create()
        with connections[owner].cursor() as cursor:
            cursor.execute("UPDATE test_kind SET missing = 'null'")
        migrator.caught_up()
        loaded = Kind.objects.using(replica).get()
        loaded.text = "b"
        with assert_queries(**{owner: 3}):
            loaded.save()

        assert Kind.objects.using(owner).get().text == "b"


def test_case_4__arrays(migrator: Servers) -> None:
    """Arrays are compared as a whole; an array that the program changed in place is the program's own change."""
    with connections["default"].schema_editor() as editor:
        editor.create_model(Lists)
    try:
        lists = Lists.objects.create(numbers=[1, None], words=["a", "b"])
        migrator.caught_up()
        loaded = Lists.objects.using("replica").get()
        check_each(lists, "replica", {"numbers": [1], "words": ["A", "b"]})
        loaded.numbers.append(3)
        with assert_queries(default=1):
            loaded.save()

        assert Lists.objects.using("default").get().numbers == [1, None, 3]
    finally:
        with connections["default"].schema_editor() as editor:
            editor.delete_model(Lists)


def test_case_13__on_commit_of_another_alias(real_databases: Servers) -> None:
    """on_commit() without `using` in atomic("analytics") is refused before its function runs; with `using` it waits."""
    ran: list[bool] = []

    def look() -> None:
        ran.append(real_databases.ask("analytics", "SELECT count(*) FROM analytics_analyticsevent") == [(1,)])

    with transaction.atomic(using="analytics"):
        AnalyticsEvent.objects.create(user_id=1, kind="a", at=NOON)
        with pytest.raises(EarlyOnCommitError, match=r"on 'default' runs at once.*using=\"analytics\""):
            transaction.on_commit(look)
        transaction.on_commit(look, using="analytics")
        assert ran == []

    assert ran == [True]


def test_case_13__policy(real_databases: Servers, caplog: pytest.LogCaptureFixture) -> None:
    """With `warn` and `allow` the function runs at once."""
    ran: list[str] = []
    for chosen in ("warn", "allow"):
        with policy(early_on_commit=chosen), transaction.atomic(using="analytics"):
            transaction.on_commit(lambda chosen=chosen: ran.append(chosen))
            assert ran[-1] == chosen

    assert len(caplog.records) == 1


def create_user() -> None:
    User.objects.create(username="bob")


def create_event() -> None:
    AnalyticsEvent.objects.create(user_id=1, kind="a", at=NOON)


def create_customer() -> None:
    with allow_writes("legacy", reason="a test"):
        Customer.objects.create(name="Ada", email="a@example.org", created_at=NOON)


def create_session() -> None:
    SessionStore().save(must_create=True)


@pytest.mark.parametrize(
    ("open_on", "first", "second", "named"),
    [
        ("default", create_user, create_event, "on 'analytics'.*'default' was written"),
        ("default", create_event, create_user, "on 'default'.*'analytics' was written"),
        ("analytics", create_event, create_session, "on 'default'.*'analytics' was written"),
        ("legacy", create_customer, create_event, "on 'analytics'.*'legacy' was written"),
        ("default", create_event, create_customer, "on 'legacy'.*'analytics' was written"),
    ],
)
def test_case_14__two_owners(
    real_databases: Servers, open_on: str, first: Callable[[], None], second: Callable[[], None], named: str
) -> None:
    """A write on a second owner is refused before SQL; the error names the first alias. With a waiver it succeeds."""
    with policy(cross_owner_transaction="raise"):
        with transaction.atomic(using=open_on):
            first()
            with pytest.raises(CrossOwnerTransactionError, match=named), transaction.atomic(using=open_on):
                second()
            with allow_cross_owner_writes(reason="a test"):
                second()
        with transaction.atomic(using="analytics"):
            AnalyticsEvent.objects.create(user_id=1, kind="b", at=NOON)


def test_case_14__policy(real_databases: Servers, caplog: pytest.LogCaptureFixture) -> None:
    """The default policy warns once for each transaction and owner; `allow` logs nothing."""
    with transaction.atomic():
        create_user()
        create_event()
        create_event()
    with policy(cross_owner_transaction="allow"), transaction.atomic():
        User.objects.all().delete()
        create_event()

    assert [record.message.split(":")[0] for record in caplog.records] == [
        "A write on 'analytics' inside a transaction in which 'default' was written"
    ]
