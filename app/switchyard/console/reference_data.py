"""What the console tells of references and queries across databases. No queries: the worker reports its tombstones."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from switchyard.console.pods.adding import AllPods
from switchyard.crossdb.references.registry import Reference, references
from switchyard.telemetry.metrics import CROSS_DATABASE_KEYS, CROSS_DATABASE_QUERIES, REFERENCE_CHILDREN, TOMBSTONES

_COUNTED = {
    TOMBSTONES: "tombstones",
    REFERENCE_CHILDREN: "children",
    CROSS_DATABASE_QUERIES: "queries",
    CROSS_DATABASE_KEYS: "keys",
}


def references_data(pods: AllPods) -> list[dict[str, Any]]:
    """Return the entry of each reference; its numbers are None if no worker in these pods reports them.

    Entries without a target are of tombstones that no worker takes, because no installed model records these deletions.
    """
    known = [_entry(reference, pods.references.get(reference.label, {})) for reference in references()]
    return known + [_unknown(gauges) for _, gauges in sorted(pods.references.items()) if not gauges["target"]]


def across_data(pods: AllPods) -> list[dict[str, Any]]:
    """Return what was counted from a source to a target since the counters began, by outcome and by strategy."""
    found: dict[tuple[str, str], dict[str, dict[str, int]]] = defaultdict(
        lambda: {kind: {} for kind in _COUNTED.values()}
    )
    for (metric, source, target, value), count in sorted(pods.across.items()):
        if metric in _COUNTED:  # a pod of another release may count something else
            found[source, target][_COUNTED[metric]][value] = int(count)
    return [{"source": source, "target": target, **counts} for (source, target), counts in found.items()]


def _entry(reference: Reference, gauges: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "reference": reference.label,
        "parent": reference.parent._meta.label,
        "source": reference.parent_owner,
        "target": reference.child_owner,
        "rule": reference.rule,
        "recorded_by": reference.recorded_by,
        **_numbers(gauges),
    }


def _unknown(gauges: Mapping[str, Any]) -> dict[str, Any]:
    named = {name: gauges[name] for name in ("reference", "source", "target")}
    return {**named, "parent": "", "rule": "", "recorded_by": "", **_numbers(gauges)}


def _numbers(gauges: Mapping[str, Any]) -> dict[str, Any]:
    return {name: gauges.get(name) for name in ("waiting", "oldest_age_seconds", "set_aside", "read_seconds_ago")}
