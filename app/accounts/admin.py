"""Users in Django's admin, and a base class for the admins of models that another alias owns."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.admin import UserAdmin
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.models import User
from switchyard.routing import allow_cross_owner_writes

may_write_log = allow_cross_owner_writes(reason="the admin's log is on the owner of the users")


class LoggedElsewhere(admin.ModelAdmin):  # type: ignore[type-arg]  # has no parameters at run time
    """Allow the admin to write its log during a transaction on the model's own alias."""

    @may_write_log
    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> LogEntry:
        return super().log_addition(request, obj, message)

    @may_write_log
    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> LogEntry:
        return super().log_change(request, obj, message)

    @may_write_log
    def log_deletions(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        return super().log_deletions(request, queryset)


admin.site.register(User, UserAdmin)
