"""The examples in the docstrings of `environment`, `sql` and `positions` run as they stand, without a database."""

import doctest
import pkgutil
from importlib import import_module
from types import ModuleType

import pytest

import switchyard.environment
import switchyard.positions
import switchyard.sql

MODULES = [
    import_module(found.name)
    for package in (switchyard.environment, switchyard.sql, switchyard.positions)
    for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_module__examples(module: ModuleType) -> None:
    """Each example prints the shown result."""
    assert doctest.testmod(module).failed == 0


def test_modules__have_examples() -> None:
    """Each package has examples: the test above is not empty."""
    found = {module.__package__ for module in MODULES if doctest.testmod(module).attempted}

    assert found == {"switchyard.environment", "switchyard.sql", "switchyard.positions"}
