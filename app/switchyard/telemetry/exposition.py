"""Counters in the words of Prometheus's client library."""

from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.utils import floatToGoString

from switchyard.telemetry.layout import Family, Layout


def metrics(layout: Layout, totals: Sequence[float]) -> Iterator[Metric]:
    """Yield each family of the layout with all its children."""
    for family, children in layout.children(totals):
        yield _histogram(family, children) if family.buckets else _counter(family, children)


def _counter(family: Family, children: Iterator[tuple[Sequence[str], Sequence[float]]]) -> Metric:
    metric = CounterMetricFamily(family.name, family.help, labels=family.labels)
    for values, cells in children:
        metric.add_metric(values, cells[0])
    return metric


def _histogram(family: Family, children: Iterator[tuple[Sequence[str], Sequence[float]]]) -> Metric:
    metric = HistogramMetricFamily(family.name, family.help, labels=family.labels)
    bounds = [*map(floatToGoString, family.buckets), "+Inf"]
    for values, (*counts, seconds) in children:
        metric.add_metric(values, list(zip(bounds, accumulate(counts), strict=True)), seconds)
    return metric
