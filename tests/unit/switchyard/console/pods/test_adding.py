"""The records of several pods as one."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from switchyard.console.pods.adding import all_pods, sum_of
from switchyard.console.pods.record import PodRecord
from switchyard.telemetry.recent.entries import KEPT_OF_AN_ALIAS
from switchyard.telemetry.recent.history import Column, Recording
from switchyard.telemetry.recent.ring import Sample

READS: Column = ("queries", "default", "read")
WRITES: Column = ("queries", "default", "write")
START = 1_800_000_000.0


def recording(*points: tuple[float, Sequence[float]], columns: Sequence[Column] = (READS,)) -> Recording:
    """Return a recording with these counts at these seconds after the start; the last one is the newest."""
    *samples, newest = [Sample(START + seconds, values) for seconds, values in points]
    return Recording({column: index for index, column in enumerate(columns)}, samples, newest)


def counted(found: Recording, column: Column = READS) -> list[tuple[float, float]]:
    """Return the counts of a column with their seconds after the start."""
    index = found.columns[column]
    return [(sample.at - START, sample.values[index]) for sample in (*found.samples, found.newest)]


def record(label: str, **given: Any) -> PodRecord:
    """Return the record of a pod that has done nothing but what is given."""
    empty = PodRecord(label, label, recording((0.0, [0.0])), (), (), {}, {}, {}, {}, ())
    return replace(empty, **given)


def test_sum__of_one_pod() -> None:
    """The sum of one pod is its own recording."""
    own = recording((0.0, [1.0]), (5.0, [2.0]))

    assert sum_of([own]) is own


def test_sum__newest_counts() -> None:
    """The counts of now are added exactly, whenever the pods were asked."""
    one, other = recording((0.0, [1.0]), (7.0, [5.0])), recording((1.0, [10.0]), (6.9, [17.0]))

    assert counted(sum_of([one, other]))[-1] == (7.0, 22.0)


def test_sum__between_samples() -> None:
    """A pod that samples at another moment has counted evenly between its samples."""
    one = recording((0.0, [0.0]), (10.0, [0.0]), (20.0, [0.0]))
    other = recording((-5.0, [0.0]), (15.0, [40.0]), (20.0, [40.0]))

    assert counted(sum_of([one, other])) == [(-5.0, 0.0), (0.0, 10.0), (10.0, 30.0), (15.0, 40.0), (20.0, 40.0)]


def test_sum__pod_that_started_later() -> None:
    """What a pod had counted before its first sample is no work of that moment."""
    one = recording((0.0, [0.0]), (5.0, [5.0]), (10.0, [10.0]), (11.0, [11.0]))
    other = recording((10.0, [1000.0]), (11.0, [1001.0]))

    assert counted(sum_of([one, other])) == [(0.0, 1000.0), (5.0, 1005.0), (10.0, 1010.0), (11.0, 1012.0)]


def test_sum__history_of_others() -> None:
    """A pod that has just started shows the history of the others."""
    own = recording((14.0, [0.0]), (15.0, [1.0]))
    other = recording((0.0, [0.0]), (5.0, [50.0]), (14.5, [60.0]))

    assert [seconds for seconds, _count in counted(sum_of([own, other]))] == [0.0, 5.0, 14.0, 15.0]


def test_sum__other_columns() -> None:
    """Of a pod of another release, the columns with the same meaning count."""
    own = recording((0.0, [1.0, 2.0]), (5.0, [1.0, 2.0]), columns=(READS, WRITES))
    other = recording((0.0, [7.0, 9.0]), (5.0, [7.0, 9.0]), columns=(("queries", "new", "read"), READS))
    found = sum_of([own, other])

    assert found.columns == own.columns
    assert counted(found, READS)[-1] == (5.0, 10.0)
    assert counted(found, WRITES)[-1] == (5.0, 2.0)


def test_sum__pod_without_counts() -> None:
    """A pod whose service has not counted yet adds nothing."""
    own = recording((0.0, [1.0]), (5.0, [2.0]))
    other = PodRecord.from_answer(
        {
            "pod": "b",
            "columns": [],
            "samples": [],
            "newest": [],
            "statements": [],
            "violations": [],
            "pools": {},
            "reasons": {},
            "problems": {},
            "references": {},
            "across": [],
        },
        "b",
    )

    assert counted(sum_of([own, other.recording])) == [(0.0, 1.0), (5.0, 2.0)]


def test_pods__pools() -> None:
    """The connections of the pools are added."""
    pool = {"used": 1, "idle": 0, "max": 4, "pending_requests": 2}

    assert all_pods([record("a", pools={"default": pool}), record("b", pools={"default": pool})]).pools == {
        "default": {"used": 2, "idle": 0, "max": 8, "pending_requests": 4}
    }


def test_pods__equal_violations() -> None:
    """A violation at one place in two pods is one line, with both pods, the sum, and the time of the last one."""
    violation = {"kind": "stale_save", "alias": "default", "reason": "R.", "place": "a.py:1 in b", "count": 2}
    one = record("a", violations=[violation | {"at": START}])
    other = record("b", violations=[violation | {"at": START + 1}, violation | {"at": START, "place": "c"}])
    found = all_pods([one, other]).violations

    assert found == [
        violation | {"at": START + 1, "count": 4, "pods": ["a", "b"]},
        violation | {"at": START, "place": "c", "pods": ["b"]},
    ]


def test_pods__statements_are_bounded() -> None:
    """Of all pods together, as many lines are kept for an alias as of one pod."""
    statement = {"alias": "default", "calls": 1, "seconds": 0.2, "slowest_seconds": 0.2, "errors": {}}
    records = [
        record(label, statements=[statement | {"statement": f"{label} {n}", "last_at": START + n} for n in range(15)])
        for label in ("a", "b", "c")
    ]

    assert len(all_pods(records).statements) == KEPT_OF_AN_ALIAS


def test_pods__reasons() -> None:
    """Why a server is not used stands beside the pod that says so."""
    found = all_pods([record("a"), record("b", reasons={"replica": "down"}), record("c", reasons={"replica": ""})])

    assert found.reasons == {"replica": {"b": "down", "c": ""}}


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_pods__problems(order: tuple[str, str]) -> None:
    """A problem has been there since the first pod has had it."""
    times = {"a": START + 5, "b": START}

    assert all_pods([record(pod, problems={"replica down": times[pod]}) for pod in order]).problems == {
        "replica down": START
    }


def test_pods__references() -> None:
    """All workers see the same tombstones: the numbers that were read last hold, whichever pod comes first."""
    old, new = {"waiting": 9, "read_seconds_ago": 6.0}, {"waiting": 7, "read_seconds_ago": 1.0}
    records = [record("a", references={"r": old}), record("b", references={"r": new, "s": old}), record("c")]

    assert all_pods(records).references == all_pods(records[::-1]).references == {"r": new, "s": old}


def test_pods__counts_across_databases() -> None:
    """The counts of all pods are added."""
    handled = ("switchyard_tombstones_total", "default", "analytics", "handled")
    deleted = ("switchyard_reference_children_total", "default", "analytics", "deleted")
    records = [record("a", across=[(*handled, 2.0)]), record("b", across=[(*handled, 3.0), (*deleted, 5.0)])]

    assert all_pods(records).across == {handled: 5.0, deleted: 5.0}
