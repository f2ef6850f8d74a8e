"""Writes of reports."""

import datetime as dt

from django.db import connections, router, transaction
from django.db.models import Count

from analytics.models import AnalyticsEvent
from reporting.models import AnalyticsReport
from switchyard.routing import use_primary


def report_create(*, date: dt.date) -> list[AnalyticsReport]:
    """Aggregate the UTC day's events into one report per kind, and return the reports in the order of their kinds.

    A second run for the same day updates the reports and deletes those of kinds without events, in one transaction. Of
    two concurrent runs, the last commit wins.
    """
    start = dt.datetime.combine(date, dt.time.min, dt.UTC)
    day = AnalyticsEvent.objects.filter(at__gte=start, at__lt=start + dt.timedelta(days=1))
    alias = router.db_for_write(AnalyticsReport)
    targets = connections[alias].features.supports_update_conflicts_with_target  # MySQL uses any unique key
    with use_primary(), transaction.atomic(using=alias):
        counts = day.values("kind").annotate(events=Count("pk"), users=Count("user_id", distinct=True)).order_by("kind")
        reports = [AnalyticsReport(date=date, **count) for count in counts]
        AnalyticsReport.objects.bulk_create(
            reports,
            update_conflicts=True,
            update_fields=["events", "users"],
            unique_fields=["date", "kind"] if targets else None,
        )
        kinds = {report.kind for report in reports}
        stored = AnalyticsReport.objects.filter(date=date).values_list("pk", "kind")
        stale = [pk for pk, kind in stored if kind not in kinds]
        if stale:
            AnalyticsReport.objects.filter(pk__in=stale).delete()
    return reports
