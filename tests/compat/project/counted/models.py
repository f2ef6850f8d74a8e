from django.db import models

from project.shop.models import Item
from switchyard.crossdb import CrossDatabaseForeignKey


class Event(models.Model):
    name = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.name


class Note(models.Model):
    """A note about an item of another database."""

    text = models.CharField(max_length=100)
    item = CrossDatabaseForeignKey(Item, on_delete=models.CASCADE, related_name="notes")
    copied_from = CrossDatabaseForeignKey(Item, on_delete=models.SET_NULL, null=True, related_name="+")

    def __str__(self) -> str:
        return self.text
