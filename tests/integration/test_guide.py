"""Django's guide on multiple databases, for every alias, on PostgreSQL and MySQL.

https://docs.djangoproject.com/en/6.1/topics/db/multi-db/
"""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections, transaction
from django.db.models import Model, QuerySet
from tests.support.servers import Servers

from accounts.models import User
from analytics.models import AnalyticsEvent
from legacy.models import Customer
from switchyard.routing import allow_writes
from switchyard.routing.session.context import activate, request_context

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("writable")]

NOON = dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC)
# owner -> its model, the field that distinguishes the rows, and the other values that a row needs
ROWS: dict[str, tuple[type[Model], str, dict[str, Any]]] = {
    "default": (User, "username", {"password": "!"}),
    "analytics": (AnalyticsEvent, "kind", {"user_id": 1, "at": NOON}),
    "legacy": (Customer, "name", {"email": "a@example.org", "created_at": NOON}),
}


@pytest.fixture
def writable(real_databases: Servers) -> Iterator[None]:
    """Allow writes of the read-only `legacy`."""
    with allow_writes("legacy", reason="the guide's examples"):
        yield


@pytest.fixture(params=ROWS)
def owner(request: pytest.FixtureRequest) -> str:
    """Each alias that owns rows."""
    alias: str = request.param
    return alias


def make(owner: str, name: str) -> Model:
    """Return an unsaved instance."""
    model, field, others = ROWS[owner]
    return model(**{field: name}, **others)


def stored(owner: str, name: str) -> QuerySet[Model]:
    """Return the rows with this name on the owner."""
    model, field, _ = ROWS[owner]
    return model._default_manager.using(owner).filter(**{field: name})


def test_guide__using_on_a_queryset(owner: str) -> None:
    """`using()` reads and writes on its alias, and the instances remember the alias."""
    model, field, others = ROWS[owner]

    made = model._default_manager.using(owner).create(**{field: "ada"}, **others)
    found = model._default_manager.using(owner).get(**{field: "ada"})

    assert made == found
    assert (made._state.db, found._state.db) == (owner, owner)


def test_guide__using_on_a_manager(owner: str) -> None:
    """`db_manager()` returns a manager of its alias, with its own methods."""
    model, field, others = ROWS[owner]
    manager = model._default_manager.db_manager(owner)

    if model is User:
        manager.create_user("ada")
    else:
        manager.create(**{field: "ada"}, **others)

    assert manager.get(**{field: "ada"})._state.db == owner


def test_guide__save_using(owner: str) -> None:
    """`save(using=)` writes on its alias."""
    row = make(owner, "ada")

    row.save(using=owner)

    assert stored(owner, "ada").get() == row


def test_guide__save_by_the_routers(owner: str) -> None:
    """Without `using` a row is written on its owner."""
    row = make(owner, "ada")

    row.save()

    assert row._state.db == owner
    assert stored(owner, "ada").exists()


def test_guide__delete_using(owner: str) -> None:
    """`delete(using=)` deletes on its alias, `delete()` on the alias of the instance."""
    for name in ("ada", "bob"):
        make(owner, name).save()

    stored(owner, "ada").get().delete(using=owner)
    stored(owner, "bob").get().delete()

    assert not stored(owner, "ada").exists()
    assert not stored(owner, "bob").exists()


def test_guide__refresh_from_db_using(owner: str) -> None:
    """`refresh_from_db(using=)` reads on its alias, `refresh_from_db()` on the alias of the instance."""
    _, field, _ = ROWS[owner]
    row = make(owner, "ada")
    row.save()

    stored(owner, "ada").update(**{field: "bob"})
    row.refresh_from_db(using=owner)
    assert getattr(row, field) == "bob"

    stored(owner, "bob").update(**{field: "eve"})
    row.refresh_from_db()
    assert getattr(row, field) == "eve"


def test_guide__bulk(owner: str) -> None:
    """Bulk writes, counts and deletions of a queryset stay on its alias."""
    model, field, _ = ROWS[owner]
    model._default_manager.using(owner).bulk_create([make(owner, name) for name in ("ada", "bob")])
    rows = list(model._default_manager.using(owner).all())  # MySQL returns no keys

    for row in rows:
        setattr(row, field, getattr(row, field) + "!")
    model._default_manager.using(owner).bulk_update(rows, [field])

    assert stored(owner, "ada!").count() == 1
    assert model._default_manager.using(owner).all().delete()[0] == 2


def test_guide__copy_keeps_the_original(owner: str) -> None:
    """A saved instance without its key, and with `_state.adding`, becomes a second row."""
    _, field, _ = ROWS[owner]
    row = make(owner, "ada")
    row.save()
    first = row.pk

    row.pk = None
    row._state.adding = True
    setattr(row, field, "ada again")
    row.save(using=owner)

    assert row.pk != first
    assert stored(owner, "ada").get().pk == first


def test_guide__transaction_on_an_alias(owner: str) -> None:
    """`atomic(using=)` rolls back the writes on its alias."""
    with transaction.atomic(using=owner):
        make(owner, "ada").save(using=owner)
        transaction.set_rollback(True, using=owner)

    assert not stored(owner, "ada").exists()


def test_guide__raw_cursor(owner: str) -> None:
    """`connections[alias].cursor()` sends its queries to its alias."""
    model, _, _ = ROWS[owner]
    make(owner, "ada").save()

    with connections[owner].cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {model._meta.db_table}")
        assert cursor.fetchone()[0] == 1


def test_guide__the_replica(real_databases: Servers) -> None:
    """`using()` reads the replica like any alias, on a queryset, a manager and an instance."""
    ada = User.objects.create(username="ada")
    real_databases.caught_up()

    found = User.objects.using("replica").get(username="ada")
    again = User.objects.db_manager("replica").get(username="ada")
    ada.refresh_from_db(using="replica")

    assert (found._state.db, again._state.db, ada._state.db) == ("replica", "replica", "replica")
    with connections["replica"].cursor() as cursor:
        cursor.execute("SELECT pg_is_in_recovery()")
        assert cursor.fetchone() == (True,)


def test_guide__read_by_the_routers(real_databases: Servers) -> None:
    """Without `using` users are read from the standby, and all other rows from their owner."""
    for alias in ROWS:
        make(alias, "ada").save()
    real_databases.caught_up()

    with activate(request_context()):  # of a client without writes
        read = {alias: model._default_manager.get()._state.db for alias, (model, _, _) in ROWS.items()}

    assert read == {"default": "replica", "analytics": "analytics", "legacy": "legacy"}
