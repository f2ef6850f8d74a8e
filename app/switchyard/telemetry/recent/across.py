"""What crossed databases since the counters began: each counter with a source and a target. No Django, no settings."""

from collections.abc import Sequence

from switchyard.telemetry.layout import Layout

# The metric, the source, the target, the value of the third label, and the count.
type Count = tuple[str, str, str, str, float]

_LABELS = ("source", "target")


def counts_across(layout: Layout, totals: Sequence[float]) -> list[Count]:
    """Return the counts by metric, source, target and the third label, without those that are 0."""
    return [
        (family.name, source, target, value, cells[0])
        for family, children in layout.children(totals)
        if family.labels[:2] == _LABELS and not family.buckets
        for (source, target, value), cells in children
        if cells[0]
    ]
