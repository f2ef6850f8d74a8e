"""The records of several pods as one: counts added up, events merged, states side by side. No I/O."""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from switchyard.console.pods.record import PodRecord
from switchyard.telemetry.recent.entries import Entry, Kind, merged
from switchyard.telemetry.recent.history import Column, Recording
from switchyard.telemetry.recent.ring import INTERVAL_SECONDS, Sample, Values
from switchyard.telemetry.recent.statements import STATEMENTS
from switchyard.telemetry.recent.violations import VIOLATIONS

# The metric, the source, the target, and the value of the third label.
type AcrossKey = tuple[str, str, str, str]


@dataclass(frozen=True)
class AllPods:
    """What all pods together know. `reasons` is why an alias is not used, by alias and by the label of the pod.

    All workers report the same tombstones, so `references` has the newest gauges of each reference, and no sums.
    """

    recording: Recording
    statements: Sequence[Entry]
    violations: Sequence[Entry]
    pools: Mapping[str, Mapping[str, int]]
    reasons: Mapping[str, Mapping[str, str]]
    problems: Mapping[str, float]
    references: Mapping[str, Mapping[str, Any]]
    across: Mapping[AcrossKey, float]


def all_pods(records: Sequence[PodRecord]) -> AllPods:
    """Return the sum of the records. The first one is that of this pod, whose columns count."""
    pools: dict[str, Counter[str]] = defaultdict(Counter)
    reasons: dict[str, dict[str, str]] = defaultdict(dict)
    problems: dict[str, float] = {}
    references: dict[str, Mapping[str, Any]] = {}
    across: dict[AcrossKey, float] = defaultdict(float)
    for record in records:
        for alias, gauges in record.pools.items():
            pools[alias].update(gauges)
        for alias, reason in record.reasons.items():
            reasons[alias][record.label] = reason
        for problem, since in record.problems.items():
            problems[problem] = min(since, problems.get(problem, since))
        for reference, gauges in record.references.items():
            known = references.get(reference)
            if known is None or gauges["read_seconds_ago"] < known["read_seconds_ago"]:
                references[reference] = gauges
        for metric, source, target, value, count in record.across:
            across[metric, source, target, value] += count
    return AllPods(
        recording=sum_of([record.recording for record in records]),
        statements=_events(STATEMENTS, ((record.label, record.statements) for record in records)),
        violations=_events(VIOLATIONS, ((record.label, record.violations) for record in records)),
        pools=pools,
        reasons=reasons,
        problems=problems,
        references=references,
        across=across,
    )


def sum_of(recordings: Sequence[Recording]) -> Recording:
    """Return the counts of several pods added up, at the times at which any of them has a sample.

    Pods sample at different moments: between two of its samples a pod has counted evenly, and before its first one
    nothing. Of two times in one interval the one of the first pod stands.
    """
    first = recordings[0]
    if len(recordings) == 1:
        return first
    times: dict[int, float] = {}
    for sample in chain.from_iterable(recording.samples for recording in recordings):
        times.setdefault(int(sample.at // INTERVAL_SECONDS), sample.at)
    moments = sorted(at for at in times.values() if at < first.newest.at)
    lines = [_Line(recording, first.columns) for recording in recordings]
    return Recording(
        columns=first.columns,
        samples=[Sample(at, _added(line.at(at) for line in lines)) for at in moments],
        newest=Sample(first.newest.at, _added(line.newest for line in lines)),
    )


class _Line:
    """The counts of one pod as a line through its samples, in the columns of another pod."""

    def __init__(self, recording: Recording, columns: Mapping[Column, int]) -> None:
        indexes = [recording.columns.get(column) for column in columns]
        self._is_same = indexes == list(range(len(recording.columns)))
        self._indexes = indexes
        self.newest = self._values(recording.newest.values)
        self._points = [*recording.samples, recording.newest]
        self._times = [point.at for point in self._points]

    def at(self, at: float) -> Values:
        """Return the counts at the Unix time."""
        later = bisect_left(self._times, at)
        if later == 0 or later == len(self._times):
            return self._values(self._points[min(later, len(self._times) - 1)].values)
        (begin, before), (end, after) = self._points[later - 1], self._points[later]
        share = (at - begin) / (end - begin)
        return self._values([low + share * (high - low) for low, high in zip(before, after, strict=True)])

    def _values(self, values: Values) -> Values:
        if self._is_same:
            return values
        return [0.0 if index is None or not values else values[index] for index in self._indexes]


def _added(lines: Iterable[Values]) -> Values:
    return [sum(values) for values in zip(*lines, strict=True)]


def _events(kind: Kind, by_pod: Iterable[tuple[str, Sequence[Entry]]]) -> list[Entry]:
    """Return the events of all pods, equal ones once, each with the pods where it happened."""
    labelled = replace(kind, merge=lambda one, other: _merged(kind, one, other))
    entries = [entry | {"pods": [label]} for label, of_pod in by_pod for entry in of_pod]
    return list(merged(labelled, sorted(entries, key=lambda entry: entry[kind.last_at])))


def _merged(kind: Kind, one: Entry, other: Entry) -> Entry:
    return kind.merge(one, other) | {"pods": sorted({*one["pods"], *other["pods"]})}
