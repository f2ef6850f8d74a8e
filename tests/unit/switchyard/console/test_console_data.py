"""The pods of the console's data: pods of the service, and pods of the worker of references."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.test import RequestFactory, override_settings

from switchyard.console.console_data import console_data
from switchyard.console.pods.record import PodRecord
from switchyard.console.pods.round import Round
from switchyard.console.views import console
from switchyard.telemetry.gauges import reference_gauges
from switchyard.telemetry.gauges.reference_gauges import ReferenceGauges

LABEL = "analytics.AnalyticsEvent.user"
GAUGES = ReferenceGauges(LABEL, "default", "analytics", waiting=4, set_aside=0, oldest_age_seconds=2.0)


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """The METRICS_DIR of this pod; the counters of this process stay in its memory."""
    with override_settings(SWITCHYARD={**settings.SWITCHYARD, "METRICS_DIR": str(tmp_path)}):
        yield tmp_path


def worker_record() -> PodRecord:
    """Return the record of a worker that reports a backlog."""
    empty: dict[str, Any] = {"columns": [], "samples": [], "newest": [], "statements": [], "violations": []}
    references = {LABEL: {**GAUGES._asdict(), "read_seconds_ago": 1.0}}
    others = {"pools": {}, "reasons": {}, "problems": {}, "references": references, "runs_worker": True}
    return PodRecord.from_answer({"pod": "w", **empty, **others}, "81c0")


def known(monkeypatch: pytest.MonkeyPatch, found: Round) -> None:
    """Let the round of questions to the other pods have this result."""
    monkeypatch.setattr("switchyard.console.console_data.ask_peers", lambda _own_pod: found)


def page() -> str:
    """Return the page as a member of staff gets it."""
    request = RequestFactory().get("/console/")
    request.user = get_user_model()(is_staff=True, is_active=True)
    return console(request).content.decode()


def test_pods__worker(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pod of the worker is told from those of the service, and its backlog is that of the reference."""
    known(monkeypatch, Round(records=[worker_record()], missing=["de24"], workers={"81c0"}))
    data = console_data()

    assert [(each["answers"], each["worker"]) for each in data["pods"]] == [(True, False), (True, True), (False, False)]
    assert [each["waiting"] for each in data["references"]] == [4]


def test_pods__that_run_both(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where this pod serves and runs a worker, another pod that runs one serves as well."""
    reference_gauges.claim(directory)
    known(monkeypatch, Round(records=[worker_record()], workers={"81c0"}))

    assert [each["worker"] for each in console_data()["pods"]] == [False, False]


def test_page__worker(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page counts the worker apart from the pods of the service."""
    known(monkeypatch, Round(records=[worker_record()], workers={"81c0"}))

    assert "</time>, 1 pod and 1 worker of references" in page()


def test_page__worker_that_does_not_answer(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page names a worker that does not answer, and no number of its reference."""
    known(monkeypatch, Round(missing=["81c0"], workers={"81c0"}))
    shown = page()

    assert "</time>, 1 pod and 0 of 1 worker of references" in shown
    assert '<span class="state warning">worker 81c0</span> <strong>does not answer</strong>' in shown
    assert "no worker reports" in shown.split('<div id="references">')[1].split("</section>")[0]
