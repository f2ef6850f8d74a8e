"""The older application's customers over HTTP."""

import datetime as dt

import pytest
from tests.support.client import api_client

from legacy.models import Customer, Order
from switchyard.routing import allow_writes
from switchyard.routing.topology.ownership import owner_of
from switchyard.testing import assert_queries

pytestmark = pytest.mark.django_db(databases=["legacy"])

NOON = dt.datetime(2020, 1, 2, 12, tzinfo=dt.UTC)


def customer(name, *orders):
    with allow_writes(owner_of(Customer), reason="a test's rows"):
        made = Customer.objects.create(name=name, email="who@example.com", created_at=NOON)
        for cents in orders:
            Order.objects.create(customer=made, placed_at=NOON, total_cents=cents)


def test_list_customers__with_orders():
    """Each customer has the number and the sum of its orders, after two queries."""
    customer("Acme", 100, 250)
    customer("Zuse")

    with assert_queries(legacy=2):
        page = api_client().get("/api/legacy/customers").json()

    assert [(item["name"], item["orders"], item["total_cents"]) for item in page["items"]] == [
        ("Acme", 2, 350),
        ("Zuse", 0, 0),
    ]


def test_list_customers__pages():
    """The pages that `next` leads to show every customer once."""
    for name in ("Acme", "Bell", "Cray"):
        customer(name, 100)

    first = api_client().get("/api/legacy/customers?limit=2").json()
    second = api_client().get(f"/api/legacy/customers?limit=2&after={first['next']}").json()

    assert [[item["name"] for item in page["items"]] for page in (first, second)] == [["Acme", "Bell"], ["Cray"]]
    assert second["next"] is None


def test_list_customers__none():
    """An empty page, and no query for orders."""
    with assert_queries(legacy=1):
        assert api_client().get("/api/legacy/customers").json() == {"items": [], "next": None}
