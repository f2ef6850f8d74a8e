"""The events of users, who are on another database."""

from django.conf import settings
from django.db import models

from switchyard.crossdb import CrossDatabaseForeignKey


class AnalyticsEvent(models.Model):
    """One action of a user at one moment."""

    id = models.BigAutoField(primary_key=True)
    # The index on user and time serves as the index of the reference.
    user = CrossDatabaseForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, db_index=False)
    kind = models.CharField(max_length=64)
    at = models.DateTimeField()

    class Meta:
        indexes = (
            models.Index(fields=["user", "at"], name="event_user_at"),
            models.Index(fields=["at"], name="event_at"),
        )

    def __str__(self) -> str:
        return f"{self.kind} by user {self.user_id} at {self.at:%Y-%m-%d %H:%M:%S}"
