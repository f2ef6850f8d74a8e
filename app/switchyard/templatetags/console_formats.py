"""Filters of the console's templates: numbers, times and sizes as people read them. None is shown as a dash."""

# ruff: noqa: PLR2004 - the numbers are where another form begins

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from django import template

register = template.Library()
NOTHING = "\N{EN DASH}"
LEVEL_SYMBOLS = {"good": "●", "neutral": "○", "warning": "▲", "error": "■"}


@register.filter
def rate(per_second: float | None) -> str:
    """Return a number of events a second: one digit after the point below ten.

    >>> rate(3.21), rate(1234.5), rate(0.01)
    ('3.2', '1,234', '<0.1')
    """
    if per_second is None:
        return NOTHING
    if 0 < per_second < 0.1:
        return "<0.1"
    return f"{per_second:.1f}".removesuffix(".0") if per_second < 10 else f"{per_second:,.0f}"


@register.filter
def duration(seconds: float | None) -> str:
    """Return a duration with its unit.

    >>> duration(0.00042), duration(0.0123), duration(2.5), duration(75)
    ('0.42 ms', '12 ms', '2.5 s', '75 s')
    """
    if seconds is None:
        return NOTHING
    if seconds == 0:
        return "0 s"
    if seconds < 1:
        milliseconds = seconds * 1000
        return f"{milliseconds:.2g} ms" if milliseconds < 10 else f"{milliseconds:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    return f"{seconds:,.0f} s" if seconds < 600 else f"{seconds / 60:,.0f} min"


@register.filter
def size(number_of_bytes: float | None) -> str:
    """Return a size with its unit, in powers of a thousand.

    >>> size(512), size(20_500)
    ('512 B', '20 kB')
    """
    if number_of_bytes is None:
        return NOTHING
    for unit in ("B", "kB", "MB"):
        if number_of_bytes < 1000:
            return f"{number_of_bytes:.0f} {unit}"
        number_of_bytes /= 1000
    return f"{number_of_bytes:,.0f} GB"


@register.filter
def percent(share: float | None) -> str:
    """Return a share as a whole percentage. Only nothing is 0 %, and only everything is 100 %.

    >>> percent(0.934), percent(0.002), percent(0.999)
    ('93 %', '<1 %', '>99 %')
    """
    if share is None:
        return NOTHING
    if 0 < share < 0.01:
        return "<1 %"
    return ">99 %" if 0.99 < share < 1 else f"{share:.0%}".replace("%", " %")


@register.filter
def clock(at: float) -> str:
    """Return a Unix time as the time of the day, in UTC.

    >>> clock(1795990000.0)
    '22:06:40'
    """
    return f"{datetime.fromtimestamp(at, UTC):%H:%M:%S}"


@register.filter
def machine_time(at: float) -> str:
    """Return a Unix time for the attribute `datetime`.

    >>> machine_time(1795990000.0)
    '2026-11-29T22:06:40Z'
    """
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"


@register.filter
def symbol(level: str) -> str:
    """Return the symbol of a level. Each level has its own, so that a state shows without colours."""
    return LEVEL_SYMBOLS[level]


@register.filter
def pods_counted(pods: Sequence[Mapping[str, Any]]) -> str:
    """Return how many pods of the service, and how many workers of references, the numbers are of.

    >>> pod, lost = {"answers": True, "worker": False}, {"answers": False, "worker": False}
    >>> pods_counted([pod]), pods_counted([pod, lost])
    ('1 pod', '1 of 2 pods')
    >>> pods_counted([pod, pod, pod | {"worker": True}]), pods_counted([pod, lost | {"worker": True}])
    ('2 pods and 1 worker of references', '1 pod and 0 of 1 worker of references')
    """
    workers = [each["answers"] for each in pods if each["worker"]]
    counted = _counted([each["answers"] for each in pods if not each["worker"]], "pod")
    return f"{counted} and {_counted(workers, 'worker')} of references" if workers else counted


@register.filter
def pods_named(labels: Sequence[str], pods: Sequence[Mapping[str, Any]]) -> str:
    """Return the labels of the pods where something happened.

    >>> pods = [{"pod": "3f2a", "answers": True, "worker": False}, {"pod": "81c0", "answers": True, "worker": True}]
    >>> pods_named(["3f2a"], pods), pods_named(["81c0"], pods), pods_named(["3f2a", "81c0"], pods)
    ('3f2a', 'worker 81c0', 'all')
    """
    if set(labels) >= {each["pod"] for each in pods if each["answers"]}:
        return "all"
    workers = {each["pod"] for each in pods if each["worker"]}
    return ", ".join(f"worker {label}" if label in workers else label for label in labels)


@register.filter
def labelled(counts: Mapping[str, float]) -> str:
    """Return counts by their name as one text.

    >>> labelled({"OperationalError": 2, "IntegrityError": 1})
    'OperationalError 2, IntegrityError 1'
    """
    return ", ".join(f"{name} {count:,.0f}" for name, count in counts.items())


def _counted(answering: Sequence[bool], noun: str) -> str:
    in_all = f"{len(answering)} {noun}{'s' if len(answering) != 1 else ''}"
    return in_all if all(answering) else f"{sum(answering)} of {in_all}"
