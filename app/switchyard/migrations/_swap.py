"""Let Django's own commands run with this package's loader and executor, for the time of one command."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def swapped(module: ModuleType, **names: type) -> Iterator[None]:
    """Replace names of a command's module in this block.

    The commands take both classes from their module's globals and offer no argument for them:
    https://github.com/django/django/blob/5.2/django/core/management/commands/migrate.py#L114
    """
    stock = {name: getattr(module, name) for name in names}
    for name, ours in names.items():
        setattr(module, name, ours)
    try:
        yield
    finally:
        for name, theirs in stock.items():
            setattr(module, name, theirs)
