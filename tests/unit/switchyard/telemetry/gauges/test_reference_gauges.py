"""The gauges of references, from the files of the workers."""

import json
import time
from pathlib import Path

from switchyard.telemetry.exporter import SharedCounters
from switchyard.telemetry.gauges.reference_gauges import (
    ReferenceGauges,
    claim,
    known_references,
    reference_gauges,
    write,
)

EVENTS = ReferenceGauges("analytics.Event.user", "default", "analytics", waiting=3, set_aside=1, oldest_age_seconds=7.5)
LABELS = ("default", "analytics", "analytics.Event.user")


def gauges(directory: Path) -> dict[tuple[str, ...], float]:
    """Return each gauge by its name, source, target and reference."""
    return {
        (sample.name, *(sample.labels[label] for label in ("source", "target", "reference"))): sample.value
        for metric in reference_gauges(directory)
        for sample in metric.samples
    }


def written_before(directory: Path, number: int, seconds: float, *found: ReferenceGauges) -> None:
    """Write the file of a worker as it did some seconds ago."""
    content = {"written_at": time.monotonic() - seconds, "references": [each._asdict() for each in found]}
    (directory / f"references-{number}").write_text(json.dumps(content))


def test_reference_gauges__no_worker(tmp_path: Path) -> None:
    """Before a worker reports there are no values."""
    assert gauges(tmp_path) == {}


def test_reference_gauges__of_one_worker(tmp_path: Path) -> None:
    """Each reference has the tombstones that wait, those set aside, and the age of the oldest one that waits."""
    write(claim(tmp_path), [EVENTS])

    assert gauges(tmp_path) == {
        ("switchyard_tombstones_waiting", *LABELS): 3,
        ("switchyard_tombstones_set_aside", *LABELS): 1,
        ("switchyard_tombstone_oldest_age_seconds", *LABELS): 7.5,
    }


def test_reference_gauges__without_a_target(tmp_path: Path) -> None:
    """Gauges without a target are of tombstones that no worker takes, and hide no reference of the same name."""
    unknown = EVENTS._replace(source="other", target="", waiting=8)
    write(claim(tmp_path), [EVENTS, unknown])
    found = gauges(tmp_path)

    assert found["switchyard_tombstones_waiting", *LABELS] == 3
    assert found["switchyard_tombstones_waiting", "other", "", "analytics.Event.user"] == 8


def test_reference_gauges__of_several_workers(tmp_path: Path) -> None:
    """Workers report the same tombstones: the newest numbers of each reference hold, and nothing is added."""
    other = EVENTS._replace(reference="shop.Order.user", waiting=8)
    written_before(tmp_path, 0, 1.0, EVENTS._replace(waiting=2))
    written_before(tmp_path, 1, 6.0, EVENTS, other)

    waiting = {key[3]: value for key, value in gauges(tmp_path).items() if key[0] == "switchyard_tombstones_waiting"}
    assert waiting == {"analytics.Event.user": 2, "shop.Order.user": 8}


def test_reference_gauges__of_a_worker_that_ended(tmp_path: Path) -> None:
    """What nobody writes any more is left out."""
    written_before(tmp_path, 0, 60.0, EVENTS)

    assert gauges(tmp_path) == {}


def test_known_references__when_they_were_read(tmp_path: Path) -> None:
    """The gauges come with the time of their writing."""
    written_before(tmp_path, 0, 6.0, EVENTS)
    age = time.monotonic() - known_references(tmp_path)[EVENTS.reference]["written_at"]

    assert 6 <= age < 30


def test_exporter__gauges_of_references(tmp_path: Path) -> None:
    """The exporter shows the gauges."""
    write(claim(tmp_path), [EVENTS])

    assert {metric.name for metric in SharedCounters(str(tmp_path)).collect()} == {
        "switchyard_build_info",
        "switchyard_tombstones_waiting",
        "switchyard_tombstones_set_aside",
        "switchyard_tombstone_oldest_age_seconds",
    }
