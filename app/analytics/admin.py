"""Events in Django's admin."""

from django.contrib import admin

from accounts.admin import LoggedElsewhere
from analytics.models import AnalyticsEvent


@admin.register(AnalyticsEvent)
class AnalyticsEventAdmin(LoggedElsewhere):
    """List the newest events first, and count all events once instead of twice. Users are read together."""

    list_display = ("id", "user", "kind", "at")
    raw_id_fields = ("user",)  # a list to choose from would hold all users
    search_fields = ("=user_id", "=kind")
    ordering = ("-id",)
    show_full_result_count = False
