"""The references that only tombstones name."""

from collections.abc import Iterator

import pytest
from django.conf import settings
from django.db import connections
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from switchyard.crossdb.references.registry import references
from switchyard.crossdb.references.tombstones import State, Tombstone
from switchyard.crossdb.references.unknown import UnknownReference, unknown_references

pytestmark = pytest.mark.django_db(databases=["default"])

LABEL = "analytics.AnalyticsEvent.user"


@pytest.fixture(autouse=True)
def _no_tombstones(db: None) -> None:
    Tombstone.objects.using("default").all().delete()


def tombstones(*labels: str, state: State = State.WAITING) -> None:
    """Make a tombstone of each label."""
    Tombstone.objects.using("default").bulk_create(
        [Tombstone(reference=label, parent_key="1", state=state) for label in labels]
    )


def unknown() -> list[str]:
    """Return the labels of the unknown references on `default`."""
    return [each.label for each in unknown_references("default", references(recorded_only=True))]


def test_unknown__each_label_once() -> None:
    """A label that no installed model records is found once, among and beside the known one."""
    tombstones(LABEL, "analytics.Old.user", "analytics.Old.user", LABEL, "shop.Order.user")

    assert unknown() == ["analytics.Old.user", "shop.Order.user"]


@pytest.mark.parametrize(("state", "expected"), [(State.SET_ASIDE, ["shop.Order.user"]), (State.HANDLED, [])])
def test_unknown__by_state(state: State, expected: list[str]) -> None:
    """A tombstone that was set aside is still to be done, a handled one is not."""
    tombstones("shop.Order.user", state=state)

    assert unknown() == expected


@pytest.fixture
def _moved_parents() -> Iterator[None]:
    owners = {**settings.SWITCHYARD["OWNERS"], "accounts": "analytics"}
    with override_settings(SWITCHYARD={**settings.SWITCHYARD, "OWNERS": owners}):
        yield


@pytest.mark.usefixtures("_moved_parents")
def test_unknown__parents_of_another_owner() -> None:
    """A reference whose parents have another owner now has no tombstones here."""
    tombstones(LABEL)

    assert unknown() == [LABEL]


def test_unknown__queries() -> None:
    """Each label takes one query by the index, however many tombstones it has, and an unknown one takes two."""
    tombstones(*[LABEL] * 5, *["shop.Order.user"] * 5)
    with CaptureQueriesContext(connections["default"]) as queries:
        unknown()
        with connections["default"].cursor() as cursor:
            cursor.execute("EXPLAIN QUERY PLAN " + queries[0]["sql"])
            plan = " ".join(row[3] for row in cursor.fetchall())

    assert len(queries) == 5  # two labels, the end, one unknown label, and the plan
    assert "USING INDEX switchyard_tombstone_due (reference>?)" in plan


def test_remedy__of_a_label() -> None:
    """The remedy is SQL with the label, and runs on the owner of the tombstones."""
    remedy = UnknownReference("default", "shop.Order.user").remedy

    assert "run on 'default': UPDATE switchyard_tombstone SET reference =" in remedy
    assert "DELETE FROM switchyard_tombstone WHERE reference = 'shop.Order.user'" in remedy
