"""Events in Django's admin."""

from django.contrib import admin

from accounts.admin import LoggedElsewhere
from analytics.models import AnalyticsEvent


@admin.register(AnalyticsEvent)
class AnalyticsEventAdmin(LoggedElsewhere):
    """List the newest events first, and count all events once instead of twice."""

    list_display = ("id", "user_id", "kind", "at")
    search_fields = ("=user_id", "=kind")
    ordering = ("-id",)
    show_full_result_count = False
