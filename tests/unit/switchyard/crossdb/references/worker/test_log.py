"""The records of the worker's log."""

import logging

import pytest
from django.db import OperationalError, connections

from switchyard.crossdb.references.registry import references
from switchyard.crossdb.references.tombstones import Tombstone
from switchyard.crossdb.references.worker import claims, worker
from switchyard.crossdb.references.worker.stopping import Stop
from switchyard.crossdb.references.worker.worker import Worker

LABEL = "analytics.AnalyticsEvent.user"


@pytest.mark.django_db(databases=[])
def test_log__names_the_reference(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record about a reference has its name and its owners as attributes of their own."""
    caplog.set_level(logging.INFO, worker.__name__)
    answers = [OperationalError("hangs"), []]

    def claim(_reference: object) -> object:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(claims, "claim", claim)
    found = Worker(references())
    found.round(Stop())
    found._not_before[LABEL] = 0.0  # another attempt at once
    found.round(Stop())

    assert [(each.levelname, each.reference, each.source, each.target) for each in caplog.records] == [  # type: ignore[attr-defined]
        ("WARNING", LABEL, "default", "analytics"),
        ("INFO", LABEL, "default", "analytics"),
    ]


@pytest.mark.django_db(databases=["default"])
def test_log__unknown_reference(caplog: pytest.LogCaptureFixture) -> None:
    """Tombstones that no worker takes are counted in a warning with their reference and the remedy."""
    Tombstone.objects.using("default").all().delete()
    for label in (LABEL, "shop.Order.user", "shop.Order.user"):
        Tombstone.objects.using("default").create(reference=label, parent_key="1")
    Worker(references()).warn_of_unknown()

    (found,) = caplog.messages
    assert found.startswith(
        "'default' has 2 tombstones of shop.Order.user, whose deletions no installed model records."
    )
    assert "UPDATE switchyard_tombstone SET reference" in found


@pytest.mark.django_db(databases=["default"])
def test_log__unknown_reference_of_an_unreadable_owner(caplog: pytest.LogCaptureFixture) -> None:
    """An owner that cannot be read stops nothing here: the rounds of the worker report it."""
    with connections["default"].cursor() as cursor:
        cursor.execute("DROP TABLE switchyard_tombstone")
    Worker(references()).warn_of_unknown()

    assert caplog.messages == []
