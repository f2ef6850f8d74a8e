"""Who looked at which product when."""

from django.db import models


class Visit(models.Model):
    """A visit. No foreign key reaches another database, so the key of the product is a plain field."""

    product_id = models.BigIntegerField(db_index=True)
    at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.product_id} at {self.at}"
