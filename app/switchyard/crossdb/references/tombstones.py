"""The records of deleted parents, in the table of the parent's own database that the triggers fill."""

from enum import IntEnum

from django.apps.registry import Apps
from django.db import models
from django.utils import timezone


class State(IntEnum):
    """How far the worker is with a tombstone."""

    WAITING = 0
    HANDLED = 1  # its children are gone; kept for children that come later
    SET_ASIDE = 2  # it failed too often


OPEN = (State.WAITING, State.SET_ASIDE)  # what is still to be done


class Tombstone(models.Model):
    """One deleted parent, for one reference. The triggers' SQL names these columns as well."""

    id = models.BigAutoField(primary_key=True)
    reference = models.CharField(max_length=255)  # app.Model.field of the child
    parent_key = models.CharField(max_length=255)
    deleted_at = models.DateTimeField(default=timezone.now)
    due_at = models.DateTimeField(default=timezone.now)  # the worker takes it from then on
    state = models.SmallIntegerField(default=State.WAITING)
    attempts = models.IntegerField(default=0)  # that failed
    error = models.TextField(default="", blank=True)  # of the last attempt

    objects: models.Manager["Tombstone"] = models.Manager()

    class Meta:
        # In a registry of its own: no owner has this table alone, and no migration of this app makes it.
        apps = Apps()
        app_label = "switchyard"
        db_table = "switchyard_tombstone"

    def __str__(self) -> str:
        return f"{self.reference} {self.parent_key}"

    @property
    def age_seconds(self) -> float:
        """The seconds since the deletion."""
        return (timezone.now() - self.deleted_at).total_seconds()
