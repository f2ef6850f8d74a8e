"""Users in Django's admin, and where its log of changes stands for the models of other owners."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.admin import UserAdmin
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.models import User
from switchyard.routing import allow_cross_owner_writes

logged_beside_users = allow_cross_owner_writes(reason="the log of changes stands beside the users, on their owner")


class LoggedElsewhere(admin.ModelAdmin):  # type: ignore[type-arg]  # takes none at run time
    """Let the log be written in the transaction of a model that another database owns."""

    @logged_beside_users
    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> LogEntry:
        return super().log_addition(request, obj, message)

    @logged_beside_users
    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> LogEntry:
        return super().log_change(request, obj, message)

    @logged_beside_users
    def log_deletions(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        return super().log_deletions(request, queryset)


admin.site.register(User, UserAdmin)
