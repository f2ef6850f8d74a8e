"""KeyList finds on real servers exactly the rows that `field__in` finds, with one parameter and by the index."""

import datetime as dt
import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.db.models import Q
from django.test import override_settings
from pytest_django.plugin import DjangoDbBlocker
from tests.support.connected import connected
from tests.support.kinds import OTHER, Kind, made
from tests.support.servers import Servers

from config.databases import topology
from switchyard.crossdb.key_list import KeyList

pytestmark = pytest.mark.docker

KEYS: dict[str, list[Any]] = {
    "id": [1, "2", 2**63, -(2**63), 2**40],
    "text": ["ADA", "Ada ", "a\\b", 'o\'hara, {x} "y"', "%s 🚉", "x" * 30],
    "price": [Decimal("1.10"), Decimal("1.1004"), Decimal(-5)],
    "fraction": [0.1, 7.5],
    "moment": [dt.datetime(2026, 1, 2, 3, 4, 5, 123456, dt.UTC), dt.datetime(1999, 1, 1, tzinfo=dt.UTC)],
    "day": [dt.date(2026, 1, 2), dt.date(1999, 1, 1)],
    "pause": [dt.timedelta(seconds=1.5)],
    "key": [uuid.UUID(int=7), str(uuid.UUID(int=9))],
    "address": ["192.0.2.1", "192.0.2.9", "2001:db8::1"],
    "blob": [b"\x00\xff'", b"x"],
    "flag": [True],
    "parent": [1, 2],
}
ONE_PARAMETER = ("id", "text", "price", "moment", "day", "key")


@pytest.fixture(params=["postgresql", "mysql", "mariadb"])
def alias(
    request: pytest.FixtureRequest, three_owners: Servers, django_db_blocker: DjangoDbBlocker, tmp_path: Path
) -> Iterator[str]:
    """A server of each vendor is `default`, with three rows of `Kind`: the defaults, `OTHER`, and the defaults."""
    url = three_owners.url(request.param, "migrator")
    with (
        django_db_blocker.unblock(),
        connected(topology({"DATABASE_DEFAULT_URL": url}, data_dir=tmp_path).databases),
        override_settings(SWITCHYARD={"OWNERS": {"*": "default"}}),
        made("default"),
    ):
        first = Kind.objects.create()
        Kind.objects.create(**{**OTHER, "parent": first})
        Kind.objects.create(parent_id=first.pk)
        yield "default"


def found(condition: Any) -> list[int]:
    """Return the rows of the condition."""
    return list(Kind.objects.filter(condition).order_by("id").values_list("id", flat=True))


def is_mysql(alias: str) -> bool:
    """Return True for MySQL and MariaDB, whose text is compared without case unless a column says otherwise."""
    return connections[alias].vendor == "mysql"


@pytest.mark.parametrize("field", KEYS)
def test_key_list__same_as_in(field: str, alias: str) -> None:
    """The rows of the condition and of its negation are those of `field__in`, without the rule of SQL for NULL."""
    keys = [key for key in KEYS[field] if not isinstance(key, int) or key < 2**62]

    assert found(KeyList(field, KEYS[field])) == found(Q(**{f"{field}__in": keys}))
    assert found(KeyList(field, KEYS[field])) != []
    assert found(~Q(KeyList(field, KEYS[field]))) == found(~Q(**{f"{field}__in": keys}))


@pytest.mark.parametrize("field", ONE_PARAMETER)
def test_key_list__one_parameter(field: str, alias: str) -> None:
    """The keys are one parameter."""
    sql, params = Kind.objects.filter(KeyList(field, KEYS[field])).query.get_compiler(alias).as_sql()

    assert (sql.count("%s"), len(params)) == (1, 1)


def test_key_list__thousands(alias: str) -> None:
    """Ten thousand keys of each type that has one parameter find the rows among them."""
    keys = {
        "id": range(1, 10_001),
        "text": [*(f"name {number}" for number in range(10_000)), "Ada"],
        "price": [Decimal(number) / 10 for number in range(10_000)],
        "day": [dt.date(2026, 1, 2) + dt.timedelta(days=number) for number in range(10_000)],
        "key": [uuid.UUID(int=number) for number in range(10_000)],
    }

    assert {field: len(found(KeyList(field, values))) for field, values in keys.items()} == {
        "id": 3,
        "text": 3 if is_mysql(alias) else 2,  # "ADA" as well, by the collation of the column
        "price": 2,
        "day": 3,
        "key": 3,
    }


def test_key_list__index(alias: str) -> None:
    """The server finds the rows by the primary key."""
    Kind.objects.bulk_create([Kind() for _ in range(5000)])
    with connections[alias].cursor() as cursor:
        cursor.execute("ANALYZE TABLE test_kind" if is_mysql(alias) else "ANALYZE test_kind")
    plan = Kind.objects.filter(KeyList("id", [1, 2])).explain()

    assert ("PRIMARY" if is_mysql(alias) else "test_kind_pkey") in plan


@pytest.mark.parametrize("alias", ["mysql", "mariadb"], indirect=True)
@pytest.mark.parametrize("collation", ["latin1_general_cs", "utf8mb4_bin", "utf8mb4_unicode_ci"])
def test_key_list__collation(collation: str, alias: str) -> None:
    """A column of any character set and collation is compared by its own collation."""
    charset = collation.partition("_")[0]
    with connections[alias].cursor() as cursor:
        cursor.execute(f"ALTER TABLE test_kind MODIFY text varchar(20) CHARACTER SET {charset} COLLATE {collation}")

    assert len(found(KeyList("text", ["ada", "ADA", "é"]))) == (3 if collation.endswith("ci") else 1)


def test_key_list__text_without_place(alias: str) -> None:
    """A text that PostgreSQL cannot store matches nothing there, and does not disturb the other keys."""
    assert len(found(KeyList("text", ["a\0b", "ADA"]))) == (3 if is_mysql(alias) else 1)


def test_key_list__update_and_delete(alias: str) -> None:
    """The condition chooses the rows of an update and of a deletion."""
    assert Kind.objects.filter(KeyList("text", ["Ada"]), KeyList("id", [3, 9])).update(nothing=7) == 1
    assert Kind.objects.filter(KeyList("nothing", [7, 8])).delete()[0] == 1
    assert found(Q()) == [1, 2]
