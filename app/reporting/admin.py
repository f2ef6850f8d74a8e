"""Reports in Django's admin."""

from django.contrib import admin

from reporting.models import AnalyticsReport


@admin.register(AnalyticsReport)
class AnalyticsReportAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # takes none at run time
    """List reports by day."""

    list_display = ("date", "kind", "events", "users")
    date_hierarchy = "date"
    ordering = ("-date", "kind")
