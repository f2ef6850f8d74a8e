"""attach() between real servers: PostgreSQL, its standby, and MySQL; keys of each type; bounded memory."""

import datetime as dt
import importlib
import tracemalloc
import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.apps.registry import Apps
from django.db import models, transaction
from django.test import override_settings
from pytest_django.plugin import DjangoDbBlocker
from tests.support.connected import connected
from tests.support.scratch_tables import scratch_tables
from tests.support.servers import Servers

from accounts.models import User
from analytics.models import AnalyticsEvent
from config.databases import topology
from config.settings import SWITCHYARD
from switchyard.crossdb import CrossDatabaseIn, Keyed, attach, sources
from switchyard.routing import use_primary
from switchyard.testing import assert_queries

pytestmark = pytest.mark.docker

NOW = dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC)
KEYS: dict[str, list[Any]] = {
    "number": [1, 2**40],
    "text": ["Ada", "a\\b 🚉"],
    "uuid": [uuid.UUID(int=7), uuid.UUID(int=8)],
    "day": [dt.date(2026, 1, 2), dt.date(1999, 12, 31)],
    "moment": [NOW, NOW + dt.timedelta(microseconds=1)],
    "price": [Decimal("1.100"), Decimal("-5.001")],
}


class Keys(models.Model):
    """A key of each type, unique; the outer rows and the attached rows have the same columns."""

    number = models.BigIntegerField(unique=True, null=True)
    text = models.CharField(max_length=40, unique=True, null=True)  # noqa: DJ001 - a key may be missing
    uuid = models.UUIDField(unique=True, null=True)
    day = models.DateField(unique=True, null=True)
    moment = models.DateTimeField(unique=True, null=True)
    price = models.DecimalField(max_digits=9, decimal_places=3, unique=True, null=True)

    class Meta:
        apps = Apps()
        app_label = "accounts"
        db_table = "test_keys"

    def __str__(self) -> str:
        return str(self.number)


@pytest.fixture(params=["legacy", "analytics"])
def far(request: pytest.FixtureRequest, servers: Servers, django_db_blocker: DjangoDbBlocker, tmp_path: Path) -> Any:
    """The alias of another server than `default`; both have the table of `Keys`."""
    databases = topology(servers.environ("migrator"), data_dir=tmp_path).databases
    switchyard = {**SWITCHYARD, "OWNERS": {"*": "default"}, "READ_ONLY": []}
    with (
        django_db_blocker.unblock(),
        connected(databases),
        override_settings(SWITCHYARD=switchyard),
        scratch_tables("default", (Keys,)),
        scratch_tables(request.param, (Keys,)),
    ):
        yield request.param


@pytest.mark.parametrize("outward", [True, False], ids=["from PostgreSQL", "to PostgreSQL"])
@pytest.mark.parametrize("field", KEYS)
def test_attach__each_type(field: str, outward: bool, far: str) -> None:
    """A key of each type finds its row on the other server; NULL and a key without a row are None."""
    here, there = ("default", far) if outward else (far, "default")
    with_row, without = KEYS[field]
    Keys.objects.using(there).create(**{field: with_row})
    Keys.objects.using(here).bulk_create([Keys(**{field: key}) for key in (with_row, None, without)])

    rows = attach(
        Keys.objects.using(here).order_by("id").values_list(field),
        other=Keyed(Keys.objects.using(there).values_list(field, flat=True), key=field, to=field),
    )

    assert list(rows) == [(with_row, with_row), (None, None), (without, None)]


def test_attach__text_of_another_case(far: str) -> None:
    """A text of another case is another key, also on MySQL, whose collation ignores case."""
    Keys.objects.using(far).create(text="Ada")
    Keys.objects.using("default").bulk_create([Keys(text=text) for text in ("ada", "Ada", "a\nb")])

    rows = attach(
        Keys.objects.using("default").order_by("id").values_list("text"),
        other=Keyed(Keys.objects.using(far).values_list("text", flat=True), key="text", to="text"),
    )

    assert list(rows) == [("ada", None), ("Ada", "Ada"), ("a\nb", None)]


def test_attach__text_of_uuids(far: str) -> None:
    """The texts of keys find the rows of the keys."""
    key = uuid.UUID(int=7)
    Keys.objects.using(far).create(uuid=key, number=5)
    Keys.objects.using("default").create(text=str(key))

    rows = attach(
        Keys.objects.using("default").values_list("text"),
        other=Keyed(Keys.objects.using(far).values_list("number", flat=True), key="text", to="uuid"),
    )

    assert list(rows) == [(str(key), 5)]


@pytest.fixture
def events(real_databases: Servers) -> Iterator[Servers]:
    """20,001 events of 10,000 users and of one that is deleted."""
    User.objects.bulk_create([User(pk=key, username=f"user{key}") for key in range(1, 10_001)])
    AnalyticsEvent.objects.bulk_create(
        [AnalyticsEvent(user_id=key % 10_001 + 1, kind="view", at=NOW) for key in range(20_001)], batch_size=5000
    )
    real_databases.caught_up()
    return real_databases


def test_attach__from_the_standby(events: Servers) -> None:
    """The events come from their server and the users from the standby, in the order of the events."""
    queryset = AnalyticsEvent.objects.order_by("id").values_list("user_id")

    # three batches, of which the last has no new key
    with assert_queries(replica=2, analytics=1):
        rows = list(attach(queryset, user=User.objects.using("replica").values_list("username", flat=True)))

    assert rows == [(key, f"user{key}" if key <= 10_000 else None) for key in (n % 10_001 + 1 for n in range(20_001))]


def test_attach__pinned(events: Servers) -> None:
    """In a block for the primary, and in a transaction with a new row, the primary is asked and shows the row."""
    AnalyticsEvent.objects.create(user_id=70_000, kind="new", at=NOW)
    new = AnalyticsEvent.objects.filter(kind="new")
    with events.held_back(), use_primary(), transaction.atomic(using="default"):
        User.objects.create(pk=70_000, username="new")
        assert [event.user.username for event in attach(new, user=User.objects.all())] == ["new"]


def test_attach__rows_of_a_condition(events: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outer rows whose condition needs a query for each chunk of keys are read in the thread of the caller."""
    monkeypatch.setattr(sources, "CHUNK_SIZE", 1_000)
    monkeypatch.setattr(importlib.import_module("switchyard.crossdb.attach"), "ROWS_OF_VALUES", 500)
    users = User.objects.using("default").filter(pk__lte=3_000)
    queryset = AnalyticsEvent.objects.filter(CrossDatabaseIn("user_id", users.values("pk"))).values_list("user_id")

    rows = list(attach(queryset, user=users.values_list("username", flat=True)))

    assert len(rows) == 2 * 3_000
    assert all(name == f"user{key}" for key, name in rows)


def test_attach__writes_between_the_rows(events: Servers) -> None:
    """The program may write on the connection whose rows are read ahead."""
    queryset = AnalyticsEvent.objects.order_by("id").values_list("id", "user_id")

    for number, (key, user, name) in enumerate(attach(queryset, user=User.objects.values_list("username", flat=True))):
        assert name == (f"user{user}" if user <= 10_000 else None)
        if number % 100 == 0:
            AnalyticsEvent.objects.filter(pk=key).update(kind="seen")

    assert AnalyticsEvent.objects.filter(kind="seen").count() == 201


def test_attach__memory(events: Servers) -> None:
    """The memory is that of a few batches: 300,000 rows as a list take four times as much."""
    events.ask(
        "analytics",
        "INSERT INTO analytics_analyticsevent (user_id, kind, at)"
        " SELECT 20000 + number, 'many', now() FROM generate_series(1, 300000) AS number",
    )
    queryset = AnalyticsEvent.objects.values_list("id", "user_id")
    users = User.objects.values_list("username", flat=True)
    sum(1 for _ in attach(queryset[:100], user=users))

    tracemalloc.start()
    try:
        count = sum(1 for _ in attach(queryset, user=users))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert count == 320_001
    assert peak < 10_000_000
