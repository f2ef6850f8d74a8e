"""The counters of this process, by one of their labels."""

from collections import Counter

from switchyard.telemetry import snapshot


def counted(metric: str, by: str, **labels: str) -> Counter[str]:
    """Return the counts of the metric by a label, summed over the samples that have these labels."""
    found: Counter[str] = Counter()
    for (name, pairs), value in snapshot().items():
        if name == metric and labels.items() <= dict(pairs).items():
            found[dict(pairs)[by]] += int(value)
    return found
