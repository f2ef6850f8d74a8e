"""Tables of models that are in no registry of an app: they exist only inside a block."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from django.db import connections
from django.db.models import Model


@contextmanager
def scratch_tables(alias: str, models: Sequence[type[Model]]) -> Iterator[None]:
    """Create the tables of the models on the alias for this block, in their order."""
    with connections[alias].schema_editor() as editor:
        for model in models:
            editor.create_model(model)
    try:
        yield
    finally:
        with connections[alias].schema_editor() as editor:
            for model in reversed(models):
                editor.delete_model(model)
