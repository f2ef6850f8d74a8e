"""Sample customers with orders: the same seed makes the same rows."""

import datetime as dt
from collections.abc import Callable
from itertools import batched
from random import Random

from django.db import router, transaction

from legacy.models import Customer, Order
from switchyard.routing import allow_writes, use_primary

NAMES = ("Acme", "Bell", "Cray", "Data General", "Elliott", "Ferranti", "Honeywell", "Prime", "Wang", "Zuse")
SINCE = dt.datetime(2019, 1, 1, tzinfo=dt.UTC)
SECONDS = 5 * 365 * 86_400
MAX_ORDERS = 8
BATCH = 1000


def create(*, count: int, seed: int, advance: Callable[[int], None]) -> int:
    """Create the customers and their orders in one transaction, and return the number of customers.

    Returns 0 when the seed's first customer exists already. Writes to the owner although requests may not.
    """
    random = Random(f"customers {seed}")  # noqa: S311 - sample data
    alias = router.db_for_write(Customer)
    domain = f"@sample-{seed}.example.com"
    with use_primary(), allow_writes(alias, reason="sample data"), transaction.atomic(using=alias):
        if Customer.objects.filter(email=f"1{domain}").exists():
            return 0
        for numbers in batched(range(1, count + 1), BATCH):
            Customer.objects.bulk_create([_customer(number, domain, random) for number in numbers])
            # not every database returns the keys of a bulk insert
            emails = [f"{number}{domain}" for number in numbers]
            keys = Customer.objects.filter(email__in=emails).order_by("pk").values_list("pk", flat=True)
            Order.objects.bulk_create([order for key in keys for order in _orders(key, random)], batch_size=BATCH)
            advance(len(numbers))
    return count


def _customer(number: int, domain: str, random: Random) -> Customer:
    name = f"{random.choice(NAMES)} {number}"
    return Customer(name=name, email=f"{number}{domain}", created_at=_moment(random))


def _orders(customer: int, random: Random) -> list[Order]:
    return [
        Order(customer_id=customer, placed_at=_moment(random), total_cents=random.randrange(100, 100_000))
        for _ in range(random.randrange(MAX_ORDERS + 1))
    ]


def _moment(random: Random) -> dt.datetime:
    return SINCE + dt.timedelta(seconds=random.randrange(SECONDS))
