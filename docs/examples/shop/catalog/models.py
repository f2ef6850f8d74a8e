"""What the shop sells."""

from django.db import models


class Product(models.Model):
    """A product, with its price."""

    name = models.CharField(max_length=50)
    price_cents = models.PositiveIntegerField()

    def __str__(self) -> str:
        return self.name
