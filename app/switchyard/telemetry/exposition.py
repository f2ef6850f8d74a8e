"""Counters as metric objects of Prometheus's client library, which writes them as text."""

from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.utils import floatToGoString

from switchyard.telemetry.layout import Child, Family, Layout


def prometheus_metrics(layout: Layout, totals: Sequence[float]) -> Iterator[Metric]:
    """Yield each family of the layout with all its children."""
    for family, children in layout.children(totals):
        yield _histogram(family, children) if family.buckets else _counter(family, children)


def _counter(family: Family, children: Iterator[Child]) -> Metric:
    metric = CounterMetricFamily(family.name, family.help, labels=family.labels)
    for label_values, cells in children:
        metric.add_metric(label_values, cells[0])
    return metric


def _histogram(family: Family, children: Iterator[Child]) -> Metric:
    metric = HistogramMetricFamily(family.name, family.help, labels=family.labels)
    bounds = [*map(floatToGoString, family.buckets), "+Inf"]
    for label_values, (*counts, total) in children:
        metric.add_metric(label_values, list(zip(bounds, accumulate(counts), strict=True)), total)
    return metric
