"""One table: a value is written once and found by its key."""

from django.db import models


class Row(models.Model):
    """A value under a key."""

    key = models.CharField(max_length=64, unique=True)
    value = models.IntegerField()

    def __str__(self) -> str:
        return f"{self.key}={self.value}"


class Note(models.Model):
    """A child of a row, for decisions with an instance."""

    row = models.ForeignKey(Row, models.CASCADE)

    def __str__(self) -> str:
        return f"note {self.pk} of {self.row_id}"
