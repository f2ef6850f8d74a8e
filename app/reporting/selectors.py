"""Reads of reports."""

import datetime as dt

from django.db.models import QuerySet

from reporting.models import AnalyticsReport


def report_list(*, after: int, limit: int, since: dt.date | None = None) -> QuerySet[AnalyticsReport]:
    """Return the next reports in the order of their keys, of days from `since` on if given."""
    reports = AnalyticsReport.objects.filter(pk__gt=after)
    if since is not None:
        reports = reports.filter(date__gte=since)
    return reports.order_by("pk")[:limit]
