"""Tables of an older application. With DATABASE_LEGACY_MANAGED=false no migration makes or changes them."""

from django.db import models


class Customer(models.Model):
    """A customer of the older application."""

    id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=200)
    email = models.EmailField()
    created_at = models.DateTimeField()

    class Meta:
        db_table = "customers"

    def __str__(self) -> str:
        return self.name


class Order(models.Model):
    """An order of a customer; `total_cents` is in the shop's only currency."""

    id = models.BigAutoField(primary_key=True)
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="orders")
    placed_at = models.DateTimeField()
    total_cents = models.PositiveBigIntegerField()

    class Meta:
        db_table = "orders"

    def __str__(self) -> str:
        return f"order {self.pk} of customer {self.customer_id}"
