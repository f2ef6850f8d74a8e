"""The records of the worker's log."""

import logging

import pytest
from django.db import OperationalError

from switchyard.crossdb.references.registry import references
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
