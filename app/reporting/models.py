"""Daily reports of events, on the alias of the events."""

from django.db import models


class AnalyticsReport(models.Model):
    """The number of events of one kind on one UTC day, and the number of their users."""

    id = models.BigAutoField(primary_key=True)
    date = models.DateField()
    kind = models.CharField(max_length=64)
    events = models.PositiveBigIntegerField()
    users = models.PositiveBigIntegerField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=["date", "kind"], name="report_date_kind"),)

    def __str__(self) -> str:
        return f"{self.kind} on {self.date}: {self.events} events by {self.users} users"
