"""The gauges that a worker writes while it runs."""

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.test import override_settings
from tests.support.waiting import until
from tests.unit.switchyard.migrations.conftest import empty_databases

from switchyard.crossdb.references.registry import Reference, references
from switchyard.crossdb.references.tombstones import State, Tombstone
from switchyard.crossdb.references.worker import reporting
from switchyard.crossdb.references.worker.reporting import gauges_of
from switchyard.crossdb.references.worker.stopping import Stop
from switchyard.telemetry.gauges import reference_gauges
from switchyard.telemetry.gauges.reference_gauges import ReferenceGauges, known_references

__all__ = ["empty_databases"]  # a fixture

LABEL = "analytics.AnalyticsEvent.user"


@pytest.fixture
def reference(db: None) -> Reference:
    """The reference of the service, with one tombstone that waits and one that was set aside."""
    Tombstone.objects.using("default").all().delete()
    for state in (State.WAITING, State.SET_ASIDE):
        Tombstone.objects.using("default").create(reference=LABEL, parent_key="1", state=state)
    (found,) = references()
    return found


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """The METRICS_DIR of the worker."""
    with override_settings(SWITCHYARD={**settings.SWITCHYARD, "METRICS_DIR": str(tmp_path)}):
        yield tmp_path


@pytest.mark.django_db(databases=["default"])
def test_gauges__of_a_reference(reference: Reference) -> None:
    """The gauges have the reference, its owners and its tombstones."""
    found = gauges_of(reference)

    assert found._replace(oldest_age_seconds=0.0) == ReferenceGauges(LABEL, "default", "analytics", 1, 1, 0.0)
    assert 0 <= found.oldest_age_seconds < 30


def test_reporting__while_the_worker_runs(empty_databases: Path, directory: Path) -> None:
    """In the block a thread writes the gauges into METRICS_DIR; at its end the thread is gone."""
    call_command("migrate", database="default", verbosity=0)
    Tombstone.objects.using("default").create(reference=LABEL, parent_key="1")
    stop = Stop()
    with reporting.reporting(references(), stop):
        until(lambda: LABEL in known_references(directory), "gauges of the reference")
        running = _threads()
        stop.set()

    assert running == ["switchyard-references-default"]
    assert _threads() == []
    assert known_references(directory)[LABEL]["waiting"] == 1


@pytest.mark.django_db(databases=[])
def test_reporting__without_metrics_dir() -> None:
    """Without METRICS_DIR no thread reads anything."""
    with (
        override_settings(SWITCHYARD={**settings.SWITCHYARD, "METRICS_DIR": None}),
        reporting.reporting(references(), Stop()),
    ):
        assert _threads() == []


@pytest.mark.django_db(databases=["default"])
def test_report__unknown_reference(reference: Reference, tmp_path: Path) -> None:
    """A reference that only tombstones name has gauges without a target."""
    Tombstone.objects.using("default").create(reference="shop.Order.user", parent_key="1")
    reporting._report([reference], reference_gauges.claim(tmp_path))
    found = known_references(tmp_path)

    assert found.keys() == {LABEL, "default: shop.Order.user"}
    unknown = found["default: shop.Order.user"]
    assert (unknown["source"], unknown["target"], unknown["waiting"]) == ("default", "", 1)


@pytest.mark.django_db(databases=["default"])
def test_report__owner_that_cannot_be_read(reference: Reference, tmp_path: Path) -> None:
    """The numbers of before stay, and become old; nothing is raised."""
    path = reference_gauges.claim(tmp_path)
    reporting._report([reference], path)
    before = path.read_text()
    with connections["default"].cursor() as cursor:
        cursor.execute("DROP TABLE switchyard_tombstone")
    reporting._report([reference], path)

    assert path.read_text() == before


def test_run__a_directory_that_is_gone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The thread ends with one line of the log."""
    caplog.set_level(logging.INFO)
    reporting._run([], tmp_path / "nowhere", Stop())

    assert [record.message for record in caplog.records] == [
        "References have no gauges, METRICS_DIR cannot be written: No such file or directory."
    ]


@pytest.mark.parametrize(("reading", "pause"), [(0.01, 5.0), (0.5, 10.0), (60.0, 20.0)])
def test_pause__after_a_reading(reading: float, pause: float) -> None:
    """A reading that takes long is repeated less often, but before its numbers are too old to be shown."""
    assert reporting._pause_seconds(reading) == pytest.approx(pause)


def _threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("switchyard-references")]
