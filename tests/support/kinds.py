"""A model with one field of each kind that databases compare in different ways, and a model that inherits its table.

The models are in no registry of an app, so they have tables only inside `made()`.
"""

import datetime as dt
import uuid
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Any

from django.apps.registry import Apps
from django.db import models
from tests.support.scratch_tables import scratch_tables

_apps = Apps()


class Kind(models.Model):
    """One field of each kind, with a default; `OTHER` has another value for each field."""

    text = models.CharField(max_length=20, default="Ada")
    empty = models.CharField(max_length=20, default="")
    nothing = models.IntegerField(null=True)
    fraction = models.FloatField(default=0.1)
    price = models.DecimalField(max_digits=9, decimal_places=3, default=Decimal("1.10"))
    blob = models.BinaryField(default=b"\x00\xff'")
    moment = models.DateTimeField(default=dt.datetime(2026, 1, 2, 3, 4, 5, 123456, dt.UTC))
    day = models.DateField(default=dt.date(2026, 1, 2))
    pause = models.DurationField(default=dt.timedelta(seconds=1.5))
    key = models.UUIDField(default=uuid.UUID(int=7))
    address = models.GenericIPAddressField(default="192.0.2.1")
    flag = models.BooleanField(default=True)
    data = models.JSONField(default=dict)
    missing = models.JSONField(null=True)
    file = models.FileField(default="a.txt")
    parent = models.ForeignKey("self", models.DO_NOTHING, null=True, db_constraint=False)

    class Meta:
        apps = _apps
        app_label = "accounts"
        db_table = "test_kind"

    def __str__(self) -> str:
        return self.text


class Special(Kind):
    """A second table for some of the rows."""

    extra = models.CharField(max_length=20, default="x")

    class Meta:
        apps = _apps
        app_label = "accounts"
        db_table = "test_special"


OTHER: dict[str, Any] = {
    "text": "ADA",
    "empty": " ",
    "nothing": 0,
    "fraction": 0.1000000001,
    "price": Decimal("1.101"),
    "blob": b"\x00\xff",
    "moment": dt.datetime(2026, 1, 2, 3, 4, 5, 123457, dt.UTC),
    "day": dt.date(2026, 1, 3),
    "pause": dt.timedelta(seconds=1.25),
    "key": uuid.UUID(int=8),
    "address": "192.0.2.2",
    "flag": False,
    "data": {"a": [1]},
    "missing": {},
    "file": "b.txt",
    "parent": 5,
}


def made(alias: str) -> AbstractContextManager[None]:
    """Create the tables of both models on the alias for this block."""
    return scratch_tables(alias, (Kind, Special))
