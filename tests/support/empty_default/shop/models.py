"""One table."""

from django.db import models


class Item(models.Model):
    """A product with a unique name."""

    name = models.CharField(max_length=20, unique=True)

    def __str__(self) -> str:
        return self.name
