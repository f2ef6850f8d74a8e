"""The older application's tables in Django's admin: read-only unless LEGACY_WRITABLE is true."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest

from accounts.admin import LoggedElsewhere
from legacy.models import Customer, Order


class LegacyAdmin(LoggedElsewhere):
    """Hide the forms that write, unless LEGACY_WRITABLE is true: the owner refuses writes of requests."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return settings.LEGACY_WRITABLE and super().has_add_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return settings.LEGACY_WRITABLE and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return settings.LEGACY_WRITABLE and super().has_delete_permission(request, obj)


@admin.register(Customer)
class CustomerAdmin(LegacyAdmin):
    """List customers by key."""

    list_display = ("id", "name", "email", "created_at")
    search_fields = ("name", "email")
    ordering = ("id",)


@admin.register(Order)
class OrderAdmin(LegacyAdmin):
    """List the newest orders first, with the names of their customers, in one query."""

    list_display = ("id", "customer", "placed_at", "total_cents")
    list_select_related = ("customer",)
    raw_id_fields = ("customer",)
    ordering = ("-id",)
