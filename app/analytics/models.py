"""The events of users. Users are on another database, so an event holds the user's key and no foreign key."""

from django.db import models


class AnalyticsEvent(models.Model):
    """One action of a user at one moment."""

    id = models.BigAutoField(primary_key=True)
    user_id = models.BigIntegerField()
    kind = models.CharField(max_length=64)
    at = models.DateTimeField()

    class Meta:
        indexes = (
            models.Index(fields=["user_id", "at"], name="event_user_at"),
            models.Index(fields=["at"], name="event_at"),
        )

    def __str__(self) -> str:
        return f"{self.kind} by user {self.user_id} at {self.at:%Y-%m-%d %H:%M:%S}"
