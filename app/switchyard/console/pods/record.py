"""What one pod knows: its recording, its events and its servers. Read from this pod's memory, or from an answer."""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from switchyard.telemetry.recent.across import Count
from switchyard.telemetry.recent.entries import Entry
from switchyard.telemetry.recent.history import Recording
from switchyard.telemetry.recent.ring import HISTORY_SECONDS, Sample


@dataclass(frozen=True)
class PodRecord:
    """The record of one pod. `label` names it on the page."""

    pod: str  # its random name; empty without METRICS_DIR
    label: str
    recording: Recording
    statements: Sequence[Entry]
    violations: Sequence[Entry]
    pools: Mapping[str, Mapping[str, int]]  # by alias
    reasons: Mapping[str, str]  # by alias, why it is not used there; empty if it is used
    problems: Mapping[str, float]  # since when there is each problem
    references: Mapping[str, Mapping[str, Any]]  # the gauges of each reference that a worker in the pod reports
    across: Sequence[Count]
    runs_worker: bool = False  # of references across databases

    @classmethod
    def from_answer(cls, answer: Mapping[str, Any], label: str) -> Self:
        """Return the record that a pod has sent. Raises KeyError, TypeError or ValueError for anything else."""
        newest_at, *newest = answer["newest"] or [0.0]
        return cls(
            pod=answer["pod"],
            label=label,
            recording=Recording(
                columns={tuple(column): index for index, column in enumerate(answer["columns"])},
                samples=[Sample(at, array("d", values)) for at, *values in answer["samples"]],
                newest=Sample(newest_at, array("d", newest)),
            ),
            statements=answer["statements"],
            violations=answer["violations"],
            pools=answer["pools"],
            reasons=answer["reasons"],
            problems=answer["problems"],
            references=answer.get("references", {}),  # a pod of an earlier release sends none
            across=answer.get("across", ()),
            runs_worker=answer.get("runs_worker", False),
        )

    def continues(self, earlier: "PodRecord") -> bool:
        """Return True if the earlier record is of the same pod and has the same columns."""
        return (earlier.pod, earlier.recording.columns) == (self.pod, self.recording.columns)

    def after(self, earlier: "PodRecord") -> "PodRecord":
        """Return this record with the samples of the earlier one, which come before its own."""
        since = self.recording.newest.at - HISTORY_SECONDS
        kept = [sample for sample in earlier.recording.samples if sample.at > since]
        return replace(self, recording=replace(self.recording, samples=[*kept, *self.recording.samples]))
