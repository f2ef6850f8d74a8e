"""The older application's customers over HTTP, read-only."""

# ruff: noqa: ARG001 - ninja passes the request to every view

import datetime as dt

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from legacy.selectors import customer_list
from rest import Cursor, Page, Rows, page

router = Router(tags=["legacy"])


class CustomerOut(Schema):
    """A customer of the older application, with the number and the sum of the customer's orders."""

    id: int = Field(validation_alias="pk")
    name: str
    email: str
    created_at: dt.datetime
    orders: int
    total_cents: int


@router.get("/legacy/customers", response=Page[CustomerOut])
def list_customers(request: HttpRequest, cursor: Query[Cursor]) -> Rows:
    """List customers in the order of their keys."""
    return page(customer_list, cursor)
