"""Reads of the older application's tables."""

import datetime as dt
from dataclasses import dataclass

from django.db.models import Count, Sum

from legacy.models import Customer, Order


@dataclass(frozen=True)
class CustomerSummary:
    """A customer, with the number and the sum of the customer's orders."""

    pk: int
    name: str
    email: str
    created_at: dt.datetime
    orders: int
    total_cents: int


def customer_list(*, after: int, limit: int) -> list[CustomerSummary]:
    """Return the next customers in the order of their keys.

    Makes two queries: the customers, then the sums of their orders by key. No join reads whole tables.
    """
    customers = list(Customer.objects.filter(pk__gt=after).order_by("pk")[:limit])
    orders = Order.objects.filter(customer__in=[customer.pk for customer in customers])
    sums = {
        key: (count, cents)
        for key, count, cents in orders.order_by("customer")
        .values_list("customer")
        .annotate(count=Count("pk"), cents=Sum("total_cents"))
    }
    return [
        CustomerSummary(customer.pk, customer.name, customer.email, customer.created_at, *sums.get(customer.pk, (0, 0)))
        for customer in customers
    ]
