"""Gauges of the tombstones of each reference across databases. No Django and no settings.

The processes of `crossdb_worker` read the tombstones and write the numbers into a file of METRICS_DIR each. They all
report the same tombstones, so the newest numbers of a reference hold, and are not added to others.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from prometheus_client.core import GaugeMetricFamily, Metric

from switchyard.telemetry.gauges import process_files

INTERVAL_SECONDS = 5.0  # between two readings of a reference
MAX_INTERVAL_SECONDS = 20.0  # where a reading takes long
_TIMEOUT_SECONDS = 30.0  # older numbers are those of a process that is gone, or whose database does not answer
_KIND = "references"
_LABELS = ("source", "target", "reference")


class ReferenceGauges(NamedTuple):
    """The tombstones of one reference, as the owner of the parents had them."""

    reference: str  # app.Model.field of the child
    source: str  # the owner of the parents
    target: str  # the owner of the children; empty if no installed model records the deletions
    waiting: int
    set_aside: int
    oldest_age_seconds: float  # of those that wait; 0 if none waits


def claim(directory: Path) -> Path:
    """Return a file of the directory for the gauges of one writer. Raises OSError if there can be none."""
    return process_files.claim(directory, _KIND)


def write(path: Path, gauges: Iterable[ReferenceGauges]) -> None:
    """Replace the gauges of one writer. Raises OSError if the file cannot be written."""
    process_files.write(path, {"references": [each._asdict() for each in gauges]})


def has_writer(directory: str | Path) -> bool:
    """Return True if a worker has claimed a file of the directory, also if it reports nothing now."""
    return any(Path(directory).glob(f"{_KIND}-*"))


def known_references(directory: str | Path) -> Mapping[str, Mapping[str, Any]]:
    """Return the newest gauges of each reference, and in `written_at` when they were written.

    The key is the reference; for one whose deletions no installed model records, the owner and the reference.
    """
    return {
        _key(gauges): {**gauges, "written_at": content["written_at"]}
        for content in process_files.read(directory, _KIND, seconds=_TIMEOUT_SECONDS)
        for gauges in content["references"]
    }


def _key(gauges: Mapping[str, Any]) -> str:
    reference: str = gauges["reference"]
    return reference if gauges["target"] else f"{gauges['source']}: {reference}"


def reference_gauges(directory: str | Path) -> Iterator[Metric]:
    """Yield the gauges of each reference that a process reports."""
    waiting = GaugeMetricFamily("switchyard_tombstones_waiting", "Deleted parents that wait.", labels=_LABELS)
    set_aside = GaugeMetricFamily(
        "switchyard_tombstones_set_aside", "Deleted parents that failed too often.", labels=_LABELS
    )
    oldest = GaugeMetricFamily(
        "switchyard_tombstone_oldest_age_seconds", "Age of the oldest one that waits.", labels=_LABELS
    )
    for _, gauges in sorted(known_references(directory).items()):
        labels = [gauges[name] for name in _LABELS]
        waiting.add_metric(labels, gauges["waiting"])
        set_aside.add_metric(labels, gauges["set_aside"])
        oldest.add_metric(labels, gauges["oldest_age_seconds"])
    yield from (metric for metric in (waiting, set_aside, oldest) if metric.samples)
