"""The examples in the docstrings of `switchyard.routing` run, and give the results that they show."""

import doctest
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections, models
from django.test import override_settings
from django.test.utils import isolate_apps

from config.settings import SWITCHYARD
from legacy.models import Customer
from switchyard import routing

EXAMPLES = {
    name: example
    for name in routing.__all__
    for example in doctest.DocTestFinder(recurse=False).find(getattr(routing, name), name)
    if example.examples
}


@pytest.fixture
def names() -> Iterator[dict[str, Any]]:
    """The names that examples may use: those of the package, and the models of docs/own-project.md."""
    owners = {**SWITCHYARD["OWNERS"], "shop": "default"}
    with isolate_apps("accounts"), override_settings(SWITCHYARD={**SWITCHYARD, "OWNERS": owners}):

        class Product(models.Model):  # noqa: DJ008 - never printed
            name = models.CharField(max_length=50)

            class Meta:
                app_label = "shop"

        class Order(models.Model):  # noqa: DJ008 - never printed
            product = models.ForeignKey(Product, on_delete=models.PROTECT)

            class Meta:
                app_label = "shop"

        with connections["default"].schema_editor() as editor:
            editor.create_model(Product)
            editor.create_model(Order)
        yield {**vars(routing), "Product": Product, "Order": Order, "Customer": Customer}
        with connections["default"].schema_editor() as editor:
            editor.delete_model(Order)
            editor.delete_model(Product)


@pytest.mark.django_db(databases=["default", "replica", "legacy", "analytics"], transaction=True)
@pytest.mark.parametrize("name", EXAMPLES)
def test_example(name: str, names: dict[str, Any]) -> None:
    """The example runs and gives the result that it shows."""
    example = EXAMPLES[name]
    example.globs = names
    printed: list[str] = []
    result = doctest.DocTestRunner(verbose=False).run(example, out=printed.append)

    assert result.attempted
    assert result.failed == 0, "".join(printed)


@pytest.mark.parametrize(
    "name", ["allow_writes", "only", "read_only", "use_primary", "use_replica", "without_stickiness"]
)
def test_override__has_an_example(name: str) -> None:
    """Each override shows its use."""
    assert name in EXAMPLES
