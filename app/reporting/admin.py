"""Reports in Django's admin."""

from django.contrib import admin

from accounts.admin import LoggedElsewhere
from reporting.models import AnalyticsReport


@admin.register(AnalyticsReport)
class AnalyticsReportAdmin(LoggedElsewhere):
    """List reports by day."""

    list_display = ("date", "kind", "events", "users")
    date_hierarchy = "date"
    ordering = ("-date", "kind")
