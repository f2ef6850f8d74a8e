"""Run Django's own commands with the loader and the executor of this package, for the time of one command."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


@contextmanager
def patched(module: ModuleType, **replacements: Any) -> Iterator[None]:
    """Replace names of a command's module in this block, and restore them after it.

    The commands take both classes from the globals of their module. The one argument that a subclass may set,
    `autodetector`, is another class.
    https://github.com/django/django/blob/6.1.3/django/core/management/commands/migrate.py#L115
    """
    originals = {name: getattr(module, name) for name in replacements}
    try:
        for name, replacement in replacements.items():
            setattr(module, name, replacement)
        yield
    finally:
        for name, original in originals.items():
            setattr(module, name, original)
